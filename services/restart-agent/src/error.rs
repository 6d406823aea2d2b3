use instance_agent::{evidence::QlistError, host::HostError};
use instance_contract::{Cause, Failure};

use crate::kept::NotKept;

/// Why an instance is not restarted, or not up again. Each says what was left behind.
#[derive(Debug, thiserror::Error)]
pub enum RestartError {
    /// The `iris` program does not tell the state.
    #[error("{}", whole(.0))]
    Qlist(#[from] QlistError),
    /// The `iris` program could not be run.
    #[error("{}", whole(.0))]
    Program(#[from] HostError),
    /// `messages.log` could not be read.
    #[error("could not read log \"{path}\": {source}")]
    Log {
        /// The log.
        path: String,
        /// What the operating system answered.
        source: std::io::Error,
    },
    /// Something is so that a restart would make worse.
    #[error("a restart must not cure \"{condition}\": {found}; {remedy}")]
    MustNotRestart {
        /// Id of the catalogue's row.
        condition: String,
        /// How that is known: the first line of an entry of the log, a file that is gone.
        found: String,
        /// What the catalogue tells a person to do.
        remedy: String,
    },
    /// It carries this very process.
    #[error("this agent was started by a process of the instance and would end with it")]
    CarriesInstance,
    /// It was restarted a short time ago.
    #[error("the instance was restarted a short time ago: {rule}; not before {free_at}")]
    TooSoon {
        /// The rule that says so.
        rule: String,
        /// When it may be restarted again.
        free_at: jiff::Timestamp,
    },
    /// When it was restarted cannot be told or kept.
    #[error("the times of restarts: {0}")]
    Spacing(#[source] NotKept),
    /// Users did not leave. Nothing was stopped.
    #[error("nothing was stopped: after {seconds} s there are still {users}")]
    UsersRemain {
        /// How long they were waited for.
        seconds: u64,
        /// Who they are.
        users: String,
    },
    /// Nobody can tell whether work would be cut off. Nothing was stopped.
    #[error(
        "nothing was stopped: whether a stop would cut off work cannot be seen: {unseen}; open that door (for metrics the \
         setting \"metrics_url\"), or ask with \"when_users_stay\": \"stop\""
    )]
    UsersUnseen {
        /// What, and why.
        unseen: String,
    },
    /// It runs, and none of its processes is found: "none left" would prove nothing of the stop. Nothing was stopped.
    #[error(
        "nothing was stopped: the instance runs, and no process of it is found in manager directory \"{manager_dir}\", so that \
         nobody could tell the end of a stop; set \"manager_dir\" of the instance in the settings of restart-agent"
    )]
    NoProcesses {
        /// Where they were looked for.
        manager_dir: String,
    },
    /// Up for nobody but an administrator, or on its way somewhere.
    #[error("instance is \"{state}\": wait until it is running or down, or look what somebody does there")]
    Unsettled {
        /// As `iris qlist` says.
        state: String,
    },
    /// The stop was asked for, and then nothing more could be seen of the instance.
    #[error("{0}; the stop was asked for, and whether the instance has stopped is not known")]
    LostAfterAsking(Box<RestartError>),
    /// The start was asked for, and then nothing more could be seen of the instance.
    #[error("{0}; the start was asked for, and whether the instance is up is not known")]
    LostAfterStart(Box<RestartError>),
    /// The instance did not stop. It is not started.
    #[error(
        "instance is \"{state}\" {seconds} s after the stop was asked for{said}; it is not started: let its users leave, then stop it by hand"
    )]
    StopFailed {
        /// As `iris qlist` says.
        state: String,
        /// Is it as it was before?
        still_runs: bool,
        /// Time spent.
        seconds: u64,
        /// Last words of `iris stop`, as the end of the sentence.
        said: String,
    },
    /// The stop failed where command and settings let the instance be forced down, and no person has agreed to that since.
    #[error("{0}; it may be forced down (iris force), and a person has to agree to that now")]
    ForceNotAgreed(Box<RestartError>),
    /// It is told to be down, and processes of its last run are left. It is not started.
    #[error(
        "instance is \"{state}\", {seconds} s later too; it is not started: see what holds them, and end them by hand"
    )]
    ProcessesLeft {
        /// What `iris qlist` and the processes say.
        state: String,
        /// How long they were waited for.
        seconds: u64,
    },
    /// The same, after a stop that this remediation has asked for.
    #[error("{0} (the stop that was asked for has failed)")]
    StopNeverEnded(Box<RestartError>),
    /// The instance was stopped and may not be started now.
    #[error("instance is stopped and was not started: {reason}")]
    NotStarted {
        /// Why.
        reason: String,
    },
    /// The instance did not come up.
    #[error("instance did not start: {reason}")]
    StartFailed {
        /// What its own log says, or what was waited for in vain.
        reason: String,
    },
}

impl From<RestartError> for Failure {
    fn from(error: RestartError) -> Self {
        use RestartError as Error;
        let message = error.to_string();
        match error {
            Error::Qlist(QlistError::UnknownInstance { .. }) => {
                Self::permanent("instance_not_found", message)
            }
            Error::Qlist(QlistError::Run { .. }) | Error::Program(_) => Self::permanent(
                "iris_command_failed",
                format!("{message}; look at the setting \"iris_command\" and the rights of restart-agent"),
            ),
            Error::Qlist(_) => Self::transient("state_unknown", message),
            Error::Log { .. } => Self::permanent("log_unreadable", message),
            Error::MustNotRestart { .. } => Self::refused("must_not_restart", message),
            Error::CarriesInstance => Self::refused("carries_instance", message),
            Error::TooSoon { .. } => Self::refused("restart_too_soon", message),
            Error::Spacing(error) if error.is_for_want_of_space() => {
                Self::transient("no_space", format!("{message}; free space on that file system"))
            }
            Error::Spacing(_) => Self::permanent("restart_times", message),
            Error::UsersRemain { .. } => Self::permanent("users_remain", message),
            Error::UsersUnseen { .. } => Self::permanent("users_unseen", message),
            Error::NoProcesses { .. } => Self::permanent("no_processes", message),
            Error::Unsettled { .. } | Error::ProcessesLeft { .. } => {
                Self::transient("instance_unsettled", message)
            }
            Error::LostAfterAsking(error) | Error::LostAfterStart(error) => {
                Self::Unknown { cause: Cause::new(&Self::from(*error).cause().code, message) }
            }
            // It may stop yet, and the next attempt must find what this one has recorded.
            Error::ForceNotAgreed(_) => Self::unknown("force_not_agreed", message),
            // It goes on as it was; only its users may have been asked to leave.
            Error::StopFailed { still_runs: true, .. } => Self::permanent("stop_failed", message),
            Error::StopFailed { .. } | Error::StopNeverEnded(_) => Self::unknown("stop_failed", message),
            Error::NotStarted { .. } => Self::unknown("not_started", message),
            // Trying again would fail again: the undo restores the configuration and starts once more.
            Error::StartFailed { .. } => Self::permanent("start_failed", message),
        }
    }
}

/// The message with all of its sources: it goes on as one text.
pub fn whole(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(source) = next {
        text = format!("{text}: {source}");
        next = source.source();
    }
    text
}
