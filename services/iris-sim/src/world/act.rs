//! What the world wants done, as data: lines to log, processes to start, alarms to set.

use std::fmt;
use std::time::Duration;

pub use instance_iris::messages_log::Severity;

/// One thing the shell is to do. Acts are done in the order they are returned.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Act {
    /// Append a stamped entry to messages.log (and to alerts.log when it is severe).
    Log(Entry),
    /// As [`Act::Log`]; its text ends with the moment of its stamp, which [`Entry::ending_with`] puts there.
    LogWithMoment(Entry),
    /// Append text to messages.log without a stamp: the recovery banner.
    Banner(String),
    /// Tell the person who asked for the start or the stop.
    Say(String),
    /// Start the system daemons as processes of their own.
    StartDaemons,
    /// Write the CPF again by way of `iris.cpf_<pid>`; answered by `Event::CpfRewritten`.
    RewriteCpf,
    /// Write the CPF that was checked to `_LastGood_.cpf`.
    KeepLastGood,
    /// Create a journal file, an absolute path.
    StartJournal(String),
    /// Write to the journal; answered by `Event::JournalWritten`.
    WriteJournal {
        /// Absolute path.
        file: String,
        /// MB.
        mb: u64,
    },
    /// Begin the next journal file; answered by `Event::JournalSwitched`.
    SwitchJournal {
        /// With a slash at its end.
        directory: String,
    },
    /// Remove journal files that are older; answered by `Event::JournalsPurged`.
    PurgeJournals {
        /// With a slash at its end.
        directory: String,
        /// `[Journal] DaysBeforePurge`.
        days: u64,
        /// Never this one.
        in_use: String,
    },
    /// Make a database larger; answered by `Event::DatabaseExpanded`.
    ExpandDatabase {
        /// Directory of the database.
        directory: String,
        /// MB.
        mb: u64,
    },
    /// Write the lock of the database in that directory.
    LockDatabase(String),
    /// Remove the lock of the database in that directory.
    UnlockDatabase(String),
    /// Listen on the superserver port; answered by `Event::SuperserverOpened`.
    OpenSuperserver {
        /// `[Startup] DefaultPort`.
        port: u16,
        /// `[Startup] DefaultPortBindAddress`; empty means loopback, because a stand-in is not for the network.
        address: String,
    },
    /// Close the superserver and every session.
    CloseSuperserver,
    /// End one session.
    CloseSession(u64),
    /// Serve `/api/monitor` on this port; answered by `Event::WebServerOpened`.
    OpenWebServer {
        /// `[Startup] WebServerPort`.
        port: u16,
    },
    /// End the system daemons in good order.
    StopDaemons,
    /// Logons are enabled: `iris start` may return.
    Ready,
    /// Feed the alarm back after this time; a later wake of the same alarm replaces it.
    Wake(Duration, Alarm),
    /// The instance is over.
    End(Ending),
}

/// An alarm the world sets for itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Alarm {
    /// The write daemon's next pass.
    Pass,
    /// Half an hour without a new system alert.
    Quiet,
    /// A start that failed gives up.
    GiveUp,
    /// A frozen instance did not stop in time and is forced.
    Overdue,
}

/// How an instance ended; the next start depends on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    /// `Shutdown complete`: nothing to recover.
    Clean,
    /// Forced or terminated: the next start recovers.
    Abnormal,
    /// The start failed, but shut down in order: nothing to recover.
    StartFailed,
}

/// The process in whose name an entry is written; the shell knows its pid.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Writer {
    /// The control process.
    Control,
    /// A system daemon.
    Daemon(Daemon),
    /// A job of the instance that is no process of its own here.
    Job(Job),
    /// Whoever asked for the start, stop or merge in hand: the `iris` program's process.
    Asker,
}

/// A part of the instance that writes to the log in its own name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Job {
    /// Reads messages.log and writes alerts.log.
    LogMonitor,
    /// Cleans up after processes that died.
    CleanDaemon,
    /// Knows who takes which unit of the license.
    LicenseMonitor,
    /// Takes connections.
    Superserver,
    /// Runs the tasks of the day: purges, checks.
    TaskManager,
    /// Looks at the health of the instance.
    SystemMonitor,
}

