//! What senders ask for.

use instance_contract::{Older, RemediationCommand};
use serde_json::json;

use super::trace_id;

pub fn command(number: u128, instance: &str) -> RemediationCommand {
    read(
        number,
        instance,
        &json!({
            "requires_restart": true,
            "execution_order": ["iris_config", "iris_restart"],
            "parameters": {"cpf_section": "config", "parameter": "globals", "new_value": "0,0,512,0,0,0"},
        }),
    )
}

/// A CPF change, then a restart that may end in force.
pub fn forcing(number: u128) -> RemediationCommand {
    let cpf = json!({"cpf_section": "config", "parameter": "globals", "new_value": "0,0,512,0,0,0"});
    let steps = json!([
        {"id": "config", "tool": "iris_config", "parameters": cpf},
        {"id": "restart", "tool": "iris_restart", "depends_on": ["config"], "parameters": {"force": true}},
    ]);
    read(number, "PROD", &json!({"requires_restart": true, "steps": steps}))
}

pub fn graph(number: u128, instance: &str, steps: &[(&str, &[&str])]) -> RemediationCommand {
    let steps: Vec<_> = steps
        .iter()
        .map(|(id, depends_on)| {
            json!({"id": id, "tool": "os_config", "depends_on": depends_on,
                "parameters": {"kernel_param": format!("vm.{id}"), "new_value": 1}})
        })
        .collect();
    read(number, instance, &json!({"requires_restart": false, "steps": steps}))
}

pub fn dry(mut command: RemediationCommand) -> RemediationCommand {
    command.dry_run = true;
    command
}

pub fn priority(mut command: RemediationCommand, priority: &str) -> RemediationCommand {
    command.priority = priority.parse().unwrap();
    command
}

fn read(number: u128, instance: &str, work: &serde_json::Value) -> RemediationCommand {
    let mut value = json!({
        "schema": RemediationCommand::SCHEMA,
        "command_id": uuid::Uuid::from_u128(number).to_string(),
        "trace_id": trace_id(),
        "instance": instance,
        "error_type": "config",
        "severity": 3,
        "recommended_action": "grow the database cache",
        "requested_by": "test",
        "issued_at": "2026-11-21T07:59:59Z",
    });
    value.as_object_mut().unwrap().extend(work.as_object().unwrap().clone());
    let older = Older::nothing(trace_id(), "2026-11-21T07:59:59Z".parse().unwrap());
    RemediationCommand::decode(value.to_string().as_bytes(), &older).unwrap()
}
