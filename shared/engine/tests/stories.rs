//! The core, driven from the first event to the last record, with agents that answer as each story wants.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

mod desk;
mod force; // Before an instance is killed.
mod replays; // What a replay compares.
mod rules; // One story for each rule.

use desk::{
    Desk, but_for, command, dry, failed, graph, priority, refused, succeeded, transient, undone, unknown,
};
use instance_contract::{AnswerStatus, OverallStatus, StepStatus, Verdict};

#[test]
fn a_config_change_with_a_restart_ends_in_success_after_approval() {
    let mut desk = Desk::new().asked();
    assert_eq!(desk.answers(), [AnswerStatus::Accepted]);
    assert_eq!(desk.sent(), [] as [&str; 0], "nothing is touched before the approval");
    desk.approves_and_runs(1);
    assert_eq!(desk.sent(), ["config.1", "restart.1", "verify.1"]);
    let trace = desk.ended(1);
    assert_eq!(trace.overall_status, OverallStatus::Success);
    assert_eq!((trace.totals.total, trace.totals.completed), (3, 3));
    assert!(trace.verification.unwrap().held);
}

#[test]
fn an_unanswered_approval_means_no() {
    let mut desk = Desk::new().asked();
    desk.run_to_the_end(succeeded);
    assert_eq!(desk.ended(1).overall_status, OverallStatus::Expired);
    assert!(desk.sent().is_empty());
}

#[test]
fn a_denied_approval_and_one_for_another_digest_refuse() {
    for verdict in [Verdict::Denied, Verdict::Granted] {
        let mut desk = Desk::new().asked();
        desk.approves_other_digest(1, verdict);
        desk.run(succeeded);
        assert_eq!(desk.ended(1).overall_status, OverallStatus::Refused);
        assert!(desk.sent().is_empty());
    }
}

#[test]
fn a_failed_restart_takes_the_configuration_back_and_brings_the_instance_up() {
    let mut desk = Desk::without_approvals();
    desk.arrives(command(1, "PROD"));
    desk.run(but_for("restart", failed));
    assert_eq!(desk.sent(), ["config.1", "restart.1", "config-undo.1", "restart-undo.1"]);
    let trace = desk.ended(1);
    assert_eq!(trace.overall_status, OverallStatus::Undone);
    assert_eq!(trace.failed_at_step.unwrap().as_str(), "restart");
    let statuses: Vec<StepStatus> = trace.steps_executed.iter().map(|step| step.status).collect();
    assert_eq!(statuses, [StepStatus::Undone, StepStatus::Undone, StepStatus::Skipped]);
}

#[test]
fn a_failed_undo_ends_partial_and_calls_a_person() {
    let mut desk = Desk::without_approvals();
    desk.arrives(command(1, "PROD"));
    desk.run(|step| if step.step_id.as_str() == "config" { succeeded(step) } else { failed(step) });
    let trace = desk.ended(1);
    assert_eq!(trace.overall_status, OverallStatus::Partial);
    assert!(trace.steps_executed.iter().any(|step| step.requires_user_action));
}

#[test]
fn nothing_changed_is_a_failure_and_refused_before_anything_is_refused() {
    for (answer, status) in
        [(failed as fn(&_) -> _, OverallStatus::Failure), (refused, OverallStatus::Refused)]
    {
        let mut desk = Desk::without_approvals();
        desk.arrives(command(1, "PROD"));
        desk.run(answer);
        assert_eq!(desk.ended(1).overall_status, status);
        assert_eq!(desk.sent(), ["config.1"]);
    }
}

#[test]
fn transient_failures_are_tried_three_times_with_growing_waits_and_unknown_is_probed() {
    let mut desk = Desk::without_approvals();
    desk.arrives(command(1, "PROD"));
    desk.run_to_the_end(|step| match (step.step_id.as_str(), step.attempt.0) {
        ("config", 1) => transient(step),
        ("config", 2) => unknown(step),
        _ => succeeded(step),
    });
    assert_eq!(desk.sent(), ["config.1", "config.2", "config.3", "restart.1", "verify.1"]);
    assert_eq!(desk.ended(1).overall_status, OverallStatus::Success);
    let waits = desk.waits();
    assert!((2_000..=2_200).contains(&waits[1]) && (4_000..=4_400).contains(&waits[2]), "{waits:?}");
}

#[test]
fn a_failed_verification_is_the_failure_of_the_last_step() {
    let mut desk = Desk::without_approvals();
    desk.arrives(command(1, "PROD"));
    desk.run(but_for("verify", failed));
    let trace = desk.ended(1);
    assert_eq!(trace.overall_status, OverallStatus::Undone);
    assert!(!trace.verification.unwrap().held);
}

#[test]
fn independent_steps_run_side_by_side_and_grandchildren_of_a_failure_are_skipped() {
    let mut desk = Desk::without_approvals();
    desk.arrives(graph(1, "PROD", &[("a", &[]), ("b", &[]), ("c", &["a"]), ("d", &["c"])]));
    desk.run(|step| match step.step_id.as_str() {
        "a" => failed(step),
        "b-undo" => undone(step),
        _ => succeeded(step),
    });
    assert_eq!(desk.sent(), ["a.1", "b.1", "b-undo.1"]);
    let trace = desk.ended(1);
    assert_eq!((trace.totals.completed, trace.totals.failed, trace.totals.skipped), (1, 1, 3));
}

