//! Consent: who may give it, until when, and what it is worth once the world has moved on.

use instance_contract::{OverallStatus, Verdict};
use instance_planner::Policy;

use crate::desk::{Desk, but_for, command, succeeded, transient};

/// The end of a command whose approval was answered somehow: refused or expired, with nothing sent.
#[track_caller]
fn no_consent(desk: &Desk, status: OverallStatus, reason: &str) {
    let trace = desk.ended(1);
    assert_eq!(trace.overall_status, status);
    assert!(trace.reason.as_deref().unwrap().contains(reason), "{:?}", trace.reason);
    assert!(desk.sent().is_empty());
    assert!(desk.replays(1));
}

#[test]
fn an_approval_that_comes_after_its_expiry_is_no() {
    let mut desk = Desk::new().asked();
    // The owner is away, so nobody has written the expiry down when the person answers.
    desk.sleeps(1_801);
    desk.approves_and_runs(1);
    no_consent(&desk, OverallStatus::Expired, "the time for it was over at 2026-11-21T08:30:00Z");
}

#[test]
fn only_who_is_listed_may_approve() {
    for (approvers, goes_on) in [(&["lead", "ops-*"][..], false), (&["oper*"], true), (&[], true)] {
        let approvers = approvers.iter().map(ToString::to_string).collect();
        let mut desk = Desk::with(Policy { approvers, ..Policy::default() }).asked();
        desk.approves_and_runs(1);
        if goes_on {
            assert_eq!(desk.ended(1).overall_status, OverallStatus::Success);
        } else {
            no_consent(&desk, OverallStatus::Refused, "policy does not let operator approve");
        }
    }
}

#[test]
fn an_answer_that_nobody_can_read_is_no() {
    let mut desk = Desk::new().asked();
    desk.answers_with_noise(1);
    desk.run(succeeded);
    no_consent(&desk, OverallStatus::Refused, "cannot be read, so it is no");
}

#[test]
fn an_approval_twice_and_one_after_the_end_change_nothing() {
    let mut desk = Desk::new().asked();
    desk.approves(1, Verdict::Denied);
    desk.approves_and_runs(1);
    desk.approves_and_runs(1);
    no_consent(&desk, OverallStatus::Refused, "approval denied by operator");
}

/// Restarts are allowed from seven until some minutes past eight; the desk opens at eight.
fn with_window(to: &str, policy: Policy) -> Desk {
    let window = format!("[[windows]]\nactions = [\"restart\"]\nfrom = \"07:00\"\nto = \"{to}\"\n");
    Desk::with(Policy { windows: Policy::from_toml(&window).unwrap().windows, ..policy })
}

#[test]
fn an_approval_that_comes_after_the_window_has_closed_begins_nothing() {
    for (to, status) in [("08:20", OverallStatus::Success), ("08:10", OverallStatus::Refused)] {
        let mut desk = with_window(to, Policy::default()).asked();
        desk.sleeps(15 * 60);
        desk.approves_and_runs(1);
        assert_eq!(desk.ended(1).overall_status, status, "until {to}");
        assert!(desk.replays(1));
    }
    let mut desk = with_window("08:10", Policy::default()).asked();
    desk.sleeps(15 * 60);
    desk.approves_and_runs(1);
    // Not even the configuration, which is allowed at any time: it would wait for a restart that nobody may do.
    no_consent(&desk, OverallStatus::Refused, "policy allows restart only inside its time windows");
}

#[test]
fn a_window_that_closes_midway_takes_back_what_was_done_and_that_at_any_time() {
    let mut desk =
        with_window("08:01", Policy { attempts: 10, approve_restarts: false, ..Policy::default() });
    desk.arrives(command(1, "PROD"));
    desk.run_to_the_end(but_for("restart", transient));
    let trace = desk.ended(1);
    assert_eq!(trace.overall_status, OverallStatus::Undone, "{trace:#?}");
    assert!(
        trace.reason.unwrap().contains("only inside its time windows, and none is open at 2026-11-21T08:01")
    );
    assert!(desk.replays(1));
}
