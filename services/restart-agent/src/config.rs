use std::{path::PathBuf, time::Duration};

use instance_agent::settings::{self, InstanceSettings};
use serde::Deserialize;

/// Settings of restart-agent. Unknown names are refused.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// The IRIS instances of this host that the agent may stop and start. At least one.
    pub instances: Vec<InstanceSettings>,
    /// The `iris` program. An absolute path. Default: `/usr/bin/iris`.
    #[serde(default = "settings::default_iris_command")]
    pub iris_command: PathBuf,
    /// How long users may take to leave and the instance to be down, in seconds. Then the stop has failed: nothing
    /// is forced, and nothing is started. Default: 180 (60 for users, 120 for the stop).
    #[serde(default = "default_stop_seconds")]
    pub stop_seconds: u64,
    /// How long the instance may take from the start command to accepting logons, in seconds. Default: 60.
    #[serde(default = "default_start_seconds")]
    pub start_seconds: u64,
    /// Where the kernel shows its state. Default: `/proc`.
    #[serde(default = "settings::default_proc_root")]
    pub proc_root: PathBuf,
    /// A folder of `*.toml` with conditions of your own, in the form of `shared/knowledge/data/conditions`; a bad row
    /// ends the start. The same folder for all services. Default: none.
    #[serde(default)]
    pub knowledge_dir: Option<PathBuf>,
    /// Where the agent's ledger lies; made when it is missing. Default: `/var/lib/instance/restart-agent`.
    #[serde(default = "default_state_dir")]
    pub state_dir: PathBuf,
    /// Where the three agents of this host keep the highest token seen, by instance. Default:
    /// `/var/lib/instance/fence`. The same folder for all three.
    #[serde(default = "settings::default_fence_dir")]
    pub fence_dir: PathBuf,
}

impl Config {
    pub fn stop_limit(&self) -> Duration {
        Duration::from_secs(self.stop_seconds)
    }

    pub fn start_limit(&self) -> Duration {
        Duration::from_secs(self.start_seconds)
    }
}

fn default_stop_seconds() -> u64 {
    180
}

fn default_start_seconds() -> u64 {
    60
}

fn default_state_dir() -> PathBuf {
    "/var/lib/instance/restart-agent".into()
}
