//! The public contract WorkflowTrace: the whole run, told to the asker.

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    decode::{self, Fault, Faults, Fields, Node},
    ids::{Digest, RemediationId, StepId, TraceId},
    plan::StepOutline,
    remediation_command::{Older, RemediationCommand},
    tool_result::{self, StepStatus, ToolResult},
};

/// The end of a remediation.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[schemars(title = "WorkflowTrace")]
pub struct WorkflowTrace {
    /// Always `instance.v1.workflow_trace`.
    #[schemars(extend("const" = "instance.v1.workflow_trace"))]
    pub schema: String,
    pub trace_id: TraceId,
    pub remediation_id: RemediationId,
    /// The command as it was understood; null when it could not be.
    #[schemars(with = "Option<crate::remediation_command::Wire>")]
    pub command_received: Option<RemediationCommand>,
    #[schemars(with = "String", extend("format" = "date-time"))]
    pub initiated_at: Timestamp,
    /// In order of completion; skipped steps last.
    pub steps_executed: Vec<ToolResult>,
    pub overall_status: OverallStatus,
    pub failed_at_step: Option<StepId>,
    /// What was proved at the end; null when it never came to that.
    pub verification: Option<Verification>,
    /// From acceptance to the end.
    pub completion_time_ms: u64,
    pub totals: Totals,
    /// SHA-256 of the changes that were planned: what an approval names, and the same for a dry run and the run that
    /// follows it. Absent when there was no plan.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub plan_digest: Option<Digest>,
    /// Risk of each step of the plan, and why it was there. Absent when there was no plan.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub planned: Vec<StepOutline>,
    /// What an operator should know of the plan, e.g. a change that comes into force only after a restart.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub warnings: Vec<String>,
    /// Why it was refused, expired or failed, for people; null on success.
    pub reason: Option<String>,
    /// Faults of a refused command.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub faults: Vec<Fault>,
}

/// What the last step found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Verification {
    pub held: bool,
    /// One line a thing that was looked at: what, expected, found.
    pub findings: Vec<String>,
}

/// Steps by outcome. Invariant: completed + failed + skipped = total.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema, Default)]
pub struct Totals {
    pub total: u32,
    /// success, dry_run, undone
    pub completed: u32,
    /// all else
    pub failed: u32,
    pub skipped: u32,
}

/// The one word for the whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum OverallStatus {
    /// Every step succeeded and the verification held.
    Success,
    /// Something failed and everything done was taken back.
    Undone,
    /// Something failed before anything was changed.
    Failure,
    /// A change stayed in place after a failure, and a person was called.
    Partial,
    /// Told what would change.
    DryRun,
    /// Not begun: a bad command, policy, or a denied approval.
    Refused,
    /// The approval never came, or the command was too old.
    Expired,
}

impl OverallStatus {
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Success => "success",
            Self::Undone => "undone",
            Self::Failure => "failure",
            Self::Partial => "partial",
            Self::DryRun => "dry_run",
            Self::Refused => "refused",
            Self::Expired => "expired",
        }
    }
}

impl Totals {
    pub fn of(steps: &[ToolResult]) -> Self {
        let mut totals = Self::default();
        for step in steps {
            totals.total += 1;
            match step.status {
                status if status.is_completed() => totals.completed += 1,
                StepStatus::Skipped => totals.skipped += 1,
                _ => totals.failed += 1,
            }
        }
        totals
    }
}

impl WorkflowTrace {
    pub const SCHEMA: &'static str = "instance.v1.workflow_trace";

    /// Check a trace that somebody else wrote; every fault is told.
    pub fn decode(bytes: &[u8]) -> Result<Self, Faults> {
        let node = decode::tree(bytes, 8 * decode::MAX_PAYLOAD_BYTES)?;
        let fields = Fields::root(&node)?;
        fields.constant("schema", Self::SCHEMA);
        let _: Option<TraceId> = fields.text("trace_id", fields.required("trace_id"));
        let _: Option<RemediationId> = fields.text("remediation_id", fields.required("remediation_id"));
        command(&fields);
        fields.instant("initiated_at", fields.required("initiated_at"));
        let steps = fields.array("steps_executed", fields.required("steps_executed")).unwrap_or_default();
        for (index, step) in steps.iter().enumerate() {
            if let Some(inner) = fields.inner(format!("steps_executed[{index}]"), step) {
                tool_result::check(&inner);
            }
        }
        word::<OverallStatus>(
            &fields,
            "overall_status",
            "one of success, undone, failure, partial, dry_run, refused, expired",
        );
        let _: Option<StepId> = fields.text("failed_at_step", fields.optional("failed_at_step"));
        shape::<Verification>(&fields, "verification");
        let milliseconds = "an integer of milliseconds, 0 or more";
        let _: Option<u64> = fields.integer::<u64, u64>(
            "completion_time_ms",
            fields.required("completion_time_ms"),
            milliseconds,
        );
        fields.required("totals");
        let _: Option<Digest> = fields.text("plan_digest", fields.optional("plan_digest"));
        fields.array("planned", fields.optional("planned"));
        fields.array("warnings", fields.optional("warnings"));
        fields.free_text("reason", fields.optional("reason"), 4096);
        fields.array("faults", fields.optional("faults"));
        fields.close();
        fields.verdict()?;
        let trace: Self =
            serde_json::from_slice(bytes).map_err(|error| Faults::one("payload", "", error.to_string()))?;
        let counted = Totals::of(&trace.steps_executed);
        if counted != trace.totals {
            let rule = format!("must add up with steps_executed: {counted:?}");
            return Err(Faults::one("totals", format!("{:?}", trace.totals), rule));
        }
        Ok(trace)
    }
}

fn command(fields: &Fields<'_>) {
    let Some(node) = fields.optional("command_received") else { return };
    if !matches!(node, Node::Object(_)) {
        fields.note(Fault::new("command_received", node, "must be null or a RemediationCommand"));
    }
}

fn word<T: serde::de::DeserializeOwned>(fields: &Fields<'_>, name: &'static str, rule: &str) {
    let Some(node) = fields.required(name) else { return };
    if node.as_str().and_then(|raw| serde_json::from_value::<T>(raw.into()).ok()).is_none() {
        fields.note(Fault::new(fields.at(name), node, format!("must be {rule}")));
    }
}

fn shape<T>(fields: &Fields<'_>, name: &'static str) {
    if let Some(node) = fields.optional(name)
        && !matches!(node, Node::Object(_))
    {
        let kind = std::any::type_name::<T>().rsplit("::").next().unwrap_or_default();
        fields.note(Fault::new(fields.at(name), node, format!("must be null or a {kind}")));
    }
}

impl Older {
    /// For commands that are complete in themselves (a trace holds them whole).
    pub fn nothing(trace_id: TraceId, issued_at: Timestamp) -> Self {
        Self { instance: None, trace_id, requested_by: String::from("unknown"), issued_at }
    }
}
