//! The records of the remediation log. Each stands on its own subject that is written once; state is their fold.

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    action::Action,
    ask::Facts,
    ids::{
        Attempt, CommandId, Digest, HostName, InstanceName, RemediationId, StepId, StepKey, Token, TraceId,
    },
    plan::{Change, Plan},
    remediation_command::RemediationCommand,
    words::{AgentKind, Tool},
    workflow_trace::WorkflowTrace,
};

/// Why the router wrote a record: what it knew. With it `instance replay` needs the log alone.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Because {
    /// The router's clock when it decided.
    #[schemars(with = "String", extend("format" = "date-time"))]
    pub now: Timestamp,
    /// The newest record of an agent or a person that it knew, as the end of its subject (`result.config.1`);
    /// `accepted` before there was one. All records of routers that stand before this one were known too.
    pub event: String,
    /// Milliseconds that it had waited on purpose (a retry).
    pub delay_ms: u64,
    /// Epoch of the owner that wrote it; 0 where there was none (a command that is refused).
    #[serde(default)]
    pub epoch: u64,
    /// Was the kill switch thrown?
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub halted: bool,
}

/// `...accepted`: the command is the router's to finish.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[schemars(title = "Accepted")]
pub struct Accepted {
    /// Always `instance.v1.accepted`.
    #[schemars(extend("const" = "instance.v1.accepted"))]
    pub schema: String,
    pub trace_id: TraceId,
    pub remediation_id: RemediationId,
    #[schemars(with = "crate::remediation_command::Wire")]
    pub command: RemediationCommand,
    /// SHA-256 of the command's bytes: the same id with other bytes is refused.
    pub command_digest: Digest,
    #[schemars(with = "String", extend("format" = "date-time"))]
    pub accepted_at: Timestamp,
    /// The whole remediation ends by then.
    #[schemars(with = "String", extend("format" = "date-time"))]
    pub deadline: Timestamp,
    /// The policy in force, as text, so that a replay needs nothing else.
    pub policy: String,
    /// The plan, when the command's turn had come at once.
    pub plan: Option<Plan>,
    /// What the plan was made from.
    pub facts: Option<Facts>,
    /// `traceparent` of the command, so that any owner continues the same trace.
    pub traceparent: Option<String>,
}

/// `...planned`: the plan of a command that had to wait, made on fresh facts.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[schemars(title = "Planned")]
pub struct Planned {
    /// Always `instance.v1.planned`.
    #[schemars(extend("const" = "instance.v1.planned"))]
    pub schema: String,
    pub trace_id: TraceId,
    pub remediation_id: RemediationId,
    pub plan: Plan,
    pub facts: Facts,
    pub because: Because,
}

/// `...step.<agent>.<host>.<step>.<attempt>`: the message that carries a step to an agent.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(title = "StepCommand")]
pub struct StepCommand {
    /// Always `instance.v1.step_command`.
    #[schemars(extend("const" = "instance.v1.step_command"))]
    pub schema: String,
    pub trace_id: TraceId,
    pub remediation_id: RemediationId,
    pub command_id: CommandId,
    pub instance: InstanceName,
    pub step_id: StepId,
    pub attempt: Attempt,
    pub agent: AgentKind,
    pub host: HostName,
    pub tool: Tool,
    pub action: Action,
    /// What was forecast and, where needed, approved. The agent refuses when the world has drifted from it.
    pub change: Option<Change>,
    pub plan_digest: Digest,
    /// No work after this instant.
    #[schemars(with = "String", extend("format" = "date-time"))]
    pub not_after: Timestamp,
    /// Time limit of this attempt in seconds, counted from the agent's start of work.
    pub limit_seconds: u32,
    /// Has a person agreed, after an attempt at this step could not stop the instance in order, that it be killed
    /// (`iris force`)? Until then restart-agent answers `force_not_agreed`, and the person is asked again.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub force_agreed: bool,
    pub token: Token,
    pub because: Because,
}

/// `...approval.<k>.asked`: a person is asked.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[schemars(title = "ApprovalAsked")]
pub struct ApprovalAsked {
    /// Always `instance.v1.approval_asked`.
    #[schemars(extend("const" = "instance.v1.approval_asked"))]
    pub schema: String,
    pub trace_id: TraceId,
    pub remediation_id: RemediationId,
    pub instance: InstanceName,
    pub digest: Digest,
    pub changes: Vec<Change>,
    /// Which steps need it, and why.
    pub reasons: Vec<(StepId, String)>,
    /// Unanswered by then means no.
    #[schemars(with = "String", extend("format" = "date-time"))]
    pub expires_at: Timestamp,
    pub because: Because,
}

/// `...approval.<k>.answered`: the first write wins.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(title = "ApprovalAnswered")]
pub struct ApprovalAnswered {
    /// Always `instance.v1.approval_answered`.
    #[schemars(extend("const" = "instance.v1.approval_answered"))]
    pub schema: String,
    pub trace_id: TraceId,
    pub remediation_id: RemediationId,
    /// The digest that the person saw.
    pub digest: Digest,
    pub verdict: Verdict,
    pub by: String,
    #[schemars(with = "String", extend("format" = "date-time"))]
    pub at: Timestamp,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
}

/// The answer of a person, or of time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    Granted,
    Denied,
    Expired,
}

/// `...ended`: nothing follows.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Ended {
    #[serde(flatten)]
    pub trace: WorkflowTrace,
    pub because: Because,
    /// What an accepted command was refused on at its turn, when it never had a plan.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub facts: Option<Facts>,
}

/// `...owner.<epoch>`: a router has taken the shard.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Owner {
    pub schema: String,
    pub epoch: u64,
    pub router: String,
    pub process: String,
    pub at: Timestamp,
}

impl Accepted {
    pub const SCHEMA: &'static str = "instance.v1.accepted";
}

impl Planned {
    pub const SCHEMA: &'static str = "instance.v1.planned";
}

impl StepCommand {
    pub const SCHEMA: &'static str = "instance.v1.step_command";

    pub fn key(&self) -> StepKey {
        StepKey { remediation_id: self.remediation_id, step_id: self.step_id.clone() }
    }
}

impl ApprovalAsked {
    pub const SCHEMA: &'static str = "instance.v1.approval_asked";
}

impl ApprovalAnswered {
    /// Who answers when nobody has answered in time.
    pub const ROUTER: &'static str = "router";
    pub const SCHEMA: &'static str = "instance.v1.approval_answered";
}

impl Owner {
    pub const SCHEMA: &'static str = "instance.v1.owner";
}
