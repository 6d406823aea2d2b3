//! os-agent: a kernel parameter with ledger and fence, and what a dry run costs, on a folder that looks like a host.

use std::{
    fs::{self, File, OpenOptions},
    io::Write as _,
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Context as _, Result, bail, ensure};
use instance_agent::{Agent as _, Steps, Surroundings, fence::Fence, ledger};
use instance_clock::{Clock, SystemClock};
use instance_contract::{
    Action, AgentKind, Attempt, Because, Change, CommandId, Digest, ForecastReply, InstanceName, SetKernel,
    StepCommand, StepId, StepStatus, Token, Tool, TraceId,
};
use instance_os_agent::{Config, OsAgent};
use serde_json::json;

use crate::row::Row;

const PARAMETER: &str = "vm.swappiness";
/// A message log as large as IRIS lets one grow by default.
const LOG_BYTES: usize = 5 * 1024 * 1024;
/// As an instance with some users has.
const PROCESSES: std::ops::Range<u32> = 1000..1200;
const LINE: &str = "11/14/25-09:45:55:657 (50745) 0 [Generic.Event] Journaling switched to a new file\n";
/// A dry run of any action, at the 95th percentile.
const DRY_RUN: Duration = Duration::from_millis(20);

pub fn rows(rounds: usize) -> Result<Vec<Row>> {
    let host = Host::new()?;
    let mut rows = vec![
        change("os-agent: a kernel parameter with ledger", &host, false, rounds)?,
        change("os-agent: the same, kept over a reboot", &host, true, rounds)?,
    ];
    for (parameter, value) in [
        (PARAMETER, "5"),
        ("kernel.sem", "250 32000 100 128"),
        ("vm.nr_hugepages", "cpf"),
        ("process.cpu_affinity", "0"),
        ("process.cpu_weight", "200"),
    ] {
        rows.push(dry_run(&host, parameter, value, rounds)?);
    }
    Ok(rows)
}

/// A made-up host.
struct Host(tempfile::TempDir);

impl Host {
    fn new() -> Result<Self> {
        let host = Self(tempfile::Builder::new().prefix("instance-bench-").tempdir()?);
        let log = LINE.repeat(LOG_BYTES / LINE.len());
        let processes = PROCESSES.map(|id| id.to_string()).collect::<Vec<_>>().join("\n");
        for (name, text) in [
            (
                "proc/meminfo",
                "MemTotal: 16777216 kB\nMemAvailable: 8388608 kB\nHugePages_Total: 0\nHugePages_Free: 0\nHugepagesize: 2048 kB\n",
            ),
            ("proc/sys/vm/swappiness", "60\n"),
            ("proc/sys/vm/nr_hugepages", "0\n"),
            ("proc/sys/kernel/sem", "32000\t1024000000\t500\t32000\n"),
            ("sys/devices/system/cpu/online", "0-1\n"),
            ("sysctl.d/10-other.conf", "kernel.sysrq = 16\n"),
            ("mgr/iris.cpf", "[config]\nglobals=0,0,1024,0,0,0\nroutines=100\ngmheap=102400\n"),
            ("mgr/messages.log", log.as_str()),
            ("sys/fs/cgroup/cgroup.controllers", "cpu\n"),
            ("sys/fs/cgroup/iris/cpu.weight", "100\n"),
            ("sys/fs/cgroup/iris/cgroup.procs", processes.as_str()),
        ] {
            let path = host.path(name);
            fs::create_dir_all(path.parent().context("a file lies in a folder")?)?;
            fs::write(path, text)?;
        }
        host.processes()?;
        Ok(host)
    }

    fn processes(&self) -> Result<()> {
        for id in PROCESSES {
            let stat = format!("{id} (irisdb) S 1 1 1 0 -1 0 0 0 0 0 0 0 0 0 20 0 1 0 5 1 1\n");
            for place in [format!("proc/{id}"), format!("proc/{id}/task/{id}")] {
                fs::create_dir_all(self.path(&place))?;
                fs::write(self.path(&place).join("stat"), &stat)?;
                fs::write(self.path(&place).join("status"), "Name:\tirisdb\nCpus_allowed_list:\t0-1\n")?;
                fs::write(self.path(&place).join("cgroup"), "0::/iris\n")?;
            }
            std::os::unix::fs::symlink(self.path("mgr"), self.path(&format!("proc/{id}/cwd")))?;
        }
        Ok(())
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn agent(&self, persist: bool) -> Result<OsAgent> {
        let config: Config = serde_json::from_value(json!({
            "instances": [{
                "name": "PROD", "cpf": self.path("mgr/iris.cpf"), "messages_log": self.path("mgr/messages.log"),
            }],
            "proc_root": self.path("proc"), "sysctl_dir": self.path("sysctl.d"), "persist": persist,
        }))?;
        Ok(OsAgent::new(config))
    }
}

struct Free;

impl Surroundings for Free {
    fn clock(&self) -> &dyn Clock {
        &SystemClock
    }

