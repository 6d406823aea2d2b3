//! What a replay compares: everything that a router writes, as far as the log holds what it knew.

use instance_contract::{OverallStatus, Verdict};
use instance_engine::{Logged, Record, Replayed, replay};
use instance_planner::Policy;

use crate::desk::{Desk, command, succeeded};

type Forgery = fn(&mut Record);

/// What a replay says of each record, in one word.
fn said(records: &[Logged]) -> Vec<String> {
    let word = |replayed: &Replayed| match (replayed.is_compared(), replayed.is_same()) {
        (false, _) => "not compared",
        (true, true) => "same",
        (true, false) => "different",
    };
    replay(records).iter().map(|replayed| format!("{} {}", replayed.kind, word(replayed))).collect()
}

#[test]
fn every_record_of_a_router_is_compared() {
    let mut desk = Desk::new();
    desk.arrives(command(1, "PROD"));
    desk.arrives(command(2, "PROD"));
    desk.run(succeeded);
    desk.approves(1, Verdict::Granted);
    desk.run(succeeded);
    desk.run_to_the_end(succeeded);
    let sent = |steps: &[&str]| steps.iter().map(|step| format!("{step} same")).collect::<Vec<_>>();
    let first = said(&desk.records(1));
    assert!(first.iter().all(|line| line.ends_with(" same")), "{first:?}");
    assert_eq!(first.len(), 7, "accepted, planned, asked, three steps, ended: {first:?}");
    // Nobody answered for the second: the router wrote the no itself.
    let expected = ["accepted", "planned", "approval.1.asked", "approval.1.answered", "ended"];
    assert_eq!(said(&desk.records(2)), sent(&expected));
}

#[test]
fn one_word_that_was_changed_is_found() {
    let mut desk = Desk::new();
    desk.arrives(command(1, "PROD"));
    desk.run(succeeded);
    desk.run_to_the_end(succeeded);
    let forgeries: [(&str, Forgery); 4] = [
        ("accepted", |record| {
            if let Record::Accepted(accepted) = record {
                accepted.deadline += jiff::SignedDuration::from_secs(1);
            }
        }),
        ("accepted", |record| {
            if let Record::Accepted(accepted) = record {
                accepted.plan.as_mut().unwrap().steps[0].limit_seconds += 1;
            }
        }),
        ("approval.1.answered", |record| {
            if let Record::ApprovalAnswered(answered) = record {
                answered.note = Some("somebody was asleep".to_owned());
            }
        }),
        ("ended", |record| {
            if let Record::Ended(ended) = record {
                ended.trace.overall_status = OverallStatus::Success;
            }
        }),
    ];
    for (kind, forge) in forgeries {
        let mut records = desk.records(1);
        let record = records.iter_mut().find(|(own, ..)| own.to_string() == kind).unwrap();
        forge(&mut record.3);
        let said = said(&records);
        assert!(said.contains(&format!("{kind} different")), "{said:?}");
    }
}

#[test]
fn of_a_command_that_was_not_accepted_only_its_age_can_be_judged_again() {
    let mut desk = Desk::with(Policy { never: vec!["PROD".parse().unwrap()], ..Policy::default() });
    desk.arrives(command(1, "PROD"));
    desk.run(succeeded);
    desk.sleeps(25 * 3_600);
    desk.arrives(command(2, "TEST"));
    desk.run(succeeded);
    assert_eq!(said(&desk.records(1)), ["ended not compared"]);
    assert_eq!(said(&desk.records(2)), ["ended same"]);
    assert_eq!(desk.ended(2).overall_status, OverallStatus::Expired);
}
