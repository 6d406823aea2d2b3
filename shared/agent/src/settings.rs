//! What the settings of all three agents have in common.

use std::path::{Path, PathBuf};

use instance_contract::{Failure, InstanceName};
use serde::Deserialize;

use crate::evidence::InstanceView;

/// Where an agent keeps what must survive it.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AgentSettings {
    /// Folder of the ledger; this agent's alone, on a disk that keeps what was synced.
    pub state_dir: PathBuf,
    /// Folder of the fence; the same for the three agents of a host.
    pub fence_dir: PathBuf,
}

/// One IRIS instance on this host.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct InstanceSettings {
    /// As `iris qlist` prints it.
    pub name: InstanceName,
    /// Its CPF; the file itself, not a link to it. Default: `/usr/irissys/iris.cpf`.
    #[serde(default = "default_cpf")]
    pub cpf: PathBuf,
    /// Its log, which `[config] console` may have put elsewhere. Default: `/usr/irissys/mgr/messages.log`.
    #[serde(default = "default_messages_log")]
    pub messages_log: PathBuf,
    /// Its manager directory: its processes work there, and `iris.key` and `IRIS.WIJ` lie in it. Default: the folder `mgr`
    /// beside the CPF where there is one, else the folder of the log.
    #[serde(default)]
    pub manager_dir: Option<PathBuf>,
}

impl InstanceSettings {
    /// Its manager directory, as the settings name it or as the places of its files tell.
    pub fn manager_dir(&self) -> PathBuf {
        let named = self.manager_dir.clone();
        let beside = || Some(self.cpf.with_file_name("mgr")).filter(|folder| folder.is_dir());
        named
            .or_else(beside)
            .unwrap_or_else(|| self.messages_log.parent().unwrap_or(&self.messages_log).to_owned())
    }

    /// Where to look when the instance is to be verified.
    pub fn view(&self, iris_command: &Path, proc_root: &Path) -> InstanceView {
        InstanceView {
            name: self.name.clone(),
            cpf: self.cpf.clone(),
            messages_log: self.messages_log.clone(),
            manager_dir: self.manager_dir(),
            iris_command: Some(iris_command.to_owned()),
            proc_root: proc_root.to_owned(),
        }
    }
}

/// The instance of that name. Only an instance of the settings is ever touched.
pub fn find<'a>(
    instances: &'a [InstanceSettings],
    name: &InstanceName,
) -> Result<&'a InstanceSettings, Failure> {
    instances.iter().find(|known| &known.name == name).ok_or_else(|| {
        let message = format!("instance \"{name}\" is not in the settings of this agent");
        Failure::refused("unknown_instance", message)
    })
}

/// `/usr/bin/iris`, where an installation links its program.
pub fn default_iris_command() -> PathBuf {
    "/usr/bin/iris".into()
}

/// `/proc`
pub fn default_proc_root() -> PathBuf {
    "/proc".into()
}

/// `/var/lib/instance/fence`
pub fn default_fence_dir() -> PathBuf {
    "/var/lib/instance/fence".into()
}

fn default_cpf() -> PathBuf {
    "/usr/irissys/iris.cpf".into()
}

fn default_messages_log() -> PathBuf {
    "/usr/irissys/mgr/messages.log".into()
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn the_manager_directory_is_named_or_lies_beside_the_cpf_wherever_the_log_is() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path();
        fs::create_dir(root.join("logs")).unwrap();
        let of = |manager_dir: Option<&str>| InstanceSettings {
            name: "PROD".parse().unwrap(),
            cpf: root.join("iris.cpf"),
            messages_log: root.join("logs/messages.log"),
            manager_dir: manager_dir.map(PathBuf::from),
        };
        assert_eq!(of(None).manager_dir(), root.join("logs"));
        fs::create_dir(root.join("mgr")).unwrap();
        assert_eq!(of(None).manager_dir(), root.join("mgr"));
        assert_eq!(of(Some("/elsewhere/mgr")).manager_dir(), Path::new("/elsewhere/mgr"));
    }
}
