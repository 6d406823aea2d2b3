use instance_contract::{OverallStatus, StepStatus};

use crate::world::{DIED, World};

const UNKNOWN: &str = "Something that nobody knows stumbled at the start";

#[test]
fn the_echo_of_our_own_restart_is_ours() {
    let mut world = World::new();
    world.says(DIED, 3, 7);
    world.agents_answer("0,0,256,0,0,0");
    world.ends(&world.last_command(), OverallStatus::Success);
    let row = instance_knowledge::condition("shutdown-was-abnormal").unwrap();
    world.later(5000);
    world.says(&row.wordings[0].example, 2, 9);
    world.says(UNKNOWN, 2, 9);
    world.later(5000);
    assert_eq!(world.decisions(), ["remediation"]);
    world.later(120_000);
    world.says(&row.wordings[0].example, 2, 9);
    world.later(5000);
    assert_eq!(world.decisions(), ["remediation", "person"], "later it is news");
}

/// A restart that was asked for and that a router has taken.
fn accepted() -> World {
    let mut world = World::new();
    world.says(DIED, 3, 7);
    world.agents_answer("0,0,256,0,0,0");
    world.accepts(&world.last_command());
    world
}

/// What becomes of a grave text that nobody knows, said now.
fn unknown(world: &mut World) -> Vec<&'static str> {
    world.says(UNKNOWN, 2, 9);
    world.later(3000);
    world.decisions()
}

#[test]
fn who_waits_for_a_person_or_a_turn_drowns_nothing() {
    let mut world = accepted();
    world.later(60_000);
    assert_eq!(unknown(&mut world), ["remediation", "person"]);
}

#[test]
fn from_its_first_step_on_a_remediation_is_heard() {
    let mut world = accepted();
    world.steps(&world.last_command());
    assert_eq!(unknown(&mut world), ["remediation"]);
    world.ends(&world.last_command(), OverallStatus::Success);
    assert_eq!(unknown(&mut world), ["remediation"], "and for a while after its end");
    world.later(60_000);
    assert_eq!(unknown(&mut world), ["remediation", "person"]);
}

#[test]
fn the_end_of_what_executed_nothing_drowns_nothing() {
    for step in [StepStatus::Skipped, StepStatus::Refused, StepStatus::DryRun] {
        let mut world = accepted();
        world.ends_with(&world.last_command(), OverallStatus::Refused, Some(step));
        let before = world.decisions().len();
        assert_eq!(unknown(&mut world).len(), before + 1, "{step:?}");
    }
}

/// Only the steps of what is open are read at a start.
#[test]
fn a_step_counts_between_acceptance_and_end_only() {
    let mut world = accepted();
    let command = world.last_command();
    let id = command.command_id.into();
    assert!(world.core.is_open(id));
    world.ends(&command, OverallStatus::Refused);
    assert!(!world.core.is_open(id));
    let before = world.decisions().len();
    world.steps(&command);
    assert_eq!(unknown(&mut world).len(), before + 1, "a step read late does not make it heard");
}
