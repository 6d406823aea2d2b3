//! The limit of a step ends its work: a kernel that never comes to an end of a write, and a program that never answers.
//! That it ends within a twentieth of its limit is measured by `cargo xtask bench agents`; here a busy machine has its say.

use std::{
    fs,
    os::unix::fs::PermissionsExt,
    path::PathBuf,
    sync::OnceLock,
    thread,
    time::{Duration, Instant},
};

use instance_agent::{Agent, Work};
use instance_contract::{Action, AgentKind, Expectation, Failure, StepCommand, Verify};

use super::{Stage, code, set};
use crate::agent::OsAgent;

/// Shorter than what `iris qlist` may take by itself, so that it is the step's limit that ends it.
const LIMIT: Duration = Duration::from_secs(2);
/// What a busy machine adds is not the agent's: one of three tries must end within so much more.
const SLACK: Duration = Duration::from_millis(2500);
/// No tool ends so early that something else than its limit has ended it.
const TOLERANCE: Duration = Duration::from_millis(100);

/// Stands for the process that writes a value, inside a kernel that never finishes with it; and for an `iris` that never
/// answers.
const HANGS: &str = "#!/bin/sh\n[ \"$1\" = qlist ] && sleep 600\nsleep 600 & echo $! >\"$2.hung\"\nwait\n";

/// A tool that hangs, and what is said when it is given up.
type Case = (&'static str, fn(&Stage, &Work<'_>) -> Result<(), Failure>);

const CASES: [Case; 3] = [
    ("timed_out", |stage, work| {
        let order = pages("900");
        let agent = agent(stage);
        let prepared = agent.prepare(&order, &in_time())?;
        agent.apply(&order, &prepared, work).map(drop)
    }),
    ("timed_out", |stage, work| {
        let order = pages("900");
        let prepared = agent(stage).prepare(&order, &in_time())?;
        stage.write("proc/sys/vm/nr_hugepages", "900\n");
        agent(stage).undo(&order, &prepared, work).map(drop)
    }),
    ("evidence_unreadable", |stage, work| {
        let wanted =
            Verify { expect: vec![Expectation::InstanceHealthy {}], quiet: Vec::new(), quiet_seconds: 0 };
        agent(stage).verify(&pages("900"), &wanted, work).map(drop)
    }),
];

/// What comes before the tool that hangs has the time that it needs.
fn in_time() -> Work<'static> {
    Work::new(&|| Ok(()), &|| Duration::from_mins(1))
}

fn agent(stage: &Stage) -> OsAgent {
    OsAgent::on(stage.local().with_writer(program()).into(), stage.config.clone())
}

fn pages(count: &str) -> StepCommand {
    instance_testkit::order(AgentKind::Os, &Action::SetKernel(set("vm.nr_hugepages", count)))
}

/// Does what the writer had started still run?
fn runs(stage: &Stage) -> bool {
    let Ok(process) = fs::read_to_string(stage.path("proc/sys/vm/nr_hugepages.hung")) else { return false };
    let stat = fs::read_to_string(format!("/proc/{}/stat", process.trim())).unwrap_or_default();
    stat.rsplit_once(')').is_some_and(|(_, rest)| !rest.trim_start().starts_with(['Z', 'X']))
}

/// How long one try took; it must have ended as the case says, and nothing of it goes on.
fn took((says, run): &Case) -> Duration {
    let mut stage = Stage::new();
    stage.config.iris_command = program();
    let began = Instant::now();
    let remaining = || LIMIT.saturating_sub(began.elapsed());
    let failure = run(&stage, &Work::new(&|| Ok(()), &remaining)).unwrap_err();
    let took = began.elapsed();
    assert_eq!(code(&failure), *says, "{failure}");
    assert!(took + TOLERANCE >= LIMIT, "ended after {took:?}: {failure}");
    while runs(&stage) {
        assert!(began.elapsed() < Duration::from_mins(1), "the writer still runs");
        thread::sleep(Duration::from_millis(20));
    }
    took
}

#[test]
fn the_limit_of_a_step_ends_each_tool_and_all_that_it_started() {
    thread::scope(|scope| {
        for case in &CASES {
            scope.spawn(move || {
                let tries: Vec<Duration> = (0..3).map(|_| took(case)).collect();
                assert!(tries.iter().any(|took| *took <= LIMIT + SLACK), "{}: {tries:?}", case.0);
            });
        }
    });
}

/// Written once, before any test starts a process: a program that is open for writing anywhere cannot be run.
fn program() -> PathBuf {
    static PROGRAM: OnceLock<tempfile::TempDir> = OnceLock::new();
    let folder = PROGRAM.get_or_init(|| {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("hangs.sh");
        fs::write(&path, HANGS).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
        folder
    });
    folder.path().join("hangs.sh")
}
