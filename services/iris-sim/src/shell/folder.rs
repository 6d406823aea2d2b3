//! Where the files of an instance lie.

use std::path::{Path, PathBuf};

/// The installation folder of one instance.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InstanceFolder {
    root: PathBuf,
}

impl InstanceFolder {
    /// `root` is the folder that holds `iris.cpf`.
    pub fn new(root: impl Into<PathBuf>) -> Self {
        Self { root: root.into() }
    }

    /// The folder itself.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// As IRIS prints it: with a slash at its end.
    pub fn printed(&self) -> String {
        format!("{}/", self.root.display().to_string().trim_end_matches('/'))
    }

    /// The configuration file in use unless a start names another.
    pub fn cpf(&self) -> PathBuf {
        self.root.join("iris.cpf")
    }

    /// The CPF of the last successful start.
    pub fn last_good_cpf(&self) -> PathBuf {
        self.root.join("_LastGood_.cpf")
    }

    /// The simulator's own settings: what a real instance would find in the world around it.
    pub fn settings(&self) -> PathBuf {
        self.root.join("sim.toml")
    }

    /// The manager directory.
    pub fn manager(&self) -> PathBuf {
        self.root.join("mgr")
    }

    /// The messages log, where `[config] console` leaves it.
    pub fn messages_log(&self) -> PathBuf {
        self.manager().join("messages.log")
    }

    /// Severe entries only.
    pub fn alerts_log(&self) -> PathBuf {
        self.manager().join("alerts.log")
    }

    /// Which processes are the instance; exists while it is up.
    pub fn ids(&self) -> PathBuf {
        self.manager().join("iris.ids")
    }

    /// What the instance tells about itself; a real one has it in shared memory.
    pub fn status(&self) -> PathBuf {
        self.manager().join("iris.shid")
    }

    /// The write image journal: what the next start must know.
    pub fn wij(&self) -> PathBuf {
        self.manager().join("IRIS.WIJ")
    }

    /// Held by whoever starts or forces the instance.
    pub fn start_lock(&self) -> PathBuf {
        self.manager().join("ilock")
    }

    /// The license key.
    pub fn license_key(&self) -> PathBuf {
        self.manager().join("iris.key")
    }

    /// Which database encryption key is activated at the start; without the file none is.
    pub fn encryption(&self) -> PathBuf {
        self.manager().join("encryption.conf")
    }

    /// In which words the instance writes; without the file in those that are known.
    pub fn wording(&self) -> PathBuf {
        self.manager().join("wording")
    }

    /// The certificates of the instance, a file each.
    pub fn certificates(&self) -> PathBuf {
        self.manager().join("certificates")
    }

    /// The settings of the private web server; an installation without one has no such file.
    pub fn private_web_server(&self) -> PathBuf {
        self.root.join("csp/bin/CSP.ini")
    }
}
