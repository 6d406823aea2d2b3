//! One story for each rule of the router: taken out, its story fails.

mod consent; // Who agrees, and for how long it counts.
mod limits; // How long things may take.
mod turns; // Whose turn it is.

use instance_contract::{AnswerStatus, Carriers, OverallStatus, StepCommand, ToolResult};
use instance_planner::Policy;

use crate::desk::{Desk, command, dry, failed, graph, succeeded, transient};

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
