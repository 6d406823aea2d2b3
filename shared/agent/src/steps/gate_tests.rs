//! What stands before an effect and behind it, each with a test that fails without it.

use std::sync::{Arc, Mutex};

use instance_contract::StepStatus;

use super::{
    tests::{DONE, Fixture, NONE, Outside, order},
    *,
};
use crate::counting_agent::Behaviour;

/// What the ledger's file says by itself: the names of its records, in order.
fn records(state: &std::path::Path) -> Vec<String> {
    let text = String::from_utf8_lossy(&std::fs::read(state.join("ledger")).unwrap()).into_owned();
    let kinds = text.split(r#"{"record":""#).skip(1);
    kinds.map(|rest| rest.split('"').next().unwrap().to_owned()).collect()
}

#[test]
fn an_effect_finds_its_intent_on_the_disk_and_nothing_of_an_outcome() {
    let fixture = Fixture::new();
    let state = fixture.folder.path().join("state");
    let seen = Arc::new(Mutex::new(Vec::new()));
    let (looked_at, saw) = (state.clone(), Arc::clone(&seen));
    let look = move || saw.lock().unwrap().push(records(&looked_at));
    fixture.agent.next(Behaviour::Run(Box::new(look)));
    fixture.check(&order(1), StepStatus::Success, None, DONE);
    assert_eq!(*seen.lock().unwrap(), [["intent"]]);
    assert_eq!(records(&state), ["intent", "done"], "two records a step, each synced once");
}

/// Looking at the halt takes so long that the step's time is over.
struct SlowToLook(Outside);

impl Surroundings for SlowToLook {
    fn clock(&self) -> &dyn Clock {
        self.0.clock()
    }

    fn is_halted(&self, _: Duration) -> bool {
        self.0.clock.advance(Duration::from_mins(20));
        false
    }
}

#[test]
fn the_time_is_looked_at_again_directly_before_the_effect() {
    let fixture = Fixture::new();
    let slow = SlowToLook(fixture.outside.clone());
    let steps = fixture.steps_in("another", Box::new(slow));
    let result = steps.carry_out(&order(1)).unwrap();
    assert_eq!((result.status, result.error_code.as_deref()), (StepStatus::Refused, Some("expired")));
    assert_eq!(fixture.agent.effects(), NONE);
    let kinds = records(&fixture.folder.path().join("another"));
    assert_eq!(kinds, ["intent", "answered"], "it was admitted, and stopped at the last moment");
}

#[test]
fn a_token_is_remembered_before_anything_is_looked_at_and_not_forgotten_with_the_process() {
    let mut fixture = Fixture::new();
    // The newer owner's step changes nothing, and still nobody older acts after it.
    let mut newer = crate::sample::order("newer", 1);
    newer.token.epoch += 1;
    fixture.agent.set("300");
    fixture.check(&newer, StepStatus::Refused, Some("drifted"), NONE);
    fixture.agent.set("256");
    fixture.restart();
    fixture.check(&order(1), StepStatus::Refused, Some("stale_token"), NONE);
    let said = fixture.carry_out(&order(1)).error_message.unwrap();
    assert!(said.contains("7.1") && said.contains("8.1"), "both tokens are told: {said}");
}

#[test]
fn each_attempt_has_its_own_answer() {
    let fixture = Fixture::new();
    for attempt in 1..=2 {
        fixture.agent.next(Behaviour::FailBefore(Failure::transient("disk_full", "no room")));
        fixture.check(&order(attempt), StepStatus::Failure, Some("disk_full"), NONE);
    }
    fixture.check(&order(3), StepStatus::Success, None, DONE);
    // The first attempt comes late, after the last word about the step: that word answers it.
    fixture.check(&order(1), StepStatus::Success, None, DONE);
}
