//! After a death, or an answer that was lost: the world is asked, and nothing is done twice.

use std::sync::atomic::Ordering;

use instance_contract::{Failure, StepStatus};

use super::{DONE, Fixture, NONE, UNDONE, order, undo};
use crate::counting_agent::{Behaviour, HALF};

#[test]
fn a_crash_between_intent_and_effect_leads_to_one_effect() {
    let mut fixture = Fixture::new();
    fixture.crash_after_intent(&order(1), "256", "512");
    fixture.check(&order(1), StepStatus::Success, None, DONE);
    fixture.check(&order(2), StepStatus::Success, None, DONE);
}

#[test]
fn a_crash_after_the_effect_leads_to_no_second_one() {
    let mut fixture = Fixture::new();
    fixture.agent.set("512");
    fixture.crash_after_intent(&order(1), "256", "512");
    fixture.check(&order(2), StepStatus::Success, None, NONE);
    fixture.check(&undo(1), StepStatus::Undone, None, &["512 -> 256"]);
}

#[test]
fn somebody_else_s_change_after_a_crash_is_not_touched() {
    let mut fixture = Fixture::new();
    fixture.agent.set("777");
    fixture.crash_after_intent(&order(1), "256", "512");
    fixture.check(&order(1), StepStatus::Unknown, Some("conflict"), NONE);
    assert!(fixture.carry_out(&order(1)).requires_user_action);
    fixture.check(&undo(1), StepStatus::Unknown, Some("conflict"), NONE);
}

#[test]
fn a_crashed_step_that_may_not_go_on_ends_unchanged() {
    let mut fixture = Fixture::new();
    fixture.crash_after_intent(&order(1), "256", "512");
    fixture.outside.halted.store(true, Ordering::SeqCst);
    fixture.check(&order(1), StepStatus::Refused, Some("halted"), NONE);
    fixture.outside.halted.store(false, Ordering::SeqCst);
    fixture.check(&order(1), StepStatus::Refused, Some("halted"), NONE);
    fixture.check(&order(2), StepStatus::Success, None, DONE);
}

#[test]
fn half_an_effect_that_is_refused_its_other_half_is_not_called_unchanged() {
    for failure in [Failure::refused("no_memory", "since"), Failure::transient("no_memory", "since")] {
        let mut fixture = Fixture::new();
        fixture.agent.set(HALF);
        fixture.crash_after_intent(&order(1), "256", "512");
        fixture.agent.next(Behaviour::FailBefore(failure));
        fixture.check(&order(1), StepStatus::Unknown, Some("no_memory"), NONE);
        fixture.check(&undo(1), StepStatus::Undone, None, &["512 -> 256"]);
        assert_eq!(fixture.agent.value(), "256");
    }
    // Nothing was begun of it: then it is as it was.
    let mut fixture = Fixture::new();
    fixture.crash_after_intent(&order(1), "256", "512");
    fixture.agent.next(Behaviour::FailBefore(Failure::refused("no_memory", "since")));
    fixture.check(&order(1), StepStatus::Refused, Some("no_memory"), NONE);
    fixture.check(&order(2), StepStatus::Success, None, DONE);
}

#[test]
fn an_unknown_outcome_is_probed_by_the_next_attempt_and_never_repeated() {
    let fixture = Fixture::new();
    fixture.agent.next(Behaviour::FailAfter(Failure::unknown("io", "the answer was lost")));
    fixture.check(&order(1), StepStatus::Unknown, Some("io"), DONE);
    fixture.check(&order(1), StepStatus::Unknown, Some("io"), DONE);
    fixture.check(&order(2), StepStatus::Success, None, DONE);
    fixture.check(&undo(1), StepStatus::Undone, None, UNDONE);
}

#[test]
fn what_was_told_about_an_unbegun_attempt_binds_it() {
    let fixture = Fixture::new();
    assert_eq!(fixture.tell(&order(1)).error_code.as_deref(), Some("not_done"));
    fixture.check(&order(1), StepStatus::Failure, Some("not_done"), NONE);
    fixture.check(&order(2), StepStatus::Success, None, DONE);
}

#[test]
fn a_question_after_a_crash_is_answered_from_the_world() {
    for (found, status) in
        [("512", StepStatus::Success), ("256", StepStatus::Failure), ("9", StepStatus::Unknown)]
    {
        let mut fixture = Fixture::new();
        fixture.agent.set(found);
        fixture.crash_after_intent(&order(1), "256", "512");
        assert_eq!(fixture.tell(&order(1)).status, status);
        assert_eq!(fixture.carry_out(&order(1)).status, status);
        assert_eq!(fixture.agent.effects(), NONE);
    }
}