#[test]
fn what_was_done_last_is_taken_back_first() {
    let mut desk = Desk::without_approvals();
    desk.arrives(graph(1, "PROD", &[("a", &[]), ("b", &["a"]), ("c", &["b"])]));
    desk.run(but_for("c", failed));
    assert_eq!(desk.sent(), ["a.1", "b.1", "c.1", "b-undo.1", "a-undo.1"]);
    assert_eq!(desk.ended(1).overall_status, OverallStatus::Undone);
}

#[test]
fn one_instance_runs_one_remediation_at_a_time_the_urgent_first_and_others_side_by_side() {
    let mut desk = Desk::new();
    for number in 1..=3 {
        desk.arrives(command(number, "PROD"));
        desk.run(succeeded);
    }
    desk.arrives(priority(command(4, "PROD"), "critical"));
    desk.arrives(command(5, "TEST"));
    desk.run(succeeded);
    assert_eq!(desk.places(), [0, 1, 2, 0, 0]);
    for number in [4, 5, 1, 2, 3] {
        desk.approves_and_runs(number);
        assert_eq!(desk.ended(number).overall_status, OverallStatus::Success);
    }
}

#[test]
fn commands_that_come_together_are_planned_each_at_its_turn() {
    let mut desk = Desk::without_approvals();
    // The second one comes while the agents are still being asked about the first.
    desk.arrives(command(1, "PROD"));
    desk.arrives(command(2, "PROD"));
    desk.arrives(command(3, "TEST"));
    desk.run(succeeded);
    assert_eq!([1, 2, 3].map(|number| desk.is_planned_at_its_turn(number)), [true, true, false]);
    for number in 1..=3 {
        assert_eq!(desk.ended(number).overall_status, OverallStatus::Success);
    }
}

#[test]
fn an_urgent_command_that_overtakes_one_without_a_plan_makes_no_token_stale() {
    let mut desk = Desk::without_approvals();
    desk.agents_are_silent(true);
    desk.arrives(command(1, "PROD"));
    desk.run(succeeded);
    desk.arrives(priority(command(2, "PROD"), "critical"));
    desk.run(succeeded);
    desk.agents_are_silent(false);
    desk.run_to_the_end(succeeded);
    for number in 1..=2 {
        assert_eq!(desk.ended(number).overall_status, OverallStatus::Success);
    }
    let tokens = desk.tokens();
    assert!(tokens.is_sorted(), "agents refuse a token that is lower than one before it: {tokens:?}");
}

#[test]
fn a_repeated_command_is_done_once_and_one_with_other_bytes_is_refused() {
    let mut desk = Desk::new().asked();
    desk.arrives(command(1, "PROD"));
    desk.arrives(priority(command(1, "PROD"), "critical"));
    desk.run(succeeded);
    assert_eq!(desk.answers(), [AnswerStatus::Accepted, AnswerStatus::Repeated, AnswerStatus::Refused]);
    assert_eq!(desk.dead_letters(), 1);
}

#[test]
fn a_dry_run_tells_the_changes_and_sends_nothing() {
    let mut desk = Desk::new();
    desk.arrives(dry(command(1, "PROD")));
    desk.run(succeeded);
    let trace = desk.ended(1);
    assert_eq!(trace.overall_status, OverallStatus::DryRun);
    assert!(desk.sent().is_empty());
    assert_eq!(
        trace.steps_executed[0].changes_applied["target of config"].new_value.as_deref(),
        Some("after")
    );
}

#[test]
fn silent_agents_are_asked_again_until_they_answer() {
    let mut desk = Desk::without_approvals();
    desk.agents_are_silent(true);
    desk.arrives(command(1, "PROD"));
    desk.run(succeeded);
    assert_eq!(desk.answers(), [AnswerStatus::Accepted]);
    desk.agents_are_silent(false);
    desk.run_to_the_end(succeeded);
    assert_eq!(desk.ended(1).overall_status, OverallStatus::Success);
}

#[test]
fn another_owner_continues_where_the_first_one_died_at_any_record() {
    for dies_after in 1..=9 {
        let mut desk = Desk::without_approvals();
        desk.dies_after(dies_after);
        desk.arrives(command(1, "PROD"));
        desk.run(succeeded);
        assert_eq!(desk.ended(1).overall_status, OverallStatus::Success, "died after {dies_after} records");
        assert_eq!(desk.sent(), ["config.1", "restart.1", "verify.1"], "died after {dies_after} records");
    }
}

#[test]
fn halted_means_nothing_more_is_sent() {
    let mut desk = Desk::without_approvals();
    desk.halts();
    desk.arrives(command(1, "PROD"));
    desk.run(succeeded);
    assert!(desk.sent().is_empty());
    assert_eq!(desk.ended(1).overall_status, OverallStatus::Failure);
}
