//! One story for each rule of the router: taken out, its story fails.

use crate::desk::{Desk, command, dry, failed, graph, priority, succeeded, transient, undone};
use instance_contract::{AnswerStatus, Carriers, OverallStatus, StepCommand, ToolResult, Verdict};
use instance_planner::Policy;

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
    let mut desk = Desk::new();
    desk.arrives(command(1, "PROD"));
    desk.run(succeeded);
    // The owner is away, so nobody has written the expiry down when the person answers.
    desk.sleeps(1_801);
    desk.approves(1, Verdict::Granted);
    desk.run(succeeded);
    no_consent(&desk, OverallStatus::Expired, "the time for it was over at 2026-11-21T08:30:00Z");
}

#[test]
fn only_who_is_listed_may_approve() {
    for (approvers, goes_on) in [(&["lead", "ops-*"][..], false), (&["oper*"], true), (&[], true)] {
        let approvers = approvers.iter().map(ToString::to_string).collect();
        let mut desk = Desk::with(Policy { approvers, ..Policy::default() });
        desk.arrives(command(1, "PROD"));
        desk.run(succeeded);
        desk.approves(1, Verdict::Granted);
        desk.run(succeeded);
        if goes_on {
            assert_eq!(desk.ended(1).overall_status, OverallStatus::Success);
        } else {
            no_consent(&desk, OverallStatus::Refused, "policy does not let operator approve");
        }
    }
}

#[test]
fn an_answer_that_nobody_can_read_is_no() {
    let mut desk = Desk::new();
    desk.arrives(command(1, "PROD"));
    desk.run(succeeded);
    desk.answers_with_noise(1);
    desk.run(succeeded);
    no_consent(&desk, OverallStatus::Refused, "cannot be read, so it is no");
}

#[test]
fn an_approval_twice_and_one_after_the_end_change_nothing() {
    let mut desk = Desk::new();
    desk.arrives(command(1, "PROD"));
    desk.run(succeeded);
    desk.approves(1, Verdict::Denied);
    desk.approves(1, Verdict::Granted);
    desk.run(succeeded);
    desk.approves(1, Verdict::Granted);
    desk.run(succeeded);
    no_consent(&desk, OverallStatus::Refused, "approval denied by operator");
}

#[test]
fn a_step_is_tried_as_often_as_policy_says_and_no_more() {
    let mut desk = Desk::without_approvals();
    desk.arrives(command(1, "PROD"));
    desk.run_to_the_end(transient);
    assert_eq!(desk.sent(), ["config.1", "config.2", "config.3"]);
    assert_eq!(desk.ended(1).overall_status, OverallStatus::Failure);
}

/// F-107: a router that is started anew with other settings, in the middle of anything.
#[test]
fn a_run_goes_on_under_the_policy_that_it_was_accepted_under() {
    let began = Policy { attempts: 4, approve_restarts: false, ..Policy::default() };
    for dies_after in 1..=8 {
        let mut desk = Desk::with(began.clone());
        desk.later_owners_have(Policy { attempts: 1, approve_restarts: true, ..Policy::default() });
        desk.dies_after(dies_after);
        desk.arrives(command(1, "PROD"));
        desk.run_to_the_end(transient);
        let sent = desk.sent();
        assert!(sent.iter().any(|step| step.ends_with(".4")), "changed after {dies_after} records: {sent:?}");
        assert!(
            !sent.iter().any(|step| step.ends_with(".5")),
            "changed after {dies_after} records: {sent:?}"
        );
    }
}

#[test]
fn a_failure_that_may_not_pass_is_not_tried_again() {
    let mut desk = Desk::without_approvals();
    desk.arrives(command(1, "PROD"));
    desk.run_to_the_end(failed);
    assert_eq!(desk.sent(), ["config.1"]);
}

