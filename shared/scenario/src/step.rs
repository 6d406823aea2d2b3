//! What can be done to a world.

use serde::{Deserialize, Serialize};

use crate::seed::Amount;
use crate::target::Target;

/// One thing that is done. `{dir}` in a path or text stands for the instance's folder, `{mgr}` for its manager
/// directory and `{host}` for the host's `/proc`, each without a slash at its end.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "do", rename_all = "snake_case", deny_unknown_fields)]
pub enum Step {
    /// Set a value in `iris.cpf`; nothing is started.
    Cpf {
        /// Section without brackets.
        section: String,
        /// Key.
        parameter: String,
        /// As it will stand there.
        value: String,
    },
    /// Replace a text that a file holds exactly once.
    Edit {
        /// The file.
        file: String,
        /// What must stand there once.
        find: String,
        /// What will.
        put: String,
    },
    /// Write a file, with the folders that it needs.
    Write {
        /// The file.
        file: String,
        /// All of its content.
        text: String,
    },
    /// Remove a file, or a folder with all that is in it.
    Remove {
        /// File or folder.
        file: String,
    },
    /// Set the mode of a file or folder, as `chmod` does. It is put back when the world ends.
    Mode {
        /// File or folder.
        file: String,
        /// Octal digits: `0440`.
        mode: Mode,
    },
    /// Set a kernel value of the host.
    Kernel {
        /// With dots: `vm.nr_hugepages`.
        name: String,
        /// As the kernel would show it.
        value: Amount,
    },
    /// Give a folder a small disk of its own (a tmpfs; only root may). What lies in it moves along.
    Disk {
        /// The folder.
        folder: String,
        /// Its size, MB.
        mb: u32,
    },
    /// Another program listens on a port of the instance.
    HoldPort {
        /// Which.
        port: Port,
    },
    /// `iris start`, also with another CPF. It may fail.
    Start {
        /// Instead of the instance's own.
        #[serde(default)]
        cpf: Option<String>,
        /// `ISC_CPF_MERGE_FILE` of this start.
        #[serde(default)]
        merge: Option<String>,
    },
    /// `iris stop`.
    Stop {},
    /// `iris merge`. It may fail.
    Merge {
        /// The merge file.
        file: String,
    },
    /// What the users do from now on; what is not named stays.
    Load {
        /// MB of changed blocks between two passes.
        #[serde(default)]
        dirty_mb: Option<Amount>,
        /// MB of journal.
        #[serde(default)]
        journal_mb: Option<Amount>,
        /// MB of the database USER.
        #[serde(default)]
        database_mb: Option<Amount>,
    },
    /// So many sessions in all are held from now on, and opened again when they break.
    Sessions {
        /// How many.
        count: Amount,
        /// Each begins a transaction and does not end it. Default false.
        #[serde(default)]
        transaction: bool,
        /// Each crashes once a second, as a program with a fault does. Default false.
        #[serde(default)]
        crash: bool,
    },
    /// Kill a process of the instance, as the OOM killer does.
    Kill {
        /// `CONTROL`, `WRTDMN`, `AUXWD`, `GARCOL`, `JRNDMN`, `EXPDMN`.
        process: String,
    },
    /// Stop a process of the instance with SIGSTOP, as storage that hangs does: it lives, and does nothing.
    Pause {
        /// As for `kill`, without `CONTROL`.
        process: String,
    },
    /// Let it go on, with SIGCONT.
    Resume {
        /// Which.
        process: String,
    },
    /// `iris force`: every process of the instance is killed at once.
    Force {},
    /// SIGTERM to the instance, as a host that goes down sends it.
    Terminate {},
    /// Nothing, for a while.
    Wait {
        /// Seconds.
        seconds: u32,
    },
}

/// The mode of a file. Invariant: at most 0777, so that no scenario leaves a program that runs as somebody else.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Mode(u32);

impl Mode {
    /// As `chmod` takes it.
    pub fn bits(self) -> u32 {
        self.0
    }
}

impl TryFrom<String> for Mode {
    type Error = String;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        let bits = u32::from_str_radix(&text, 8).ok().filter(|bits| *bits <= 0o777);
        bits.map(Self).ok_or_else(|| format!("mode \"{text}\" is not octal digits up to 0777"))
    }
}

impl From<Mode> for String {
    fn from(mode: Mode) -> Self {
        format!("{:04o}", mode.0)
    }
}

/// A port of the instance.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Port {
    /// `[Startup] DefaultPort`
    Superserver,
    /// `[Startup] WebServerPort`
    WebServer,
}

impl Step {
    /// Does it change what is compared afterwards: files, kernel values?
    pub fn changes_files(&self) -> bool {
        matches!(
            self,
            Self::Cpf { .. }
                | Self::Edit { .. }
                | Self::Write { .. }
                | Self::Remove { .. }
                | Self::Mode { .. }
                | Self::Kernel { .. }
                | Self::Disk { .. }
        )
    }

    /// May trouble begin with it? Then the pipeline may act from here on.
    pub fn is_trigger(&self) -> bool {
        !self.changes_files() && !matches!(self, Self::Stop {} | Self::HoldPort { .. } | Self::Wait { .. })
    }

    /// The value that it sets, in words; a range as its ends.
    pub fn value(&self) -> Option<(Target, String)> {
        match self {
            Self::Cpf { section, parameter, value } => {
                let target = Target::Cpf { section: section.clone(), parameter: parameter.clone() };
                Some((target, value.clone()))
            }
            Self::Kernel { name, value } => Some((Target::Kernel(name.clone()), value.to_string())),
            _ => None,
        }
    }

    /// Paths that it names.
    pub fn paths(&self) -> Vec<&str> {
        match self {
            Self::Edit { file, .. }
            | Self::Write { file, .. }
            | Self::Remove { file }
            | Self::Mode { file, .. }
            | Self::Merge { file } => {
                vec![file]
            }
            Self::Disk { folder, .. } => vec![folder],
            Self::Start { cpf, merge } => [cpf, merge].into_iter().flatten().map(String::as_str).collect(),
            _ => Vec::new(),
        }
    }

    /// Amounts that it names.
    pub fn amounts(&self) -> Vec<Amount> {
        match self {
            Self::Kernel { value, .. } => vec![*value],
            Self::Sessions { count, .. } => vec![*count],
            Self::Load { dirty_mb, journal_mb, database_mb } => {
                [dirty_mb, journal_mb, database_mb].into_iter().flatten().copied().collect()
            }
            _ => Vec::new(),
        }
    }
}
