//! Step commands and results for the tests of this crate.

use instance_contract::{
    Action, AgentInfo, AgentKind, AppliedChange, Attempt, Because, Change, CommandId, Digest, SetCpf,
    StepCommand, StepStatus, Token, Tool, ToolResult, TraceId, Undo,
};
use jiff::Timestamp;

use crate::agent::{Applied, Prepared};

pub const NOW: Timestamp = Timestamp::constant(1_790_000_000, 0);

pub fn order(step: &str, attempt: u32) -> StepCommand {
    let command_id: CommandId = "0a1b2c3d-0000-4000-8000-000000000001".parse().unwrap();
    let step_id: instance_contract::StepId = step.parse().unwrap();
    StepCommand {
        schema: StepCommand::SCHEMA.to_owned(),
        trace_id: TraceId::from_bytes([7; 16]),
        remediation_id: command_id.into(),
        command_id,
        instance: "PROD".parse().unwrap(),
        step_id: step_id.clone(),
        attempt: Attempt(attempt),
        agent: AgentKind::Config,
        host: "db1".parse().unwrap(),
        tool: Tool::IrisConfig,
        action: Action::SetCpf(SetCpf {
            cpf_section: "config".to_owned(),
            parameter: "globals".to_owned(),
            new_value: "512".to_owned(),
            current_value: None,
        }),
        change: Some(Change {
            step: step_id,
            target: "cpf [config] globals".to_owned(),
            before: "256".to_owned(),
            after: "512".to_owned(),
        }),
        plan_digest: Digest::of(b"plan"),
        not_after: NOW + jiff::SignedDuration::from_mins(10),
        limit_seconds: 60,
        force_agreed: false,
        token: Token { epoch: 7, counter: 1 },
        because: Because { now: NOW, event: "accepted".to_owned(), delay_ms: 0, epoch: 0, halted: false },
    }
}

pub fn undo_order(step: &str, attempt: u32) -> StepCommand {
    let original = order(step, attempt);
    StepCommand {
        step_id: original.step_id.undo(),
        action: Action::Undo(Undo { step: original.step_id.clone(), tool: original.tool }),
        change: None,
        ..original
    }
}

pub fn prepared(before: &str, wanted: &str) -> Prepared {
    Prepared {
        before: before.to_owned(),
        wanted: wanted.to_owned(),
        already: before == wanted,
        material: serde_json::json!({ "backup": "iris.cpf.1" }),
    }
}

pub fn applied(before: &str, after: &str) -> Applied {
    let change = AppliedChange {
        parameter: "globals".to_owned(),
        old_value: Some(before.to_owned()),
        new_value: Some(after.to_owned()),
        validated: true,
    };
    Applied {
        changes: vec![("cpf [config] globals".to_owned(), change)],
        warnings: Vec::new(),
        rollback_available: true,
    }
}

pub fn result(order: &StepCommand, status: StepStatus) -> ToolResult {
    let failed = !status.is_completed();
    ToolResult {
        schema: ToolResult::SCHEMA.to_owned(),
        trace_id: order.trace_id.clone(),
        tool_name: order.tool.as_str().to_owned(),
        command_id: order.command_id,
        remediation_id: order.remediation_id,
        step_id: order.step_id.clone(),
        attempt: order.attempt,
        status,
        execution_time_ms: 3,
        changes_applied: std::collections::BTreeMap::new(),
        error_code: failed.then(|| "sample".to_owned()),
        error_message: failed.then(|| "a sample".to_owned()),
        retryable: false,
        requires_user_action: false,
        rollback_available: false,
        warnings: Vec::new(),
        agent: AgentInfo {
            name: "config-agent".to_owned(),
            version: "0.1.0".to_owned(),
            host: order.host.clone(),
        },
    }
}