#[test]
fn the_time_limit_of_the_whole_takes_back_what_was_done() {
    let policy =
        Policy { remediation_seconds: 60, attempts: 10, approve_restarts: false, ..Policy::default() };
    let mut desk = Desk::with(policy);
    desk.arrives(command(1, "PROD"));
    desk.run_to_the_end(|step| match step.step_id.as_str() {
        "restart" => transient(step),
        id if id.ends_with("-undo") => undone(step),
        _ => succeeded(step),
    });
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
    let mut desk = Desk::with(Policy { remediation_seconds: 60, ..Policy::default() });
    desk.arrives(command(1, "PROD"));
    desk.run(succeeded);
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

/// Restarts are allowed from seven until some minutes past eight; the desk opens at eight.
fn with_window(to: &str, policy: Policy) -> Desk {
    let window = format!("[[windows]]\nactions = [\"restart\"]\nfrom = \"07:00\"\nto = \"{to}\"\n");
    Desk::with(Policy { windows: Policy::from_toml(&window).unwrap().windows, ..policy })
}

#[test]
fn an_approval_that_comes_after_the_window_has_closed_begins_nothing() {
    for (to, status) in [("08:20", OverallStatus::Success), ("08:10", OverallStatus::Refused)] {
        let mut desk = with_window(to, Policy::default());
        desk.arrives(command(1, "PROD"));
        desk.run(succeeded);
        desk.sleeps(15 * 60);
        desk.approves(1, Verdict::Granted);
        desk.run(succeeded);
        assert_eq!(desk.ended(1).overall_status, status, "until {to}");
        assert!(desk.replays(1));
    }
    let mut desk = with_window("08:10", Policy::default());
    desk.arrives(command(1, "PROD"));
    desk.run(succeeded);
    desk.sleeps(15 * 60);
    desk.approves(1, Verdict::Granted);
    desk.run(succeeded);
    // Not even the configuration, which is allowed at any time: it would wait for a restart that nobody may do.
    no_consent(&desk, OverallStatus::Refused, "policy allows restart only inside its time windows");
}

#[test]
fn a_window_that_closes_midway_takes_back_what_was_done_and_that_at_any_time() {
    let mut desk =
        with_window("08:01", Policy { attempts: 10, approve_restarts: false, ..Policy::default() });
    desk.arrives(command(1, "PROD"));
    desk.run_to_the_end(|step| match step.step_id.as_str() {
        "restart" => transient(step),
        id if id.ends_with("-undo") => undone(step),
        _ => succeeded(step),
    });
    let trace = desk.ended(1);
    assert_eq!(trace.overall_status, OverallStatus::Undone, "{trace:#?}");
    assert!(
        trace.reason.unwrap().contains("only inside its time windows, and none is open at 2026-11-21T08:01")
    );
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
    let mut desk = Desk::new();
    desk.arrives(command(1, "PROD"));
    desk.run(succeeded);
    // As urgent as the one that waits, so it stays behind it.
    desk.arrives(command(2, "PROD"));
    desk.run(succeeded);
    desk.arrives(priority(graph(3, "PROD", &[("a", &[])]), "critical"));
    desk.run(succeeded);
    assert_eq!(desk.places(), [0, 1, 0]);
    assert_eq!(desk.ended(3).overall_status, OverallStatus::Success);
    assert_eq!(desk.sent(), ["a.1", "verify.1"], "nobody has answered the other two");
    desk.approves(1, Verdict::Granted);
    desk.run(succeeded);
    assert_eq!(desk.ended(1).overall_status, OverallStatus::Success);
    let tokens = desk.tokens();
    assert!(tokens.is_sorted(), "agents refuse a token that is lower than one before it: {tokens:?}");
    assert!(desk.replays(1) && desk.replays(3));
}

#[test]
fn a_yes_to_one_that_was_overtaken_counts_at_its_turn() {
    let mut desk = Desk::new();
    desk.arrives(command(1, "PROD"));
    desk.run(succeeded);
    desk.arrives(priority(command(2, "PROD"), "critical"));
    desk.run(succeeded);
    desk.approves(1, Verdict::Granted);
    desk.run(succeeded);
    assert!(desk.sent().is_empty(), "it is the turn of the critical one, which waits for its own yes");
    desk.approves(2, Verdict::Granted);
    desk.run(succeeded);
    for number in [2, 1] {
        assert_eq!(desk.ended(number).overall_status, OverallStatus::Success);
        assert!(desk.replays(number));
    }
    let tokens = desk.tokens();
    assert!(tokens.is_sorted(), "{tokens:?}");
}

#[test]
fn one_that_was_overtaken_by_a_restart_is_not_done_too_soon_after_it_whoever_has_agreed() {
    let mut desk = Desk::with(Policy { minutes_between_restarts: 15, ..Policy::default() });
    desk.arrives(command(1, "PROD"));
    desk.run(succeeded);
    desk.arrives(priority(command(2, "PROD"), "critical"));
    desk.run(succeeded);
    desk.approves(1, Verdict::Granted);
    desk.approves(2, Verdict::Granted);
    desk.run(succeeded);
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
        Desk::with(Policy { approval_seconds: 60, minutes_between_restarts: 0, ..Policy::default() });
    desk.arrives(command(1, "PROD"));
    desk.run(succeeded);
    desk.sleeps(50);
    desk.arrives(priority(command(2, "PROD"), "critical"));
    desk.run(succeeded);
    desk.sleeps(20);
    desk.approves(1, Verdict::Granted);
    desk.approves(2, Verdict::Granted);
    desk.run(succeeded);
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
fn four_independent_steps_run_at_once_and_the_others_follow() {
    let steps: Vec<(&str, &[&str])> = ["a", "b", "c", "d", "e", "f"].map(|id| (id, &[][..])).to_vec();
    let mut desk = Desk::without_approvals();
    desk.arrives(graph(1, "PROD", &steps));
    desk.run(succeeded);
    assert_eq!(desk.side_by_side(), 4);
    assert_eq!(desk.sent().len(), 7);
    assert_eq!(desk.ended(1).overall_status, OverallStatus::Success);
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

#[test]
fn a_result_counts_only_from_the_agent_that_was_asked() {
    let forgeries: [fn(&mut ToolResult); 3] = [
        |result| result.agent.name = "os-agent".to_owned(),
        |result| result.agent.host = "elsewhere".parse().unwrap(),
        |result| result.remediation_id = "6f1d2c0a-52b7-4c43-9a3e-1b6077a1d5c8".parse().unwrap(),
    ];
    for forge in forgeries {
        let mut desk = Desk::without_approvals();
        desk.arrives(command(1, "PROD"));
        let forged = |step: &StepCommand| {
            let mut result = succeeded(step);
            forge(&mut result);
            result
        };
        desk.run_to_the_end(forged);
        assert_eq!(desk.sent(), ["config.1"], "nothing follows from it");
        assert_eq!(desk.ended(1).overall_status, OverallStatus::Partial, "nobody knows what was done");
    }
}

#[test]
fn results_of_ended_and_of_unknown_remediations_move_nothing() {
    let mut desk = Desk::without_approvals();
    desk.arrives(command(1, "PROD"));
    let mut first = None;
    desk.run(|step| {
        first.get_or_insert_with(|| succeeded(step));
        succeeded(step)
    });
    let (sent, ended) = (desk.sent(), desk.ended(1));
    let mut late = first.unwrap();
    late.attempt = late.attempt.next();
    desk.hears(1, late.clone());
    desk.hears(2, late);
    desk.run_to_the_end(succeeded);
    assert_eq!((desk.sent(), desk.ended(1)), (sent, ended));
    assert!(desk.replays(1), "what follows the end does not count");
}

#[test]
fn what_carries_instance_is_refused_before_anybody_is_asked() {
    let policy = Policy { carriers: Carriers(vec!["OPS".to_owned(), "db1".to_owned()]), ..Policy::default() };
    let mut desk = Desk::with(policy);
    desk.agents_are_silent(true);
    desk.arrives(command(1, "OPS"));
    desk.arrives(dry(command(2, "OPS")));
    // The kernel of a host that carries Instance, for whichever instance.
    desk.arrives(graph(3, "PROD", &[("a", &[])]));
    desk.run(succeeded);
    assert_eq!(desk.answers(), [AnswerStatus::Refused; 3]);
    for (number, field) in [(1, "instance"), (2, "instance"), (3, "host")] {
        let fault = desk.ended(number).faults.remove(0);
        assert_eq!(fault.field, field);
        assert!(fault.rule.contains("carries Instance itself"), "{fault}");
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
