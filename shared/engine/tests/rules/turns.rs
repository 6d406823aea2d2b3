//! Whose turn it is: the urgent first, and whoever was overtaken is held to what came before.

use instance_contract::{OverallStatus, Verdict};
use instance_planner::Policy;

use crate::desk::{Desk, command, graph, priority, succeeded};

#[test]
fn a_plan_that_was_made_before_its_turn_is_held_to_the_restarts_that_came_first() {
    let policy = Policy { approve_restarts: false, minutes_between_restarts: 15, ..Policy::default() };
    let mut desk = Desk::with(policy);
    desk.loses_confirmation_of(1);
    desk.arrives(command(1, "PROD"));
    desk.run(succeeded);
    desk.arrives(command(2, "PROD"));
    desk.run_to_the_end(succeeded);
    assert_eq!(desk.ended(2).overall_status, OverallStatus::Success);
    let sent = desk.sent();

    desk.confirms();
    desk.run_to_the_end(succeeded);
    let ended = desk.ended(1);
    assert_eq!(ended.overall_status, OverallStatus::Refused);
    assert!(ended.reason.unwrap().contains("15 minutes between two restarts"));
    assert_eq!(desk.sent(), sent, "nothing was begun for the one that came too soon");
    assert!(desk.replays(1));
}

/// Nothing of the first one is done while a person thinks about it, so the critical one need not wait for them.
#[test]
fn a_critical_command_goes_before_one_that_waits_for_a_person() {
    let mut desk = Desk::new().asked();
    // As urgent as the one that waits, so it stays behind it.
    desk.arrives(command(2, "PROD"));
    desk.run(succeeded);
    desk.arrives(priority(graph(3, "PROD", &[("a", &[])]), "critical"));
    desk.run(succeeded);
    assert_eq!(desk.places(), [0, 1, 0]);
    assert_eq!(desk.ended(3).overall_status, OverallStatus::Success);
    assert_eq!(desk.sent(), ["a.1", "verify.1"], "nobody has answered the other two");
    desk.approves_and_runs(1);
    assert_eq!(desk.ended(1).overall_status, OverallStatus::Success);
    let tokens = desk.tokens();
    assert!(tokens.is_sorted(), "agents refuse a token that is lower than one before it: {tokens:?}");
    assert!(desk.replays(1) && desk.replays(3));
}

#[test]
fn a_yes_to_one_that_was_overtaken_counts_at_its_turn() {
    let mut desk = Desk::new().asked();
    desk.arrives(priority(command(2, "PROD"), "critical"));
    desk.run(succeeded);
    desk.approves_and_runs(1);
    assert!(desk.sent().is_empty(), "it is the turn of the critical one, which waits for its own yes");
    desk.approves_and_runs(2);
    for number in [2, 1] {
        assert_eq!(desk.ended(number).overall_status, OverallStatus::Success);
        assert!(desk.replays(number));
    }
    let tokens = desk.tokens();
    assert!(tokens.is_sorted(), "{tokens:?}");
}

#[test]
fn one_that_was_overtaken_by_a_restart_is_not_done_too_soon_after_it_whoever_has_agreed() {
    let mut desk = Desk::with(Policy { minutes_between_restarts: 15, ..Policy::default() }).asked();
    desk.arrives(priority(command(2, "PROD"), "critical"));
    desk.run(succeeded);
    desk.approves(1, Verdict::Granted);
    desk.approves_and_runs(2);
    assert_eq!(desk.ended(2).overall_status, OverallStatus::Success);
    let ended = desk.ended(1);
    assert_eq!(ended.overall_status, OverallStatus::Refused);
    assert!(ended.reason.unwrap().contains("15 minutes between two restarts"));
    assert_eq!(desk.sent(), ["config.1", "restart.1", "verify.1"], "those of the critical one");
    assert!(desk.replays(1));
}

#[test]
fn one_whose_time_for_an_answer_ended_while_another_went_first_expires_at_its_turn() {
    let mut desk =
        Desk::with(Policy { approval_seconds: 60, minutes_between_restarts: 0, ..Policy::default() }).asked();
    desk.sleeps(50);
    desk.arrives(priority(command(2, "PROD"), "critical"));
    desk.run(succeeded);
    desk.sleeps(20);
    desk.approves(1, Verdict::Granted);
    desk.approves_and_runs(2);
    assert_eq!(desk.ended(2).overall_status, OverallStatus::Success);
    assert_eq!(desk.ended(1).overall_status, OverallStatus::Expired, "its yes came ten seconds late");
    assert!(desk.replays(1));
}

#[test]
fn restarts_are_kept_apart_for_longer_than_an_hour() {
    let policy = Policy { approve_restarts: false, minutes_between_restarts: 120, ..Policy::default() };
    let mut desk = Desk::with(policy);
    desk.arrives(command(1, "PROD"));
    desk.run_to_the_end(succeeded);
    assert_eq!(desk.ended(1).overall_status, OverallStatus::Success);
    desk.sleeps(90 * 60);
    let sent = desk.sent();
    desk.arrives(command(2, "PROD"));
    desk.run_to_the_end(succeeded);
    assert_eq!(desk.ended(2).overall_status, OverallStatus::Refused);
    assert_eq!(desk.sent(), sent);
    desk.sleeps(31 * 60);
    desk.arrives(command(3, "PROD"));
    desk.run_to_the_end(succeeded);
    assert_eq!(desk.ended(3).overall_status, OverallStatus::Success);
}

#[test]
fn five_commands_at_once_are_told_their_place() {
    let mut desk = Desk::new();
    for number in 1..=5 {
        desk.arrives(command(number, "PROD"));
        desk.run(succeeded);
    }
    assert_eq!(desk.places(), [0, 1, 2, 3, 4]);
}
