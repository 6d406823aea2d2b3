//! Tools that would never end: a program that does not answer, a kernel that does not finish a write. Each is ended with
//! the shortest limit that a step can have.

use std::{
    fs,
    os::unix::fs::{PermissionsExt as _, symlink},
    path::{Path, PathBuf},
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, ensure};
use instance_agent::{Agent, Work};
use instance_clock::SystemClock;
use instance_config_agent::{Config as ConfigSettings, ConfigAgent};
use instance_contract::{Action, AgentKind, Failure, StepCommand, Verify};
use instance_os_agent::{Config as OsSettings, OsAgent};
use instance_restart_agent::{Config as RestartSettings, RestartAgent};
use serde_json::json;

use crate::row::Row;

const CPF: &[u8] = include_bytes!("../../../shared/iris/tests/fixtures/full.cpf");
const LIMIT: Duration = Duration::from_secs(10);
/// Of these ten seconds of a restart the last one is kept for the start.
const STOP_LIMIT: Duration = Duration::from_secs(9);
/// Answers as long as there is no file `hangs`; a merge, a stop and a write of a value never end.
const IRIS: &str = "#!/bin/sh\nhere=$(dirname \"$0\")\n[ \"$1\" = qlist ] && [ ! -e \"$here/hangs\" ] && {\n\
    echo \"PROD^/prod^2024.2^running, since Thu Feb 19 20:47:24 2026^iris.cpf^1972^0^0^ok^IRIS^^^/prod^1972\"\n\
    exit 0\n}\nsleep 600\n";

