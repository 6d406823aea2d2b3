use instance_contract::{Action, AgentKind, StepCommand, Tool};
use serde_json::json;

/// The command of a step as a router would send it: instance `PROD` on host `db1`, first attempt, an hour to go at
/// 2026-11-21T08:00:00Z.
///
/// # Panics
/// Never: the values are legal.
pub fn order(agent: AgentKind, action: &Action) -> StepCommand {
    let (tool, step, limit_seconds) = match agent {
        AgentKind::Config => (Tool::IrisConfig, "config", 60),
        AgentKind::Os => (Tool::OsConfig, "os", 60),
        AgentKind::Restart => (Tool::IrisRestart, "restart", 240),
    };
    let id = "0a1b2c3d-0000-4000-8000-000000000001";
    let order = json!({
        "schema": StepCommand::SCHEMA, "trace_id": "0123456789abcdef0123456789abcdef", "remediation_id": id,
        "command_id": id, "instance": "PROD", "step_id": step, "attempt": 1, "agent": agent, "host": "db1",
        "tool": tool, "action": action, "change": null, "plan_digest": "a".repeat(64),
        "not_after": "2026-11-21T09:00:00Z", "limit_seconds": limit_seconds, "token": {"epoch": 1, "counter": 1},
        "because": {"now": "2026-11-21T08:00:00Z", "event": "accepted", "delay_ms": 0},
    });
    serde_json::from_value(order).expect("a step command that every agent reads")
}
