use std::{collections::BTreeMap, path::PathBuf};

use instance_agent::settings::{self, InstanceSettings};
use instance_contract::{InstanceName, RestartInstance, WhenUsersStay};
use serde::{Deserialize, Deserializer, de::Error as _};

/// Settings of restart-agent. Unknown names are refused.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// The IRIS instances of this host that the agent may stop and start. At least one.
    pub instances: Vec<InstanceSettings>,
    /// Where an instance tells its metrics, by its name: `http://127.0.0.1:80/iris/api/monitor/metrics`. Without an
    /// entry the private web server is asked, on the port that `iris qlist` tells. An instance whose metrics cannot be read
    /// is not stopped, unless it hangs or `when_users_stay` says so: its open transactions cannot be seen. Default: none.
    #[serde(default)]
    pub metrics_url: BTreeMap<InstanceName, String>,
    /// The `iris` program. An absolute path. Default: `/usr/bin/iris`.
    #[serde(default = "settings::default_iris_command")]
    pub iris_command: PathBuf,
    /// Who runs the `iris` program for this service: a socket of `instance-iris.socket`. An instance inherits the sandbox of
    /// whoever starts it, so a service in a sandbox needs it; systemd's unit of restart-agent sets it. Default: none, this
    /// service runs `iris_command` itself.
    #[serde(default)]
    pub iris_socket: Option<PathBuf>,
    /// Environment of the `iris` program, and of an instance that it starts: `ISC_CPF_MERGE_FILE`, `LD_LIBRARY_PATH`, `TZ`
    /// ... It sees nothing of this agent's own environment. With
    /// `iris_socket`, `Environment=` of `instance-iris@.service` counts instead. Default: none, beside a `PATH` of the system's folders.
    #[serde(default)]
    pub iris_environment: BTreeMap<String, String>,
    /// How long users may take to leave, in seconds, before the stop begins; 0 to 300. Default: 60.
    #[serde(default = "default_users_seconds", deserialize_with = "seconds::<0, _>")]
    pub users_seconds: u64,
    /// What then happens about those who are still there: `answer` stops nothing and lists them, or says
    /// what cannot be seen, `stop` stops the instance all the same. Default: `answer`.
    #[serde(default = "default_when_users_stay")]
    pub when_users_stay: WhenUsersStay,
    /// How long the instance may take from the stop command until it is down, in seconds; 1 to 300. Then the stop has
    /// failed: nothing is started. Default: 120.
    #[serde(default = "default_stop_seconds", deserialize_with = "seconds::<1, _>")]
    pub stop_seconds: u64,
    /// May a command that asks for it, and that policy and a person have let through, kill an instance that does not
    /// stop (`iris force`)? Once the stop has failed, the person is asked again. Default: false.
    #[serde(default)]
    pub allow_force: bool,
    /// How long the instance may take from the start command to accepting logons, in seconds; 1 to 300. Default: 60.
    #[serde(default = "default_start_seconds", deserialize_with = "seconds::<1, _>")]
    pub start_seconds: u64,
    /// Restarts of one instance within any hour, whatever policy says. Default: 3.
    #[serde(default = "default_restarts_per_hour")]
    pub restarts_per_hour: u32,
    /// Least time between two restarts of one instance in minutes, whatever policy says. Default: 15.
    #[serde(default = "default_minutes_between_restarts")]
    pub minutes_between_restarts: u32,
    /// Where the kernel shows its values. Default: `/proc`.
    #[serde(default = "settings::default_proc_root")]
    pub proc_root: PathBuf,
    /// Where processes and their sockets are seen. Another folder than `/proc` is for tests. Default: `/proc`.
    #[serde(default = "settings::default_proc_root")]
    pub process_root: PathBuf,
    /// A folder of `*.toml` with rows of your own: conditions, CPF parameters, kernel parameters, in the forms of
    /// `shared/knowledge/README.md`; a bad row ends the start. The same folder for all services. Default: none.
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

/// No step lasts longer, and a command may not ask for more either.
const LONGEST_SECONDS: u64 = RestartInstance::LONGEST_SECONDS as u64;

fn seconds<'de, const LEAST: u64, D: Deserializer<'de>>(from: D) -> Result<u64, D::Error> {
    let seconds = i64::deserialize(from)?;
    u64::try_from(seconds).ok().filter(|seconds| (LEAST..=LONGEST_SECONDS).contains(seconds)).ok_or_else(
        || {
            D::Error::custom(format!(
                "{seconds} must be a number of seconds from {LEAST} to {LONGEST_SECONDS}"
            ))
        },
    )
}

fn default_users_seconds() -> u64 {
    60
}

fn default_when_users_stay() -> WhenUsersStay {
    WhenUsersStay::Answer
}

fn default_stop_seconds() -> u64 {
    120
}

fn default_start_seconds() -> u64 {
    60
}

fn default_restarts_per_hour() -> u32 {
    3
}

fn default_minutes_between_restarts() -> u32 {
    15
}

fn default_state_dir() -> PathBuf {
    "/var/lib/instance/restart-agent".into()
}