    fn is_halted(&self, _: Duration) -> bool {
        false
    }
}

/// The whole step: ledger, fence, look, write, read back; beside one write, one read and two synced appends.
fn change(what: &str, host: &Host, persist: bool, rounds: usize) -> Result<Row> {
    let state = host.path(&format!("state-{persist}"));
    let ledger = ledger::Ledger::open(ledger::Folder::open(&state)?, SystemClock.now())?;
    let fence = Fence::open(host.path("fence"))?;
    let steps = Steps::new(host.agent(persist)?, ledger, fence, Box::new(Free), "bench".parse()?);
    let value = host.path("proc/sys/vm/swappiness");
    let bare_value = host.path("bare");
    let mut bare_ledger = OpenOptions::new().create(true).append(true).open(host.path("bare-ledger"))?;
    Row::compare(
        what,
        3.0,
        rounds,
        |round| {
            let result = steps.carry_out(&order(round, persist, fs::read_to_string(&value)?.trim())?)?;
            ensure!(result.status == StepStatus::Success, "{:?}", result.error_message);
            Ok(())
        },
        |round| bare(&bare_value, &mut bare_ledger, round),
    )
}

fn bare(value: &Path, ledger: &mut File, round: usize) -> Result<()> {
    let record = [b'x'; 1024];
    let text = format!("{}\n", round % 50);
    ledger.write_all(&record).and_then(|()| ledger.sync_data())?;
    fs::write(value, &text)?;
    ensure!(fs::read_to_string(value)? == text, "read back");
    ledger.write_all(&record).and_then(|()| ledger.sync_data())?;
    Ok(())
}

fn order(round: usize, persist: bool, before: &str) -> Result<StepCommand> {
    let command_id: CommandId = uuid::Uuid::new_v4().to_string().parse()?;
    let step: StepId = "kernel".parse()?;
    // Never the value that is there.
    let after = (round % 50 + if persist { 100 } else { 1 }).to_string();
    let now = SystemClock.now();
    Ok(StepCommand {
        schema: StepCommand::SCHEMA.to_owned(),
        trace_id: TraceId::from_bytes([7; 16]),
        remediation_id: command_id.into(),
        command_id,
        instance: "PROD".parse()?,
        step_id: step.clone(),
        attempt: Attempt(1),
        agent: AgentKind::Os,
        host: "bench".parse()?,
        tool: Tool::OsConfig,
        action: Action::SetKernel(wanted(PARAMETER, &after)),
        change: Some(Change {
            step,
            target: format!("kernel {PARAMETER}"),
            before: before.to_owned(),
            after,
        }),
        plan_digest: Digest::of(b"plan"),
        not_after: now + Duration::from_mins(1),
        limit_seconds: 60,
        force_agreed: false,
        token: Token { epoch: 1, counter: 1 },
        because: Because { now, event: "bench".to_owned(), delay_ms: 0, epoch: 1, halted: false },
    })
}

fn wanted(parameter: &str, value: &str) -> SetKernel {
    SetKernel {
        kernel_param: parameter.to_owned(),
        new_value: value.to_owned(),
        min_value: None,
        max_value: None,
        with_cpf: Vec::new(),
    }
}

fn dry_run(host: &Host, parameter: &str, value: &str, rounds: usize) -> Result<Row> {
    let (agent, instance): (_, InstanceName) = (host.agent(true)?, "PROD".parse()?);
    let action = Action::SetKernel(wanted(parameter, value));
    Row::within(&format!("os-agent: dry run of {parameter} {value}"), DRY_RUN, rounds, || {
        match agent.forecast(&instance, &action) {
            ForecastReply::Would(_) => Ok(()),
            other => bail!("{other:?}"),
        }
    })
}
