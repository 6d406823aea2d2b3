//! Commands that name no tools: a labelled set of 100, and what the rules make of it.
//!
//! `routing.jsonl` holds what an administrator would have the command do: the tools in order, the risk of each, and words
//! that the reason for it must hold. An empty list means that the command should be refused, and its sender told about
//! `field` first.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

use instance_contract::{Faults, Older, RemediationCommand, TraceId};
use serde_json::{Value, json};

/// The least share of right answers, in percent.
const GOAL: usize = 95;

/// A step as the set has it.
#[derive(serde::Deserialize)]
struct Label {
    tool: String,
    risk: String,
    why: String,
}

#[test]
fn at_least_95_of_100_commands_go_to_the_right_tools_with_reason_and_risk() {
    let labelled: Vec<Value> =
        include_str!("routing.jsonl").lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(labelled.len(), 100);
    let wrong: Vec<String> = labelled
        .iter()
        .filter_map(|row| {
            let expected: Vec<Label> = serde_json::from_value(row["tools"].clone()).unwrap();
            let found = routed(row);
            let is_right = found.len() == expected.len()
                && found.iter().zip(&expected).all(|((tool, risk, reason), label)| {
                    let is_told = reason.contains("by rule") && reason.contains(&label.why);
                    *tool == label.tool && *risk == label.risk && is_told
                });
            (!is_right).then(|| format!("{row}: {found:?}"))
        })
        .collect();
    let right = labelled.len() - wrong.len();
    println!("{right} of {} right", labelled.len());
    assert!(right * 100 >= labelled.len() * GOAL, "only {right}: {wrong:#?}");
}

#[test]
fn whoever_is_refused_is_told_the_field_to_mend() {
    let labelled = include_str!("routing.jsonl").lines().map(|line| serde_json::from_str(line).unwrap());
    let refused: Vec<Value> = labelled.filter(|row: &Value| row["tools"] == json!([])).collect();
    assert_eq!(refused.len(), 17);
    for row in refused {
        let Faults(faults) = decoded(&row).expect_err("it is to be refused");
        assert_eq!(faults[0].field, row["field"], "{row}: {faults:?}");
    }
}

#[test]
fn a_command_that_names_its_tools_is_not_called_routed() {
    let mut row = json!({"error_type": "config", "requires_restart": false, "parameters": {
        "cpf_section": "config", "parameter": "globals", "new_value": "0,0,512,0,0,0"}});
    assert!(routed(&row)[0].2.starts_with("routed to iris_config by rule"));
    row["execution_order"] = json!(["iris_config"]);
    assert_eq!(routed(&row)[0].2, "iris_config as the command asks: as labelled");
}

/// Tool, risk and reason of each step, in order; none for a refusal.
fn routed(row: &Value) -> Vec<(String, String, String)> {
    let Ok(command) = decoded(row) else { return Vec::new() };
    // The log holds it as JSON: who reads it there must come to the same.
    let kept: RemediationCommand = serde_json::from_value(serde_json::to_value(&command).unwrap()).unwrap();
    assert_eq!(kept, command);
    let steps = command.steps();
    let told = steps
        .iter()
        .map(|step| (step.tool.to_string(), step.action.risk().to_string(), command.reason_for(step)));
    told.collect()
}

fn decoded(row: &Value) -> Result<RemediationCommand, Faults> {
    let mut command = json!({
        "schema": RemediationCommand::SCHEMA, "command_id": "6f1d2c0a-52b7-4c43-9a3e-1b6077a1d5c8",
        "trace_id": "0123456789abcdef0123456789abcdef", "instance": "PROD", "severity": 2,
        "recommended_action": "as labelled", "requested_by": "test", "issued_at": "2026-11-21T08:00:00Z",
        "error_type": row["error_type"], "requires_restart": row["requires_restart"], "parameters": row["parameters"],
    });
    if let Some(order) = row.get("execution_order") {
        command["execution_order"] = order.clone();
    }
    let older = Older::nothing(TraceId::from_bytes([1; 16]), "2026-11-21T08:00:00Z".parse().unwrap());
    RemediationCommand::decode(command.to_string().as_bytes(), &older)
}
