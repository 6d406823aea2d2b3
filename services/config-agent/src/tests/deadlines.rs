//! The limit of a step ends its work: programs and ports that never answer, each tool as the loop calls it. That it ends
//! within a twentieth of its limit is measured by `cargo xtask bench agents`; here a busy machine has its say.

use std::{
    fs,
    net::TcpListener,
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

use instance_agent::{Agent, Applied, Work};
use instance_clock::SystemClock;
use instance_contract::{Action, AgentKind, Expectation, Failure, StepCommand, Verify};
use serde_json::json;

use super::{Stage, code, merges};
use crate::agent::ConfigAgent;

/// Shorter than what `iris qlist` and a web port may take by themselves, so that it is the step's limit that ends it.
const LIMIT: Duration = Duration::from_secs(2);
/// What a busy machine adds is not the agent's: one of three tries must end within so much more, which is still before
/// those limits would end it.
const SLACK: Duration = Duration::from_millis(2500);
/// No tool ends so early that something else than its limit has ended it.
const TOLERANCE: Duration = Duration::from_millis(100);

/// A tool that hangs.
struct Case {
    behaves: &'static str,
    /// One of these is said when it is given up: on a machine that is short of time, the question before is cut off.
    says: &'static [&'static str],
    run: fn(&Stage, &Work<'_>) -> String,
}

const CASES: [Case; 6] = [
    Case {
        behaves: "hangs",
        says: &["merge_timed_out", "iris_unavailable"],
        run: |stage, work| word(merge(stage, work)),
    },
    Case { behaves: "qlist_hangs", says: &["iris_unavailable"], run: |stage, work| word(merge(stage, work)) },
    Case {
        behaves: "hangs",
        says: &["merge_timed_out", "iris_unavailable"],
        run: |stage, work| {
            let (order, prepared) = made(stage);
            let text = stage.cpf();
            let merged = String::from_utf8(text).unwrap().replace("locksiz=0", "locksiz=33554432");
            fs::write(stage.path("iris.cpf"), merged).unwrap();
            word(agent(stage).undo(&order, &prepared, work))
        },
    },
    Case { behaves: "qlist_hangs", says: &["usage: not known"], run: |stage, work| usage(stage, work) },
    Case {
        behaves: "",
        says: &["usage: not known"],
        run: |stage, work| {
            // It takes a connection and says nothing.
            let web = TcpListener::bind("127.0.0.1:0").unwrap();
            fs::write(stage.path("web_port"), web.local_addr().unwrap().port().to_string()).unwrap();
            usage(stage, work)
        },
    },
    Case {
        behaves: "qlist_hangs",
        says: &["evidence_unreadable"],
        run: |stage, work| {
            let expect = vec![Expectation::InstanceHealthy {}];
            let wanted = Verify { expect, quiet: Vec::new(), quiet_seconds: 0 };
            let order = order(&larger_lock_table());
            match agent(stage).verify(&order, &wanted, work) {
                Err(failure) => code(&failure).to_owned(),
                Ok(found) => format!("{found:?}"),
            }
        },
    },
];

fn agent(stage: &Stage) -> ConfigAgent {
    ConfigAgent::new(stage.config.clone(), Arc::new(SystemClock))
}

fn order(action: &Action) -> StepCommand {
    instance_testkit::order(AgentKind::Config, action)
}

fn larger_lock_table() -> Action {
    let change = json!({"kind": "change_cpf", "live": true, "changes": [
        {"cpf_section": "config", "parameter": "locksiz", "new_value": "33554432"}]});
    serde_json::from_value(change).unwrap()
}

/// What a ledger would hold of the merge. Looking changes nothing and asks nobody.
fn made(stage: &Stage) -> (StepCommand, instance_agent::Prepared) {
    let order = order(&larger_lock_table());
    let free = Work::new(&|| Ok(()), &|| Duration::from_mins(1));
    let prepared = agent(stage).prepare(&order, &free).unwrap();
    (order, prepared)
}

fn merge(stage: &Stage, work: &Work<'_>) -> Result<Applied, Failure> {
    let (order, prepared) = made(stage);
    agent(stage).apply(&order, &prepared, work)
}

fn word(outcome: Result<Applied, Failure>) -> String {
    outcome.map_or_else(|failure| code(&failure).to_owned(), |applied| format!("{applied:?}"))
}

fn usage(stage: &Stage, work: &Work<'_>) -> String {
    let report = serde_json::from_value(json!({"kind": "check_license", "action": "report_usage"})).unwrap();
    let order = order(&report);
    let agent = agent(stage);
    let prepared = agent.prepare(&order, work).unwrap();
    agent.apply(&order, &prepared, work).unwrap().warnings.join("\n")
}

/// How long one try took; it must have ended as the case says, and nothing of it goes on.
fn took(number: usize, case: &Case) -> Duration {
    let stage = merges::stage(case.behaves);
    let before = stage.cpf();
    let began = Instant::now();
    let remaining = || LIMIT.saturating_sub(began.elapsed());
    let said = (case.run)(&stage, &Work::new(&|| Ok(()), &remaining));
    let took = began.elapsed();
    assert!(case.says.iter().any(|word| said.contains(word)), "case {number}: {said}");
    assert!(took + TOLERANCE >= LIMIT, "case {number} ended after {took:?}: {said}");
    while stage.hung_runs() {
        assert!(began.elapsed() < Duration::from_mins(1), "case {number}: what hung still runs");
        thread::sleep(Duration::from_millis(20));
    }
    assert!(stage.others().iter().all(|name| !name.contains("_merge")), "{:?}", stage.others());
    let cpf = String::from_utf8(stage.cpf()).unwrap();
    let undone = cpf.replace("locksiz=33554432", "locksiz=0");
    assert_eq!(undone.into_bytes(), before, "case {number}");
    took
}

#[test]
fn the_limit_of_a_step_ends_each_tool_and_all_that_it_started() {
    thread::scope(|scope| {
        for (number, case) in CASES.iter().enumerate() {
            scope.spawn(move || {
                let tries: Vec<Duration> = (0..3).map(|_| took(number, case)).collect();
                assert!(tries.iter().any(|took| *took <= LIMIT + SLACK), "case {number}: {tries:?}");
            });
        }
    });
}
