//! config-agent: one key of a CPF of 400 lines, durable, and what a dry run costs.

use std::{
    fs::{self, File},
    io::Write as _,
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Context as _, Result, bail, ensure};
use instance_agent::{Agent as _, Work};
use instance_clock::{Clock as _, SystemClock};
use instance_config_agent::{Config, ConfigAgent};
use instance_contract::{
    Action, AgentKind, Attempt, Because, CommandId, Digest, ForecastReply, InstanceName, SetCpf, StepCommand,
    Token, Tool, TraceId,
};
use serde_json::json;

use crate::row::Row;

/// Made for the tests, of the size and shape of a real one.
const CPF: &[u8] = include_bytes!("../../../shared/iris/tests/fixtures/full.cpf");
/// A real one, beside the tree on some machines, and not part of it.
const REAL: &str = "../shared/reference/iris/samples/cpf/iris-2024.2-durable.cpf";
/// A dry run of any action, at the 95th percentile.
const DRY_RUN: Duration = Duration::from_millis(20);

pub fn rows(rounds: usize) -> Result<Vec<Row>> {
    let mut rows = Vec::new();
    let real = fs::read(REAL).ok();
    let files = [("a CPF of 400 lines", Some(CPF.to_vec())), ("a real CPF of 396 lines", real)];
    for (what, text) in files {
        let Some(text) = text else {
            println!("config-agent: no {what} beside the tree");
            continue;
        };
        let place = Place::new(&text)?;
        rows.push(edit(
            &format!("config-agent: one key of {what}, durable, with its backup"),
            &place,
            rounds,
        )?);
        rows.push(dry_runs(what, &place, rounds)?);
    }
    Ok(rows)
}

/// A folder with a CPF.
struct Place {
    folder: tempfile::TempDir,
    agent: ConfigAgent,
    text: Vec<u8>,
}

impl Place {
    fn new(text: &[u8]) -> Result<Self> {
        let folder = tempfile::Builder::new().prefix("instance-bench-").tempdir()?;
        fs::write(folder.path().join("iris.cpf"), text)?;
        fs::create_dir(folder.path().join("proc"))?;
        let meminfo = "MemTotal: 16777216 kB\nHugePages_Total: 0\nHugepagesize: 2048 kB\n";
        fs::write(folder.path().join("proc/meminfo"), meminfo)?;
        let config: Config = serde_json::from_value(json!({
            "instances": [{"name": "PROD", "cpf": folder.path().join("iris.cpf")}],
            "proc_root": folder.path().join("proc"),
        }))?;
        let agent = ConfigAgent::new(config, std::sync::Arc::new(SystemClock));
        Ok(Self { folder, agent, text: text.to_vec() })
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// As the agent finds the folder after its own pruning: a handful of backups, not hundreds.
    fn forget_backups(&self) -> Result<()> {
        for entry in fs::read_dir(self.folder.path())? {
            let path = entry?.path();
            if path.to_string_lossy().contains("_instance_") {
                fs::remove_file(path)?;
            }
        }
        Ok(())
    }
}

/// Look, back up, write a draft, sync, rename, sync, read back; beside reading, writing, syncing and renaming alone.
fn edit(what: &str, place: &Place, rounds: usize) -> Result<Row> {
    let bare_folder = place.path("bare");
    fs::create_dir(&bare_folder)?;
    fs::write(bare_folder.join("iris.cpf"), &place.text)?;
    Row::compare(
        what,
        1.5,
        rounds,
        |round| {
            if round % 10 == 9 {
                place.forget_backups()?;
            }
            let order = order(round)?;
            let (free, long) = (|| Ok(()), || Duration::from_mins(1));
            let work = Work::new(&free, &long);
            let prepared = place.agent.prepare(&order, &work)?;
            let applied = place.agent.apply(&order, &prepared, &work)?;
            ensure!(applied.changes.iter().all(|(_, change)| change.validated), "{applied:?}");
            Ok(())
        },
        |_| bare(&bare_folder),
    )
}

fn bare(folder: &Path) -> Result<()> {
    let (cpf, draft) = (folder.join("iris.cpf"), folder.join("draft"));
    let text = fs::read(&cpf)?;
    let mut file = File::create(&draft)?;
    file.write_all(&text)?;
    file.sync_all()?;
    fs::rename(&draft, &cpf)?;
    File::open(folder)?.sync_all()?;
    Ok(())
}

fn dry_runs(what: &str, place: &Place, rounds: usize) -> Result<Row> {
    let instance: InstanceName = "PROD".parse()?;
    let one = Action::SetCpf(wanted(7));
    let several: Action = serde_json::from_value(json!({"kind": "change_cpf", "changes": [
        {"cpf_section": "config", "parameter": "globals", "block_size_kb": 8, "new_value": "1234"},
        {"cpf_section": "config", "parameter": "errlog", "new_value": "700"}]}))?;
    let mut turn = 0;
    Row::within(&format!("config-agent: a dry run on {what}"), DRY_RUN, rounds, || {
        turn += 1;
        let action = if turn % 2 == 0 { &one } else { &several };
        match place.agent.forecast(&instance, action) {
            ForecastReply::Would(_) => Ok(()),
            other => bail!("{other:?}"),
        }
    })
}

fn wanted(round: usize) -> SetCpf {
    SetCpf {
        cpf_section: "config".to_owned(),
        parameter: "globals".to_owned(),
        // Never the value that is there.
        new_value: format!("0,0,{},0,0,0", 1000 + round),
        current_value: None,
    }
}

pub fn order(round: usize) -> Result<StepCommand> {
    let command_id: CommandId = uuid::Uuid::new_v4().to_string().parse()?;
    let now = SystemClock.now();
    let not_after = now.checked_add(Duration::from_mins(1)).context("a minute from now")?;
    Ok(StepCommand {
        schema: StepCommand::SCHEMA.to_owned(),
        trace_id: TraceId::from_bytes([7; 16]),
        remediation_id: command_id.into(),
        command_id,
        instance: "PROD".parse()?,
        step_id: "config".parse()?,
        attempt: Attempt(1),
        agent: AgentKind::Config,
        host: "bench".parse()?,
        tool: Tool::IrisConfig,
        action: Action::SetCpf(wanted(round)),
        change: None,
        plan_digest: Digest::of(b"plan"),
        not_after,
        limit_seconds: 60,
        force_agreed: false,
        token: Token { epoch: 1, counter: 1 },
        because: Because { now, event: "bench".to_owned(), delay_ms: 0, epoch: 1, halted: false },
    })
}
