//! Commands that name no tools: a labelled set of 100, and what the rules make of it.
//!
//! `routing.jsonl` holds what an administrator would have the command do; an empty list means that it should be
//! refused.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

use instance_contract::{Older, RemediationCommand, TraceId};
use serde_json::{Value, json};

/// The least share of right answers, in percent.
const GOAL: usize = 95;

#[test]
fn at_least_95_of_100_commands_go_to_the_right_tools() {
    let labelled: Vec<Value> =
        include_str!("routing.jsonl").lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(labelled.len(), 100);
    let wrong: Vec<String> = labelled
        .iter()
        .filter_map(|row| {
            let expected: Vec<String> = serde_json::from_value(row["tools"].clone()).unwrap();
            let found = routed(row);
            (found != expected).then(|| format!("{row}: {found:?}"))
        })
        .collect();
    let right = labelled.len() - wrong.len();
    println!("{right} of {} right", labelled.len());
    assert!(right * 100 >= labelled.len() * GOAL, "only {right}: {wrong:#?}");
}

/// The tools, in order; none for a refusal.
fn routed(row: &Value) -> Vec<String> {
    let command = json!({
        "schema": RemediationCommand::SCHEMA, "command_id": "6f1d2c0a-52b7-4c43-9a3e-1b6077a1d5c8",
        "trace_id": "0123456789abcdef0123456789abcdef", "instance": "PROD", "severity": 2,
        "recommended_action": "as labelled", "requested_by": "test", "issued_at": "2026-11-21T08:00:00Z",
        "error_type": row["error_type"], "requires_restart": row["requires_restart"], "parameters": row["parameters"],
    });
    let older = Older::nothing(TraceId::from_bytes([1; 16]), "2026-11-21T08:00:00Z".parse().unwrap());
    match RemediationCommand::decode(command.to_string().as_bytes(), &older) {
        Ok(command) => command.steps().iter().map(|step| step.tool.as_str().to_owned()).collect(),
        Err(_) => Vec::new(),
    }
}
