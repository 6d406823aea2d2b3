use std::{collections::BTreeMap, num::NonZeroUsize, path::PathBuf};

use instance_agent::settings::{self, InstanceSettings};
use instance_contract::InstanceName;
use serde::Deserialize;

/// Settings of config-agent. Unknown names are refused.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// The IRIS instances of this host that the agent may change. At least one.
    pub instances: Vec<InstanceSettings>,
    /// The merge file that IRIS applies to an instance at its start (`ISC_CPF_MERGE_FILE`), by its name. What it names is not
    /// changed in the CPF, where the next merge would overwrite it. Default: none.
    #[serde(default)]
    pub merge_file: BTreeMap<InstanceName, PathBuf>,
    /// Where an instance tells its metrics, by its name: `http://127.0.0.1:80/iris/api/monitor/metrics`. Without an
    /// entry the private web server is asked, on the port that `iris qlist` tells; new installations have none. The use of
    /// the license is read there. Default: none.
    #[serde(default)]
    pub metrics_url: BTreeMap<InstanceName, String>,
    /// The `iris` program. An absolute path. Default: `/usr/bin/iris`.
    #[serde(default = "settings::default_iris_command")]
    pub iris_command: PathBuf,
    /// Where the kernel shows its state. Default: `/proc`.
    #[serde(default = "settings::default_proc_root")]
    pub proc_root: PathBuf,
    /// A folder of `*.toml` with rows of your own: conditions, CPF parameters, kernel parameters, in the forms of
    /// `shared/knowledge/README.md`; a bad row ends the start. The same folder for all services. Default: none.
    #[serde(default)]
    pub knowledge_dir: Option<PathBuf>,
    /// Where the agent's ledger lies; made when it is missing. Default: `/var/lib/instance/config-agent`.
    #[serde(default = "default_state_dir")]
    pub state_dir: PathBuf,
    /// Where the three agents of this host keep the highest token seen, by instance. Default:
    /// `/var/lib/instance/fence`. The same folder for all three.
    #[serde(default = "settings::default_fence_dir")]
    pub fence_dir: PathBuf,
    /// How many backups of a CPF stay. At least 1. Younger than 25 hours against the newest, and
    /// the newest sound one, stay anyway.
    /// Default: 10.
    #[serde(default = "default_kept_backups")]
    pub kept_backups: NonZeroUsize,
}

fn default_state_dir() -> PathBuf {
    "/var/lib/instance/config-agent".into()
}

fn default_kept_backups() -> NonZeroUsize {
    NonZeroUsize::new(10).expect("ten is not zero")
}