impl Job {
    /// Every job, in the order in which they are started.
    pub const ALL: [Self; 6] = [
        Self::LogMonitor,
        Self::CleanDaemon,
        Self::LicenseMonitor,
        Self::Superserver,
        Self::TaskManager,
        Self::SystemMonitor,
    ];
}

/// A system daemon that is a process of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Daemon {
    /// `WRTDMN`: writes changed blocks to the databases.
    WriteDaemon,
    /// `GARCOL`: frees deleted globals.
    GarbageCollector,
    /// `JRNDMN`: writes the journal.
    JournalDaemon,
    /// `AUXWD #1`: helps the write daemon.
    AuxiliaryWriteDaemon,
    /// `EXPDMN`: grows database files.
    ExpansionDaemon,
}

impl Daemon {
    /// Every daemon, in the order they are started.
    pub const ALL: [Self; 5] = [
        Self::WriteDaemon,
        Self::GarbageCollector,
        Self::JournalDaemon,
        Self::AuxiliaryWriteDaemon,
        Self::ExpansionDaemon,
    ];

    /// The name IRIS uses when the daemon dies: `WRTDMN`, `AUXWD`, ...
    pub fn name(self) -> &'static str {
        match self {
            Self::WriteDaemon => "WRTDMN",
            Self::GarbageCollector => "GARCOL",
            Self::JournalDaemon => "JRNDMN",
            Self::AuxiliaryWriteDaemon => "AUXWD",
            Self::ExpansionDaemon => "EXPDMN",
        }
    }

    /// The daemon of that name, in any case.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|daemon| daemon.name().eq_ignore_ascii_case(name))
    }

    /// Whether no database write can happen without it, so that its death freezes the instance.
    pub fn writes_databases(self) -> bool {
        matches!(self, Self::WriteDaemon | Self::AuxiliaryWriteDaemon)
    }
}

/// With its number, as the lines of a stop name it.
impl fmt::Display for Daemon {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::AuxiliaryWriteDaemon => f.write_str("AUXWD #1"),
            other => f.write_str(other.name()),
        }
    }
}

/// Where an entry belongs; printed in brackets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Category {
    /// `[Generic.Event]`: written by the kernel.
    Kernel,
    /// `[Utility.Event]`: written by system code.
    Utility,
    /// Any other, without the brackets.
    Other(&'static str),
}

impl Category {
    /// Without brackets.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Kernel => "Generic.Event",
            Self::Utility => "Utility.Event",
            Self::Other(name) => name,
        }
    }
}

/// An entry of messages.log without its stamp and pid.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// In whose name.
    pub writer: Writer,
    /// How bad.
    pub severity: Severity,
    /// Which part of IRIS.
    pub category: Category,
    /// The text; further lines are continuation lines.
    pub text: String,
}

impl Entry {
    /// An entry of the kernel.
    pub fn kernel(writer: Writer, severity: Severity, text: impl Into<String>) -> Self {
        Self { writer, severity, category: Category::Kernel, text: text.into() }
    }

    /// An entry of system code, in the name of a job of the instance.
    pub fn job(job: Job, severity: Severity, text: impl Into<String>) -> Self {
        Self { writer: Writer::Job(job), severity, category: Category::Utility, text: text.into() }
    }

    /// An entry of system code, in the name of whoever asked for the work in hand.
    pub fn utility(severity: Severity, text: impl Into<String>) -> Self {
        Self { writer: Writer::Asker, severity, category: Category::Utility, text: text.into() }
    }

    /// The entry with a moment in UTC at the end of its text, as real logs write it beside a stamp in local time.
    #[must_use]
    pub fn ending_with(mut self, moment: &jiff::Zoned) -> Self {
        let utc = moment.with_time_zone(jiff::tz::TimeZone::UTC);
        self.text.push_str(&utc.strftime("%m/%d/%Y %H:%M:%S.%3f UTC").to_string());
        self
    }

    /// An informational entry of any category, by the control process.
    pub fn control(category: &'static str, text: impl Into<String>) -> Self {
        Self {
            writer: Writer::Control,
            severity: Severity::Info,
            category: Category::Other(category),
            text: text.into(),
        }
    }
}

impl From<Entry> for Act {
    fn from(entry: Entry) -> Self {
        Self::Log(entry)
    }
}
