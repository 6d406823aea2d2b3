use instance_contract::{Older, OverallStatus, RemediationCommand, StepStatus};
use serde_json::{Value, json};

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
    assert_eq!(world.decisions(), ["remediation", "nothing"], "what nobody knows is told of, to nobody");
    world.later(120_000);
    world.says(&row.wordings[0].example, 2, 9);
    world.later(5000);
    assert_eq!(world.decisions(), ["remediation", "nothing", "person"], "later it is news");
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
    let told = ["remediation", "nothing"];
    assert_eq!(unknown(&mut world), told, "and for a while after its end");
    world.later(60_000);
    assert_eq!(unknown(&mut world), ["remediation", "nothing", "person"]);
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

/// What the runbook may cause is its echo from its first step on, and news before.
#[test]
fn a_known_condition_is_an_echo_only_once_the_work_has_begun() {
    // One that the runbook names, and that no restart of ours is heard by in general.
    let row = instance_knowledge::condition("instance-was-forced").unwrap();
    let says = |world: &mut World| {
        world.says(&row.wordings[0].example, 3, 9);
        world.agents_answer("0,0,256,0,0,0");
        world.later(5000);
        world.records.iter().any(|(_, record)| match record {
            instance_diagnosis::Record::Opened(opened) => {
                opened.condition.as_ref().is_some_and(|id| id.as_str() == row.id)
            }
            _ => false,
        })
    };
    // Published, and no router has taken it.
    let mut world = World::new();
    world.says(DIED, 3, 7);
    world.agents_answer("0,0,256,0,0,0");
    assert!(says(&mut world), "nothing has been done that it could be the echo of");
    // Taken, and waiting for a person or its turn.
    let mut world = accepted();
    assert!(says(&mut world), "nor has anything while a person is asked");
    // Its twin: a step was sent.
    let mut world = accepted();
    world.steps(&world.last_command());
    assert!(!says(&mut world), "now it is ours");
}

/// What somebody asks for who is not the analyst.
fn asked(error_type: &str, order: &[&str], parameters: &Value) -> RemediationCommand {
    let document = json!({
        "schema": RemediationCommand::SCHEMA, "command_id": "6f1d0000-0000-4000-8000-000000000001",
        "trace_id": "0af7651916cd43dd8448eb211c80319c", "instance": "PROD", "error_type": error_type, "severity": 2,
        "recommended_action": "as the DBA wants it", "requires_restart": order.contains(&"iris_restart"),
        "requested_by": "ada", "issued_at": "2026-11-21T08:00:00Z", "execution_order": order,
        "parameters": parameters,
    });
    let nothing =
        Older::nothing("0af7651916cd43dd8448eb211c80319c".parse().unwrap(), jiff::Timestamp::UNIX_EPOCH);
    RemediationCommand::decode(document.to_string().as_bytes(), &nothing).unwrap()
}

/// A CPF edit of ours is heard in the log as a restart is; a change of the kernel is not, and of another instance neither.
#[test]
fn what_our_own_cpf_edit_makes_the_log_say_is_ours() {
    let edit = json!({"cpf_section": "config", "parameter": "locksiz", "new_value": "33554432"});
    let kernel = json!({"kernel_param": "vm.swappiness", "new_value": "5"});
    let elsewhere =
        RemediationCommand { instance: "OTHER".parse().unwrap(), ..asked("config", &["iris_config"], &edit) };
    for (command, is_ours) in [
        (asked("config", &["iris_config"], &edit), true),
        (asked("config", &["iris_config", "iris_restart"], &edit), true),
        (asked("resource", &["os_config"], &kernel), false),
        (elsewhere, false),
    ] {
        let mut world = World::new();
        world.accepts(&command);
        world.steps(&command);
        let told = unknown(&mut world);
        assert_eq!(told.is_empty(), is_ours, "{command:?}: {told:?}");
        world.ends(&command, OverallStatus::Success);
        // Its echo lasts for a minute after its end.
        world.later(59_000 - 3_000);
        assert_eq!(!unknown(&mut world).contains(&"person"), is_ours, "{command:?}");
        world.later(5_000);
        assert_eq!(unknown(&mut world).last(), Some(&"person"), "{command:?}: afterwards it is news");
    }
}