type Tool = Box<dyn FnOnce(&Work<'_>) -> Result<(), Failure> + Send>;

/// All at the same time.
pub fn rows() -> Result<Vec<Row>> {
    let (answers, hangs) = (Place::new(false)?, Place::new(true)?);
    let tools = [
        ("config-agent: iris merge hangs", merge(&answers)?),
        ("config-agent: iris qlist hangs before a merge", merge(&hangs)?),
        ("config-agent: iris qlist hangs in a verification", verify(hangs.config()?, AgentKind::Config)?),
        ("os-agent: the kernel hangs in a write", write(&answers)),
        ("os-agent: iris qlist hangs in a verification", verify(hangs.os()?, AgentKind::Os)?),
        ("restart-agent: iris stop hangs", stop(&answers)?),
        ("restart-agent: iris qlist hangs in a verification", verify(hangs.restart()?, AgentKind::Restart)?),
    ];
    let running: Vec<_> = tools.into_iter().map(|(what, tool)| (what, thread::spawn(|| end(tool)))).collect();
    running
        .into_iter()
        .map(|(what, tool)| {
            let (took, outcome) = tool.join().ok().with_context(|| format!("{what}: a panic"))?;
            ensure!(outcome.is_err(), "{what}: it did not hang");
            let limit = if what.contains("iris stop") { STOP_LIMIT } else { LIMIT };
            Ok(Row::End { what: what.to_owned(), took, limit })
        })
        .collect()
}

fn end(tool: Tool) -> (Duration, Result<(), Failure>) {
    let began = Instant::now();
    let remaining = || LIMIT.saturating_sub(began.elapsed());
    let outcome = tool(&Work::new(&|| Ok(()), &remaining));
    (began.elapsed(), outcome)
}

/// An instance, and the programs that reach it.
struct Place(tempfile::TempDir);

impl Place {
    fn new(hangs: bool) -> Result<Self> {
        let place = Self(tempfile::Builder::new().prefix("instance-bench-").tempdir()?);
        fs::create_dir(place.path("mgr"))?;
        fs::create_dir(place.path("proc"))?;
        fs::write(place.path("mgr/messages.log"), "")?;
        fs::write(
            place.path("proc/meminfo"),
            "MemTotal: 16777216 kB\nHugePages_Total: 0\nHugepagesize: 2048 kB\n",
        )?;
        fs::write(place.path("iris.cpf"), CPF)?;
        fs::write(place.path("iris"), IRIS)?;
        fs::set_permissions(place.path("iris"), fs::Permissions::from_mode(0o755))?;
        // One process of the instance: without any it would not be stopped.
        let control = place.path("proc/200");
        fs::create_dir(&control)?;
        symlink(place.path("mgr").canonicalize()?, control.join("cwd"))?;
        let rest = "0 ".repeat(30);
        let line = format!("200 (irisdb) S 1 200 200 0 200 0 0 0 0 0 0 0 0 0 20 0 1 0 6000 1 1 {rest}\n");
        fs::write(control.join("stat"), line)?;
        if hangs {
            fs::write(place.path("hangs"), "")?;
        }
        Ok(place)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn settings(&self) -> serde_json::Value {
        json!({
            "instances": [{"name": "PROD", "cpf": self.path("iris.cpf"), "messages_log": self.path("mgr/messages.log")}],
            "iris_command": self.path("iris"), "proc_root": self.path("proc"),
        })
    }

    fn config(&self) -> Result<ConfigAgent> {
        let settings: ConfigSettings = serde_json::from_value(self.settings())?;
        Ok(ConfigAgent::new(settings, Arc::new(SystemClock)))
    }

    fn os(&self) -> Result<OsAgent> {
        let settings: OsSettings = serde_json::from_value(self.settings())?;
        Ok(OsAgent::new(settings))
    }

    fn restart(&self) -> Result<RestartAgent> {
        let mut settings = self.settings();
        settings["process_root"] = json!(self.path("proc"));
        settings["state_dir"] = json!(self.path("state"));
        settings["start_seconds"] = json!(1);
        let settings: RestartSettings = serde_json::from_value(settings)?;
        Ok(RestartAgent::new(settings, Arc::new(SystemClock)))
    }
}

fn order(agent: AgentKind, action: serde_json::Value) -> Result<StepCommand> {
    let action: Action = serde_json::from_value(action)?;
    let mut order = crate::config::order(1)?;
    (order.agent, order.action) = (agent, action);
    Ok(order)
}

fn merge(place: &Place) -> Result<Tool> {
    let change = json!({"kind": "change_cpf", "live": true, "changes": [
        {"cpf_section": "config", "parameter": "locksiz", "new_value": "33554432"}]});
    let (agent, order) = (place.config()?, order(AgentKind::Config, change)?);
    Ok(Box::new(move |work| {
        let prepared = agent.prepare(&order, work)?;
        agent.apply(&order, &prepared, work).map(drop)
    }))
}

fn stop(place: &Place) -> Result<Tool> {
    // Whoever may be there is not waited for.
    let restart =
        json!({"kind": "restart", "when_users_stay": "stop", "users_seconds": 0, "stop_seconds": 9});
    let (agent, order) = (place.restart()?, order(AgentKind::Restart, restart)?);
    Ok(Box::new(move |work| {
        let prepared = agent.prepare(&order, work)?;
        agent.apply(&order, &prepared, work).map(drop)
    }))
}

fn verify(agent: impl Agent, kind: AgentKind) -> Result<Tool> {
    let wanted: Verify = serde_json::from_value(
        json!({"expect": [{"kind": "instance_healthy"}], "quiet": [], "quiet_seconds": 0}),
    )?;
    let order = order(kind, json!({"kind": "restart"}))?;
    Ok(Box::new(move |work| agent.verify(&order, &wanted, work).map(drop)))
}

/// As os-agent writes what may take long: by a process of its own.
fn write(place: &Place) -> Tool {
    let (program, value): (PathBuf, PathBuf) = (place.path("iris"), place.path("nr_hugepages"));
    let failed = |error: instance_os_agent::HostError| Failure::transient("timed_out", error.to_string());
    Box::new(move |work| {
        instance_os_agent::write_apart(Path::new(&program), &value, "900", work.remaining()).map_err(failed)
    })
}
