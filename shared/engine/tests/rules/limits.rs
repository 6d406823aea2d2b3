//! How long things may take: the whole, a step, taking back, and lying about.

use instance_contract::{OverallStatus, Verdict};
use instance_planner::Policy;

use crate::desk::{Desk, but_for, command, failed, succeeded, transient, undone};

#[test]
fn the_time_limit_of_the_whole_takes_back_what_was_done() {
    let policy =
        Policy { remediation_seconds: 60, attempts: 10, approve_restarts: false, ..Policy::default() };
    let mut desk = Desk::with(policy);
    desk.arrives(command(1, "PROD"));
    desk.run_to_the_end(but_for("restart", transient));
    let trace = desk.ended(1);
    assert_eq!(trace.overall_status, OverallStatus::Undone, "{trace:#?}");
    assert!(trace.reason.unwrap().contains("time limit of the whole remediation"));
    assert!(!desk.sent().contains(&"restart.7".to_owned()), "{:?}", desk.sent());
}

#[test]
fn every_step_says_until_when_work_on_it_is_allowed() {
    let mut desk = Desk::without_approvals();
    desk.arrives(command(1, "PROD"));
    let mut until = Vec::new();
    desk.run(|step| {
        until.push(step.not_after);
        succeeded(step)
    });
    let deadline = "2026-11-21T09:00:00Z".parse().unwrap();
    assert_eq!(until, [deadline; 3], "no later than the end of the whole");
}

#[test]
fn what_takes_back_has_a_while_even_just_before_the_end() {
    let mut desk = Desk::with(Policy { remediation_seconds: 60, ..Policy::default() }).asked();
    desk.sleeps(55);
    desk.approves(1, Verdict::Granted);
    let mut until = Vec::new();
    desk.run(|step| {
        until.push((step.step_id.to_string(), step.not_after.to_string()));
        match step.step_id.as_str() {
            "restart" => failed(step),
            id if id.ends_with("-undo") => undone(step),
            _ => succeeded(step),
        }
    });
    // Forward until the end of the whole; back for twice the step's own limit (60 s, and 240 s for a restart).
    let [forward, config, restart] = ["2026-11-21T08:01:00Z", "2026-11-21T08:02:55Z", "2026-11-21T08:08:55Z"];
    let expected =
        [("config", forward), ("restart", forward), ("config-undo", config), ("restart-undo", restart)];
    assert_eq!(until, expected.map(|(step, at)| (step.to_owned(), at.to_owned())));
    assert_eq!(desk.ended(1).overall_status, OverallStatus::Undone);
    assert!(desk.replays(1));
}

#[test]
fn whose_time_runs_out_in_the_queue_is_told_so_and_who_met_silent_agents_is_told_that() {
    let policy = Policy { remediation_seconds: 60, ..Policy::default() };
    let mut desk = Desk::with(policy.clone());
    desk.arrives(command(1, "PROD"));
    desk.arrives(command(2, "PROD"));
    desk.run_to_the_end(succeeded);
    let mut silent = Desk::with(policy);
    silent.agents_are_silent(true);
    silent.arrives(command(2, "PROD"));
    silent.run_to_the_end(succeeded);
    for (desk, reason) in [
        (desk, "the time limit of the remediation passed while it waited for its turn or for a router"),
        (silent, "the agents gave no answer to plan on before the time limit of the remediation"),
    ] {
        let trace = desk.ended(2);
        assert_eq!((trace.overall_status, trace.reason.as_deref()), (OverallStatus::Failure, Some(reason)));
        assert!(desk.replays(2));
    }
}

#[test]
fn a_command_that_lay_for_a_day_is_not_done() {
    for (hours, status) in [(23, OverallStatus::Success), (25, OverallStatus::Expired)] {
        let mut desk = Desk::without_approvals();
        desk.sleeps(hours * 3_600);
        desk.arrives(command(1, "PROD"));
        desk.run(succeeded);
        assert_eq!(desk.ended(1).overall_status, status, "{hours} hours");
    }
}
