//! Taking back: once, only what was done, and only what is still there.

use instance_contract::{Failure, StepStatus};

use super::{DONE, Fixture, NONE, UNDONE, order, undo};
use crate::counting_agent::Behaviour;

#[test]
fn an_unknown_outcome_is_undone_when_it_was_an_effect_and_left_when_not() {
    for (behaviour, status, effects) in [
        (Behaviour::FailAfter(Failure::unknown("io", "lost")), StepStatus::Undone, UNDONE),
        (Behaviour::FailBefore(Failure::unknown("io", "lost")), StepStatus::Success, NONE),
    ] {
        let fixture = Fixture::new();
        fixture.agent.next(behaviour);
        assert_eq!(fixture.carry_out(&order(1)).status, StepStatus::Unknown);
        fixture.check(&undo(1), status, None, effects);
        assert_eq!(fixture.agent.value(), "256");
        fixture.check(&order(2), StepStatus::Refused, Some("taken_back"), effects);
    }
}

#[test]
fn an_undo_restores_once_and_closes_the_step() {
    let mut fixture = Fixture::new();
    fixture.check(&order(1), StepStatus::Success, None, DONE);
    fixture.check(&undo(1), StepStatus::Undone, None, UNDONE);
    fixture.restart();
    fixture.check(&undo(2), StepStatus::Undone, None, UNDONE);
    fixture.check(&order(1), StepStatus::Success, None, UNDONE);
    assert_eq!(fixture.agent.value(), "256");
}

#[test]
fn a_step_that_was_never_begun_is_undone_by_never_beginning() {
    let fixture = Fixture::new();
    fixture.check(&undo(1), StepStatus::Success, None, NONE);
    fixture.check(&order(1), StepStatus::Refused, Some("taken_back"), NONE);
}

#[test]
fn a_crash_inside_an_undo_is_finished_or_found_finished() {
    for (found, effects) in [("512", UNDONE), ("256", DONE)] {
        let mut fixture = Fixture::new();
        fixture.check(&order(1), StepStatus::Success, None, DONE);
        fixture.agent.set(found);
        fixture.crash_after_intent(&undo(1), "256", "512");
        fixture.check(&undo(1), StepStatus::Undone, None, effects);
        assert_eq!(fixture.agent.value(), "256");
    }
}

#[test]
fn an_undo_that_cannot_be_done_calls_a_person() {
    let fixture = Fixture::new();
    fixture.check(&order(1), StepStatus::Success, None, DONE);
    fixture.agent.set("900");
    fixture.check(&undo(1), StepStatus::Failure, Some("foreign_change"), DONE);
    assert!(fixture.carry_out(&undo(1)).requires_user_action);
}
