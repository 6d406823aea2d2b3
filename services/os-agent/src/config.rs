use std::path::PathBuf;

use instance_agent::settings::{self, InstanceSettings};
use serde::Deserialize;

/// Settings of os-agent. Unknown names are refused.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// The IRIS instances that run on this host. At least one.
    pub instances: Vec<InstanceSettings>,
    /// The `iris` program. An absolute path. Default: `/usr/bin/iris`.
    #[serde(default = "settings::default_iris_command")]
    pub iris_command: PathBuf,
    /// Where the kernel shows its state and takes values below `sys`. The folder `sys` beside it stands for `/sys`,
    /// where the few others lie. Default: `/proc`.
    #[serde(default = "settings::default_proc_root")]
    pub proc_root: PathBuf,
    /// Where values are kept over a reboot, one file a parameter. Default: `/etc/sysctl.d`.
    #[serde(default = "default_sysctl_dir")]
    pub sysctl_dir: PathBuf,
    /// Whether values are kept over a reboot. Default: true.
    #[serde(default = "default_persist")]
    pub persist: bool,
    /// Memory in MB that must stay for everything else when huge pages are reserved. Default: 512.
    #[serde(default = "default_memory_reserve_mb")]
    pub memory_reserve_mb: u64,
    /// A folder of `*.toml` with rows of your own: conditions, CPF parameters, kernel parameters, in the forms of
    /// `shared/knowledge/README.md`; a bad row ends the start. The same folder for all services. Default: none.
    #[serde(default)]
    pub knowledge_dir: Option<PathBuf>,
    /// Where the agent's ledger lies; made when it is missing. Default: `/var/lib/instance/os-agent`.
    #[serde(default = "default_state_dir")]
    pub state_dir: PathBuf,
    /// Where the three agents of this host keep the highest token seen, by instance. Default:
    /// `/var/lib/instance/fence`. The same folder for all three.
    #[serde(default = "settings::default_fence_dir")]
    pub fence_dir: PathBuf,
}

fn default_sysctl_dir() -> PathBuf {
    "/etc/sysctl.d".into()
}

fn default_persist() -> bool {
    true
}

fn default_memory_reserve_mb() -> u64 {
    512
}

fn default_state_dir() -> PathBuf {
    "/var/lib/instance/os-agent".into()
}
