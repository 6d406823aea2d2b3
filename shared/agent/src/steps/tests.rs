//! Every way a step command can come and go wrong, with an agent whose effects are counted.

mod crashes;
mod fixture;
mod undoing;

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use instance_contract::{StepStatus, Verify};
use jiff::SignedDuration;

pub use self::fixture::{DONE, Fixture, NONE, Outside, UNDONE, order, undo};
use super::*;
use crate::{counting_agent::Behaviour, sample};

#[test]
fn a_repetition_is_answered_from_the_ledger_whatever_token_time_and_halt_say() {
    let mut fixture = Fixture::new();
    fixture.check(&order(1), StepStatus::Success, None, DONE);
    let first = fixture.carry_out(&order(1));
    fixture.restart();
    fixture.outside.halted.store(true, Ordering::SeqCst);
    fixture.outside.clock.advance(Duration::from_hours(1));
    fixture.agent.set("900");
    let mut stale = order(1);
    stale.token.epoch -= 1;
    assert_eq!(fixture.carry_out(&stale), first);
    fixture.check(&order(2), StepStatus::Success, None, DONE);
    assert_eq!(fixture.tell(&order(1)), first);
}

#[test]
fn the_intent_stands_in_the_ledger_before_the_effect() {
    // That what the ledger has acknowledged outlives a power cut is shown under `ledger`.
    let fixture = Fixture::new();
    for (order, effects) in [(order(1), DONE), (undo(1), UNDONE)] {
        let ledger = fixture.folder.path().join("state/ledger");
        let key = format!("\"step_id\":\"{}\"", order.step_id);
        let looked = Arc::new(AtomicBool::new(false));
        let seen = Arc::clone(&looked);
        fixture.agent.next(Behaviour::Run(Box::new(move || {
            let text = String::from_utf8_lossy(&std::fs::read(&ledger).unwrap()).into_owned();
            assert!(text.contains(&key), "no intent before the effect: {text}");
            seen.store(true, Ordering::SeqCst);
        })));
        let status = if effects == DONE { StepStatus::Success } else { StepStatus::Undone };
        fixture.check(&order, status, None, effects);
        assert!(looked.load(Ordering::SeqCst));
    }
}

#[test]
fn one_key_cannot_be_used_for_two_commands() {
    let fixture = Fixture::new();
    fixture.check(&order(1), StepStatus::Success, None, DONE);
    let mut other = order(2);
    other.instance = "TEST".parse().unwrap();
    fixture.check(&other, StepStatus::Refused, Some("equivocation"), DONE);
}

#[test]
fn nothing_begins_when_time_halt_token_or_the_world_forbid_it() {
    let fixture = Fixture::new();
    let mut late = order(1);
    late.not_after = sample::NOW;
    fixture.check(&late, StepStatus::Refused, Some("expired"), NONE);
    fixture.outside.halted.store(true, Ordering::SeqCst);
    fixture.check(&order(2), StepStatus::Refused, Some("halted"), NONE);
    fixture.outside.halted.store(false, Ordering::SeqCst);
    let mut newer = sample::order("other", 1);
    newer.token.epoch += 1;
    newer.change = None;
    fixture.check(&newer, StepStatus::Success, None, DONE);
    fixture.agent.set("256");
    fixture.check(&order(3), StepStatus::Refused, Some("stale_token"), DONE);
    let mut fresh = order(4);
    fresh.token = newer.token;
    fixture.agent.set("300");
    fixture.check(&fresh, StepStatus::Refused, Some("drifted"), DONE);
    assert_eq!(fixture.agent.value(), "300");
}

#[test]
fn an_agent_that_was_started_with_dry_run_changes_nothing() {
    let mut fixture = Fixture::new();
    let self_guard =
        SelfGuard::new(instance_contract::Carriers::default(), "db1".parse().unwrap()).of_dry_run(true);
    fixture.is_guarded_by(self_guard);
    fixture.check(&order(1), StepStatus::Refused, Some("dry_run"), NONE);
    assert_eq!(fixture.steps().state(&order(1)).unwrap(), State::Nothing, "no intent");
}

/// The second of three layers: a router that knows nothing of it has sent the step, and the agent would do it.
#[test]
fn what_carries_instance_is_left_alone_by_the_loop() {
    let mut fixture = Fixture::new();
    let carriers = instance_contract::Carriers(vec!["PROD".to_owned()]);
    let self_guard = SelfGuard::new(carriers, "db1".parse().unwrap());
    fixture.is_guarded_by(self_guard);
    fixture.check(&order(1), StepStatus::Refused, Some("carries_instance"), NONE);
    assert_eq!(fixture.steps().state(&order(1)).unwrap(), State::Nothing, "no intent");
    fixture.crash_after_intent(&order(2), "256", "512");
    fixture.check(&order(2), StepStatus::Success, None, DONE);
}

#[test]
fn a_refused_attempt_stays_refused_when_it_comes_again_and_another_may_pass() {
    let mut fixture = Fixture::new();
    fixture.agent.set("300");
    fixture.check(&order(1), StepStatus::Refused, Some("drifted"), NONE);
    fixture.agent.set("256");
    fixture.restart();
    fixture.check(&order(1), StepStatus::Refused, Some("drifted"), NONE);
    fixture.check(&order(2), StepStatus::Success, None, DONE);
}

