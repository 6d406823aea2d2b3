//! What a dry run costs that asks a running instance: a restart, a live merge, a license. Its `iris` is a script that
//! answers at once, for what the real one takes is not ours.

use std::{fs, os::unix::fs::PermissionsExt as _, sync::Arc, time::Duration};

use anyhow::{Result, bail};
use instance_agent::Agent;
use instance_clock::SystemClock;
use instance_config_agent::{Config as ConfigSettings, ConfigAgent};
use instance_contract::{Action, ForecastReply, InstanceName};
use instance_restart_agent::{Config as RestartSettings, RestartAgent};
use serde_json::json;

use crate::row::Row;

const CPF: &[u8] = include_bytes!("../../../shared/iris/tests/fixtures/full.cpf");
/// A message log as large as IRIS lets one grow by default, with the last start at its end, as after a restart.
const LOG_BYTES: usize = 5 * 1024 * 1024;
const LINE: &str = "11/14/25-09:45:55:657 (50745) 0 [Generic.Event] Journaling switched to a new file\n";
const START: &str = "\n\n*** Recovery started at Fri Nov 14 10:48:58 2025\n\
    11/14/25-09:45:55:657 (50745) 0 [Generic.Event] Allocated 504MB shared memory\n\
    11/14/25-09:45:56:657 (50745) 0 [Utility.Event] Enabling logons\n";
/// A dry run of any action, at the 95th percentile.
const DRY_RUN: Duration = Duration::from_millis(20);

pub fn rows(rounds: usize) -> Result<Vec<Row>> {
    let folder = tempfile::Builder::new().prefix("instance-bench-").tempdir()?;
    let root = folder.path();
    fs::write(root.join("iris.cpf"), CPF)?;
    fs::create_dir(root.join("mgr"))?;
    fs::write(root.join("mgr/messages.log"), LINE.repeat(LOG_BYTES / LINE.len()) + START)?;
    fs::write(root.join("mgr/iris.key"), "[License]\nLicenseCapacity=Core:8\nExpirationDate=12/31/2030\n")?;
    fs::create_dir(root.join("proc"))?;
    let meminfo =
        "MemTotal: 16777216 kB\nMemAvailable: 8388608 kB\nHugePages_Total: 0\nHugepagesize: 2048 kB\n";
    fs::write(root.join("proc/meminfo"), meminfo)?;
    let iris = root.join("iris");
    let line =
        "PROD^/prod^2024.2^running, since Thu Feb 19 20:47:24 2026^iris.cpf^1972^0^0^ok^IRIS^^^/prod^1972";
    fs::write(&iris, format!("#!/bin/sh\necho \"{line}\"\n"))?;
    fs::set_permissions(&iris, fs::Permissions::from_mode(0o755))?;
    let settings = json!({
        "instances": [{"name": "PROD", "cpf": root.join("iris.cpf"), "messages_log": root.join("mgr/messages.log")}],
        "iris_command": iris, "proc_root": root.join("proc"), "state_dir": root.join("state"),
    });
    let clock = Arc::new(SystemClock);
    let config: ConfigSettings = serde_json::from_value(settings.clone())?;
    let mut restart = settings;
    restart["process_root"] = json!("/proc");
    let restart: RestartSettings = serde_json::from_value(restart)?;
    let config = ConfigAgent::new(config, clock.clone());
    let restart = RestartAgent::new(restart, clock);
    let merge = json!({"kind": "change_cpf", "live": true, "changes": [
        {"cpf_section": "config", "parameter": "locksiz", "new_value": "33554432"}]});
    Ok(vec![
        dry_run("restart-agent: dry run of a restart", &restart, json!({"kind": "restart"}), rounds)?,
        dry_run("config-agent: dry run of a live merge", &config, merge, rounds)?,
        dry_run(
            "config-agent: license usage",
            &config,
            json!({"kind": "check_license", "action": "report_usage"}),
            rounds,
        )?,
    ])
}

fn dry_run(what: &str, agent: &dyn Agent, action: serde_json::Value, rounds: usize) -> Result<Row> {
    let (action, instance): (Action, InstanceName) = (serde_json::from_value(action)?, "PROD".parse()?);
    Row::within(what, DRY_RUN, rounds, || match agent.forecast(&instance, &action) {
        ForecastReply::Would(_) | ForecastReply::ReadOnly { .. } => Ok(()),
        ForecastReply::Wont(failure) => bail!("{failure}"),
    })
}
