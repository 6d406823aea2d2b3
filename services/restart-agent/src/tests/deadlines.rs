//! Every limit ends the work: programs, ports and users that never answer, and nothing lasts more than a twentieth
//! longer than it may.

use std::{
    net::TcpListener,
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

use instance_agent::{Agent, Work};
use instance_clock::SystemClock;
use instance_contract::{Expectation, Failure, StepCommand, Verify};
use serde_json::json;

use super::{Stage, code, told_and_done::order};
use crate::agent::RestartAgent;

/// The shortest step that a command can ask for.
const LIMIT: Duration = Duration::from_secs(10);
/// A twentieth of it.
const TOLERANCE: Duration = Duration::from_millis(500);
/// What a busy machine adds is not the agent's. A wait that is too long is there at each try, a busy machine is not: so
/// the shortest of three tries counts, and it has this much more.
const SLACK: Duration = Duration::from_secs(2);

/// A step that hangs, and what is said when it is given up.
struct Case {
    /// One of these: on a machine that is short of time the last look at the state may find nothing.
    says: &'static [&'static str],
    run: fn(&mut Stage) -> Result<(), Failure>,
}

fn agent(stage: &Stage) -> RestartAgent {
    RestartAgent::new(stage.config.clone(), Arc::new(SystemClock))
}

/// As the loop does it: one limit for all.
fn step(stage: &mut Stage, order: &StepCommand, between: &dyn Fn(&Stage)) -> Result<(), Failure> {
    let agent = agent(stage);
    let began = Instant::now();
    let remaining = || LIMIT.saturating_sub(began.elapsed());
    let work = Work::new(&|| Ok(()), &remaining);
    let prepared = agent.prepare(order, &work)?;
    between(stage);
    agent.apply(order, &prepared, &work).map(drop)
}

/// The parts may have so many seconds each, and together more than the step has.
fn parts(stage: &mut Stage, behaviour: &str, seconds: (u64, u64, u64)) -> Result<(), Failure> {
    (stage.config.users_seconds, stage.config.stop_seconds, stage.config.start_seconds) = seconds;
    stage.write("behave", behaviour);
    step(stage, &order(), &|_| ())
}

const CASES: [Case; 9] = [
    Case { says: &["state_unknown"], run: |stage| parts(stage, "qlist_hangs", (0, 60, 60)) },
    // It answers while everything is made ready, and then no more.
    Case {
        says: &["state_unknown"],
        run: |stage| step(stage, &order(), &|stage| stage.write("behave", "qlist_hangs")),
    },
    // Users who stay, and a web port that takes a connection and says nothing.
    Case {
        says: &["users_remain"],
        run: |stage| {
            let web = TcpListener::bind("127.0.0.1:0").unwrap();
            let url = format!("http://{}/api/monitor/metrics", web.local_addr().unwrap());
            stage.config.metrics_url.insert("PROD".parse().unwrap(), url);
            stage.connect(&[40112]);
            parts(stage, "", (60, 0, 0))
        },
    },
    Case { says: &["stop_failed", "state_unknown"], run: |stage| parts(stage, "stop_hangs", (0, 60, 0)) },
    // Nothing is to be seen of it after it was asked to stop.
    Case { says: &["state_unknown"], run: |stage| parts(stage, "stop_midway qlist_hangs_later", (0, 60, 0)) },
    Case {
        says: &["stop_failed", "state_unknown"],
        run: |stage| {
            stage.config.allow_force = true;
            stage.write("behave", "stop_lies force_hangs");
            let mut order = order();
            order.action = serde_json::from_value(json!({"kind": "restart", "force": true})).unwrap();
            order.force_agreed = true;
            step(stage, &order, &|_| ())
        },
    },
    Case {
        says: &["start_failed"],
        run: |stage| {
            stage.down();
            parts(stage, "start_hangs", (0, 0, 60))
        },
    },
    Case {
        says: &["start_failed"],
        run: |stage| {
            stage.down();
            parts(stage, "no_logons", (0, 0, 60))
        },
    },
    Case {
        says: &["evidence_unreadable"],
        run: |stage| {
            stage.write("behave", "qlist_hangs");
            let expect = vec![Expectation::InstanceHealthy {}];
            let wanted = Verify { expect, quiet: Vec::new(), quiet_seconds: 0 };
            let began = Instant::now();
            let remaining = || LIMIT.saturating_sub(began.elapsed());
            let verified = agent(stage).verify(&order(), &wanted, &Work::new(&|| Ok(()), &remaining));
            verified.map(drop)
        },
    },
];

/// How long one try took; it must have ended with the words that the case says.
fn took(number: usize, case: &Case) -> Duration {
    let mut stage = Stage::new();
    let began = Instant::now();
    let failure = (case.run)(&mut stage).unwrap_err();
    let took = began.elapsed();
    assert!(case.says.contains(&code(&failure)), "case {number}: {failure}");
    assert!(took + TOLERANCE >= LIMIT, "case {number} ended after {took:?}: {failure}");
    took
}

#[test]
fn each_limit_ends_the_work_within_a_twentieth() {
    thread::scope(|scope| {
        for (number, case) in CASES.iter().enumerate() {
            scope.spawn(move || {
                let longest = LIMIT + TOLERANCE + SLACK;
                let tries = (0..3).map(|_| took(number, case));
                let shortest = tries.inspect(|took| println!("{number} {:?}: {took:?}", case.says));
                assert!(
                    shortest.into_iter().any(|took| took <= longest),
                    "case {number} never within {longest:?}"
                );
            });
        }
    });
}
