//! What agents answer.

use std::collections::BTreeMap;

use instance_contract::{AgentInfo, Cause, StepCommand, StepStatus, ToolResult};

fn result(step: &StepCommand, status: StepStatus, cause: Option<Cause>, retryable: bool) -> ToolResult {
    ToolResult {
        schema: ToolResult::SCHEMA.to_owned(),
        trace_id: step.trace_id.clone(),
        tool_name: if step.step_id.as_str() == "verify" {
            "verify".into()
        } else {
            step.tool.as_str().into()
        },
        command_id: step.command_id,
        remediation_id: step.remediation_id,
        step_id: step.step_id.clone(),
        attempt: step.attempt,
        status,
        execution_time_ms: 1,
        changes_applied: BTreeMap::new(),
        error_code: cause.as_ref().map(|cause| cause.code.clone()),
        error_message: cause.map(|cause| cause.message),
        retryable,
        requires_user_action: false,
        rollback_available: true,
        warnings: Vec::new(),
        agent: AgentInfo {
            name: step.agent.as_str().into(),
            version: "test".into(),
            host: step.host.clone(),
        },
    }
}

pub fn succeeded(step: &StepCommand) -> ToolResult {
    result(step, StepStatus::Success, None, false)
}

pub fn undone(step: &StepCommand) -> ToolResult {
    result(step, StepStatus::Undone, None, false)
}

pub fn failed(step: &StepCommand) -> ToolResult {
    result(step, StepStatus::Failure, Some(Cause::new("disk_full", "no space left")), false)
}

pub fn refused(step: &StepCommand) -> ToolResult {
    result(step, StepStatus::Refused, Some(Cause::new("drifted", "the value is another one now")), false)
}

pub fn transient(step: &StepCommand) -> ToolResult {
    result(step, StepStatus::Failure, Some(Cause::new("busy", "the file is locked")), true)
}

/// The stop failed, and nobody has agreed to force.
pub fn asks_for_force(step: &StepCommand) -> ToolResult {
    let cause = Cause::new("force_not_agreed", "instance is \"running\" 120 s after the stop was asked for");
    result(step, StepStatus::Unknown, Some(cause), true)
}

pub fn unknown(step: &StepCommand) -> ToolResult {
    result(step, StepStatus::Unknown, Some(Cause::new("lost", "the answer was lost")), true)
}

/// All goes well, taking back too, but for one step.
pub fn but_for(
    step_id: &'static str,
    answer: fn(&StepCommand) -> ToolResult,
) -> impl FnMut(&StepCommand) -> ToolResult {
    move |step| match step.step_id.as_str() {
        id if id == step_id => answer(step),
        id if id.ends_with("-undo") => undone(step),
        _ => succeeded(step),
    }
}
