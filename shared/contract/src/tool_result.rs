//! The public contract ToolResult: an agent's answer for one attempt at one step.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    decode::{self, Fault, Faults, Fields, Node},
    ids::{Attempt, CommandId, HostName, RemediationId, StepId, TraceId},
};

/// What came of one attempt.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[schemars(title = "ToolResult")]
pub struct ToolResult {
    /// Always `instance.v1.tool_result`.
    #[schemars(extend("const" = "instance.v1.tool_result"))]
    pub schema: String,
    pub trace_id: TraceId,
    /// `iris_config`, `os_config`, `iris_restart`, or `verify`.
    #[schemars(length(min = 1, max = 64))]
    pub tool_name: String,
    pub command_id: CommandId,
    pub remediation_id: RemediationId,
    pub step_id: StepId,
    /// Counted from 1; 0 for a step that was never sent.
    pub attempt: Attempt,
    pub status: StepStatus,
    /// Milliseconds of work.
    pub execution_time_ms: u64,
    /// What was changed, or in a dry run would be, by name of the target.
    #[serde(default)]
    pub changes_applied: BTreeMap<String, AppliedChange>,
    /// Name of the failure in snake case; null on success.
    #[schemars(length(min = 1, max = 64))]
    pub error_code: Option<String>,
    /// Not empty on failure, null on success.
    #[schemars(length(max = 500))]
    pub error_message: Option<String>,
    /// May the same step succeed when it is tried again?
    #[serde(default)]
    pub retryable: bool,
    pub requires_user_action: bool,
    pub rollback_available: bool,
    #[serde(default)]
    pub warnings: Vec<String>,
    pub agent: AgentInfo,
}

/// One value that was changed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct AppliedChange {
    pub parameter: String,
    pub old_value: Option<String>,
    pub new_value: Option<String>,
    /// Was the new value read back and found equal?
    pub validated: bool,
}

/// Who answered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct AgentInfo {
    /// `config-agent`, `os-agent`, `restart-agent`, or `router` for steps that were never sent.
    pub name: String,
    pub version: String,
    pub host: HostName,
}

/// The outcome of one step, with a word for each.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum StepStatus {
    /// Done and read back.
    Success,
    /// Nothing changed.
    Failure,
    /// Something changed, but not all that was asked.
    Partial,
    /// Done before, now taken back.
    Undone,
    /// Never started, because an earlier step failed.
    Skipped,
    /// Told what would change.
    DryRun,
    /// Not begun: policy, fence, deadline or drift.
    Refused,
    /// The answer was lost and could not be found out.
    Unknown,
}

impl StepStatus {
    pub const RULE: &'static str =
        "one of success, failure, partial, undone, skipped, dry_run, refused, unknown";

    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Success => "success",
            Self::Failure => "failure",
            Self::Partial => "partial",
            Self::Undone => "undone",
            Self::Skipped => "skipped",
            Self::DryRun => "dry_run",
            Self::Refused => "refused",
            Self::Unknown => "unknown",
        }
    }

    /// Does the step count as completed in the sum of a trace?
    pub const fn is_completed(self) -> bool {
        matches!(self, Self::Success | Self::DryRun | Self::Undone)
    }
}

impl ToolResult {
    pub const SCHEMA: &'static str = "instance.v1.tool_result";

    /// Check a result that somebody else wrote; every fault is told.
    pub fn decode(bytes: &[u8]) -> Result<Self, Faults> {
        let node = decode::tree(bytes, decode::MAX_PAYLOAD_BYTES)?;
        let fields = Fields::root(&node)?;
        check(&fields);
        fields.verdict()?;
        serde_json::from_slice(bytes).map_err(|error| Faults::one("payload", "", error.to_string()))
    }
}

/// The rules of a result, for one that stands alone or inside a trace.
pub(crate) fn check(fields: &Fields<'_>) {
    fields.constant("schema", ToolResult::SCHEMA);
    let _: Option<TraceId> = fields.text("trace_id", fields.required("trace_id"));
    fields.string("tool_name", fields.required("tool_name"), 1, 64);
    let _: Option<CommandId> = fields.text("command_id", fields.required("command_id"));
    let _: Option<RemediationId> = fields.text("remediation_id", fields.required("remediation_id"));
    let _: Option<StepId> = fields.text("step_id", fields.required("step_id"));
    let _: Option<u32> =
        fields.integer::<u32, u32>("attempt", fields.required("attempt"), "an integer, counted from 1");
    let status = status(fields);
    let milliseconds = "an integer of milliseconds, 0 or more";
    let _: Option<u64> =
        fields.integer::<u64, u64>("execution_time_ms", fields.required("execution_time_ms"), milliseconds);
    changes(fields);
    fields.string("error_code", fields.optional("error_code"), 1, 64);
    let message = fields.free_text("error_message", fields.optional("error_message"), 500);
    if status == Some(StepStatus::Failure) && message.as_deref().unwrap_or("").is_empty() {
        fields.note(Fault::new(fields.at("error_message"), "", "must say why when the status is failure"));
    }
    if status == Some(StepStatus::Success) && message.is_some() {
        let rule = "must be null when the status is success";
        fields.note(Fault::new(fields.at("error_message"), message.unwrap_or_default(), rule));
    }
    fields.boolean("retryable", fields.optional("retryable"));
    fields.boolean("requires_user_action", fields.required("requires_user_action"));
    fields.boolean("rollback_available", fields.required("rollback_available"));
    fields.array("warnings", fields.optional("warnings"));
    agent(fields);
    fields.close();
}

fn status(fields: &Fields<'_>) -> Option<StepStatus> {
    let node = fields.required("status")?;
    let status = node.as_str().and_then(|raw| serde_json::from_value(raw.into()).ok());
    if status.is_none() {
        fields.note(Fault::new(fields.at("status"), node, format!("must be {}", StepStatus::RULE)));
    }
    status
}

fn changes(fields: &Fields<'_>) {
    let Some(node) = fields.optional("changes_applied") else { return };
    let Node::Object(entries) = node else {
        fields.note(Fault::new(fields.at("changes_applied"), node, "must be an object"));
        return;
    };
    for (name, change) in entries {
        let path = format!("{}.{name}", fields.at("changes_applied"));
        let Some(inner) = fields.inner(path, change) else { continue };
        inner.string("parameter", inner.required("parameter"), 1, 512);
        inner.free_text("old_value", inner.optional("old_value"), 4096);
        inner.free_text("new_value", inner.optional("new_value"), 4096);
        inner.boolean("validated", inner.required("validated"));
        inner.close();
    }
}

fn agent(fields: &Fields<'_>) {
    let Some(inner) = fields.required("agent").and_then(|node| fields.inner(fields.at("agent"), node)) else {
        return;
    };
    inner.string("name", inner.required("name"), 1, 64);
    inner.string("version", inner.required("version"), 1, 64);
    let _: Option<HostName> = inner.text("host", inner.required("host"));
    inner.close();
}
