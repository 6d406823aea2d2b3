//! A stop that failed: a person is asked again before the instance is killed (F-071).

use instance_contract::{OverallStatus, StepCommand, StepStatus, ToolResult, Verdict};
use instance_planner::Policy;

use crate::desk::{Desk, asks_for_force, dry, forcing, succeeded, undone};

/// Policy lets it be forced; force is asked about whatever else is let pass.
fn bold() -> Desk {
    let policy = Policy { allow_force: true, approve_restarts: false, attempts: 1, ..Policy::default() };
    Desk::with(policy)
}

/// An agent whose instance does not stop in order.
fn stubborn(step: &StepCommand) -> ToolResult {
    match step.step_id.as_str() {
        "restart" if !step.force_agreed => asks_for_force(step),
        id if id.ends_with("-undo") => undone(step),
        _ => succeeded(step),
    }
}

/// As far as the second question.
fn asked_again() -> Desk {
    let mut desk = bold();
    desk.arrives(forcing(1));
    desk.run(stubborn);
    desk.approves(1, Verdict::Granted);
    desk.run(stubborn);
    assert_eq!(desk.sent(), ["config.1", "restart.1"], "no further attempt before the answer");
    desk
}

#[test]
fn a_yes_lets_one_more_attempt_force_whatever_number_policy_allows() {
    let mut desk = asked_again();
    let questions = desk.questions(1);
    assert_eq!(questions.len(), 2);
    let [(step, reason)] = &questions[1].1.reasons[..] else { panic!("{questions:?}") };
    assert_eq!(step.as_str(), "restart");
    assert!(reason.contains("iris force") && reason.contains("120 s after the stop"), "{reason}");
    desk.agrees_to_force(1, Verdict::Granted);
    let mut agreed = Vec::new();
    desk.run_to_the_end(|step| {
        agreed.push((step.step_id.to_string(), step.force_agreed));
        stubborn(step)
    });
    assert_eq!(desk.sent(), ["config.1", "restart.1", "restart.2", "verify.1"]);
    assert_eq!(agreed, [("restart".to_owned(), true), ("verify".to_owned(), false)]);
    assert_eq!(desk.ended(1).overall_status, OverallStatus::Success);
    assert!(desk.replays(1));
}

#[test]
fn a_no_or_silence_takes_back_what_was_done_and_forces_nothing() {
    for verdict in [Some(Verdict::Denied), None] {
        let mut desk = asked_again();
        if let Some(verdict) = verdict {
            desk.agrees_to_force(1, verdict);
        }
        let mut forced = false;
        desk.run_to_the_end(|step| {
            forced |= step.force_agreed;
            stubborn(step)
        });
        assert!(!forced);
        assert_eq!(desk.sent(), ["config.1", "restart.1", "config-undo.1", "restart-undo.1"]);
        let trace = desk.ended(1);
        assert_eq!(trace.overall_status, OverallStatus::Undone);
        let reason = trace.reason.clone().unwrap();
        let no = if verdict.is_some() { "approval denied by operator" } else { "nobody approved in time" };
        assert!(reason.contains("120 s after the stop") && reason.contains(no), "{reason}");
        assert!(desk.replays(1));
    }
}

#[test]
fn an_agent_that_does_not_force_with_a_yes_is_asked_no_third_time() {
    let mut desk = asked_again();
    desk.agrees_to_force(1, Verdict::Granted);
    desk.run_to_the_end(|step| match step.step_id.as_str() {
        "restart" => asks_for_force(step),
        _ => stubborn(step),
    });
    assert_eq!(desk.sent()[..3], ["config.1", "restart.1", "restart.2"]);
    assert_eq!((desk.questions(1).len(), desk.ended(1).overall_status), (2, OverallStatus::Undone));
}

#[test]
fn a_halt_while_the_question_is_open_forces_nothing() {
    let mut desk = asked_again();
    desk.halts();
    desk.run_to_the_end(stubborn);
    let trace = desk.ended(1);
    assert_eq!(trace.overall_status, OverallStatus::Partial, "nothing acts while halted");
    assert_eq!(desk.sent(), ["config.1", "restart.1"]);
}

#[test]
fn a_restart_that_stops_in_order_asks_nobody_twice() {
    let mut desk = bold();
    desk.arrives(forcing(1));
    desk.run(succeeded);
    desk.approves(1, Verdict::Granted);
    desk.run_to_the_end(|step| {
        assert!(!step.force_agreed);
        succeeded(step)
    });
    assert_eq!((desk.questions(1).len(), desk.ended(1).overall_status), (1, OverallStatus::Success));
    let mut desk = bold();
    desk.arrives(dry(forcing(1)));
    desk.run(succeeded);
    let ended = desk.ended(1);
    assert_eq!((ended.overall_status, desk.questions(1).len()), (OverallStatus::DryRun, 0));
    assert!(ended.steps_executed.iter().all(|step| step.status == StepStatus::DryRun));
}