/// Lets the first look pass; at the second one something has come in between.
struct Late {
    looks: std::sync::atomic::AtomicU32,
    outside: Outside,
    comes: Comes,
}

#[derive(Clone, Copy)]
enum Comes {
    Halt,
    /// The end of the time for the step.
    TheEnd,
}

impl Surroundings for Late {
    fn clock(&self) -> &dyn Clock {
        self.outside.clock()
    }

    fn is_halted(&self, _: Duration) -> bool {
        let is_second = self.looks.fetch_add(1, Ordering::SeqCst) > 0;
        if is_second && matches!(self.comes, Comes::TheEnd) {
            self.outside.clock.advance(Duration::from_hours(1));
        }
        is_second && matches!(self.comes, Comes::Halt)
    }
}

#[test]
fn a_halt_and_the_end_of_the_time_count_up_to_the_effect() {
    for (comes, code) in [(Comes::Halt, "halted"), (Comes::TheEnd, "expired")] {
        let fixture = Fixture::new();
        let late = Late { looks: 0.into(), outside: fixture.outside.clone(), comes };
        let steps = fixture.steps_in("state of another", Box::new(late));
        let result = steps.carry_out(&order(1)).unwrap();
        assert_eq!((result.status, result.error_code.as_deref()), (StepStatus::Refused, Some(code)));
        assert_eq!(fixture.agent.effects(), NONE);
    }
}

#[test]
fn already_as_wanted_is_success_and_nothing_to_undo() {
    let fixture = Fixture::new();
    fixture.agent.set("512");
    fixture.check(&order(1), StepStatus::Success, None, NONE);
    let result = fixture.carry_out(&order(1));
    assert!(result.changes_applied["cpf [config] globals"].validated);
    assert!(!result.rollback_available);
    fixture.check(&undo(1), StepStatus::Success, None, NONE);
    assert_eq!(fixture.agent.value(), "512");
}

#[test]
fn transient_is_final_for_the_attempt_and_permanent_for_the_step() {
    let fixture = Fixture::new();
    fixture.agent.next(Behaviour::FailBefore(Failure::transient("disk_full", "no room")));
    fixture.check(&order(1), StepStatus::Failure, Some("disk_full"), NONE);
    fixture.check(&order(1), StepStatus::Failure, Some("disk_full"), NONE);
    assert!(fixture.carry_out(&order(1)).retryable);
    fixture.agent.next(Behaviour::FailBefore(Failure::permanent("read_only", "never")));
    fixture.check(&order(2), StepStatus::Failure, Some("read_only"), NONE);
    fixture.check(&order(3), StepStatus::Failure, Some("read_only"), NONE);
}

#[test]
fn who_joins_a_running_attempt_is_bound_by_its_result() {
    let fixture = Fixture::new();
    fixture.agent.next(Behaviour::FailBefore(Failure::transient("disk_full", "no room")));
    let first = fixture.carry_out(&order(1));
    let joined = fixture.steps().join(&order(2), first.clone()).unwrap();
    assert_eq!(joined, ToolResult { attempt: order(2).attempt, ..first });
    fixture.check(&order(2), StepStatus::Failure, Some("disk_full"), NONE);
    fixture.check(&order(3), StepStatus::Success, None, DONE);
}

#[test]
fn a_verification_is_made_anew_for_every_attempt_and_leaves_no_intent() {
    let fixture = Fixture::new();
    let mut verify = order(1);
    verify.action = Action::Verify(Verify { expect: Vec::new(), quiet: Vec::new(), quiet_seconds: 0 });
    let result = fixture.carry_out(&verify);
    assert_eq!((result.tool_name.as_str(), result.status), ("verify", StepStatus::Failure));
    assert_eq!(result.warnings, ["value: expected 1024, found 256"]);
    fixture.agent.set("1024");
    fixture.outside.halted.store(true, Ordering::SeqCst);
    assert_eq!(fixture.carry_out(&verify).status, StepStatus::Success);
    verify.not_after = sample::NOW - SignedDuration::from_secs(1);
    assert_eq!(fixture.carry_out(&verify).error_code.as_deref(), Some("expired"));
}

#[test]
fn an_instance_that_another_agent_acts_on_is_waited_for_and_then_left() {
    let fixture = Fixture::new();
    let fence = fixture.fence();
    let guard = fence.lock(&"PROD".parse().unwrap(), &|| Duration::ZERO).unwrap();
    let mut brief = order(1);
    brief.limit_seconds = 0;
    fixture.check(&brief, StepStatus::Failure, Some("instance_busy"), NONE);
    drop(guard);
    // Nor does an effect begin when the time of its step is over.
    let mut again = brief.clone();
    again.attempt = instance_contract::Attempt(2);
    fixture.check(&again, StepStatus::Failure, Some("too_late"), NONE);
    let mut other = order(1);
    other.step_id = "config-2".parse().unwrap();
    fixture.check(&other, StepStatus::Success, None, DONE);
}
