//! The public contract RemediationCommand: what an outside system asks for.

mod graph;
mod read;
mod simple;

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub use graph::{StepGraph, StepRequest};
pub use simple::SimpleWork;

use crate::{
    action::Action,
    decode::Faults,
    ids::{CommandId, InstanceName, MessageId, TraceId},
    words::{ErrorType, Priority, Severity, TimeoutSeconds, Tool},
};

/// A request to remedy one instance. A value of this type is complete and consistent.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(into = "Wire", try_from = "Wire")]
pub struct RemediationCommand {
    pub command_id: CommandId,
    pub trace_id: TraceId,
    pub instance: InstanceName,
    pub error_type: ErrorType,
    pub severity: Severity,
    pub recommended_action: String,
    pub dry_run: bool,
    pub timeout_seconds: TimeoutSeconds,
    pub priority: Priority,
    pub requested_by: String,
    pub issued_at: Timestamp,
    pub caused_by: Vec<MessageId>,
    pub work: Work,
}

/// The work, in exactly one of two forms, or as the rules make it of parameters alone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Work {
    /// As older systems send it: an order of tools and one set of parameters.
    Simple(SimpleWork),
    /// Parameters without an order: the rules have found the tools. Written as it came, so that the rules find them again.
    Routed(SimpleWork),
    /// Steps with dependencies.
    Graph(StepGraph),
}

impl Work {
    /// The steps that it comes to, in order.
    pub fn steps(&self) -> Vec<StepRequest> {
        match self {
            Self::Simple(work) | Self::Routed(work) => work.steps(),
            Self::Graph(graph) => graph.steps().to_vec(),
        }
    }
}

/// What completes a command of an older sender, who names fewer fields.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Older {
    /// The instance meant when none is named; none configured means such a command is refused.
    pub instance: Option<InstanceName>,
    /// A fresh trace id, used when the command carries none.
    pub trace_id: TraceId,
    /// Who the bus says has sent it.
    pub requested_by: String,
    /// When the bus took it.
    pub issued_at: Timestamp,
}

impl RemediationCommand {
    pub const SCHEMA: &'static str = "instance.v1.remediation_command";

    /// Read a command of the present contract or, without `schema`, of an older sender.
    pub fn decode(bytes: &[u8], older: &Older) -> Result<Self, Faults> {
        read::decode(bytes, older)
    }

    /// The steps that the work comes to, in the order of the command: id, tool, action, predecessors.
    pub fn steps(&self) -> Vec<StepRequest> {
        self.work.steps()
    }

    /// Why a step is there, for people: which rule has found it, or that the command asks for it.
    pub fn reason_for(&self, step: &StepRequest) -> String {
        match &self.work {
            Work::Routed(_) => format!("{}: {}", step.action.rule(), self.recommended_action),
            Work::Simple(_) | Work::Graph(_) => {
                format!("{} as the command asks: {}", step.tool, self.recommended_action)
            }
        }
    }

    /// Does the command restart the instance?
    pub fn requires_restart(&self) -> bool {
        self.steps().iter().any(|step| step.tool == Tool::IrisRestart)
    }
}

/// The JSON form. Its schema is the published one.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(title = "RemediationCommand", extend("oneOf" = [
    {"required": ["execution_order", "parameters"], "not": {"required": ["steps"]}},
    {"required": ["steps"], "not": {"anyOf": [{"required": ["execution_order"]}, {"required": ["parameters"]}]}},
    {"required": ["parameters"], "not": {"anyOf": [{"required": ["execution_order"]}, {"required": ["steps"]}]}},
]))]
pub struct Wire {
    /// Always `instance.v1.remediation_command`. Absent in commands of older senders.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("const" = "instance.v1.remediation_command"))]
    schema: Option<String>,
    /// Chosen by the asker; the same id with the same bytes is done once.
    command_id: CommandId,
    /// 32 lower-case hex digits; the trace that this command belongs to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    trace_id: Option<TraceId>,
    /// The one IRIS instance that the command is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    instance: Option<InstanceName>,
    /// `os` is the older word for `resource`.
    #[schemars(with = "String", extend("enum" = ["config", "license", "resource", "os", "journal", "database", "security", "mirror", "other"]))]
    error_type: ErrorType,
    severity: Severity,
    /// For people: what is to be done.
    #[schemars(length(min = 1, max = 200))]
    recommended_action: String,
    /// True exactly when the work holds `iris_restart`.
    requires_restart: bool,
    /// Tell what would change, and change nothing. Default false.
    #[serde(default)]
    dry_run: bool,
    /// Time limit of each step in seconds. Default 60 (240 for a restart).
    #[serde(default = "default_timeout")]
    timeout_seconds: TimeoutSeconds,
    /// Default medium.
    #[serde(default)]
    priority: Priority,
    /// Who asks, for the record and for policy.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 128))]
    requested_by: Option<String>,
    /// RFC 3339, UTC. A command older than 24 hours ends as expired.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>", extend("format" = "date-time"))]
    issued_at: Option<Timestamp>,
    /// The messages that led to this command.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64))]
    caused_by: Vec<MessageId>,
    /// Simple form: one to three tools in the order in which they run, no repeats.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 3), extend("uniqueItems" = true))]
    execution_order: Option<Vec<Tool>>,
    /// Simple form: what the tools are to do.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    parameters: Option<simple::Parameters>,
    /// Graph form: at most 64 steps, all on the command's one instance.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 64))]
    steps: Option<Vec<graph::StepWire>>,
}

fn default_timeout() -> TimeoutSeconds {
    TimeoutSeconds::DEFAULT
}

impl From<RemediationCommand> for Wire {
    fn from(command: RemediationCommand) -> Self {
        let requires_restart = command.requires_restart();
        let (execution_order, parameters, steps) = match command.work {
            Work::Simple(work) => (Some(work.execution_order()), Some(work.parameters()), None),
            Work::Routed(work) => (None, Some(work.parameters()), None),
            Work::Graph(graph) => (None, None, Some(graph.into_wire())),
        };
        Self {
            schema: Some(RemediationCommand::SCHEMA.to_owned()),
            command_id: command.command_id,
            trace_id: Some(command.trace_id),
            instance: Some(command.instance),
            error_type: command.error_type,
            severity: command.severity,
            recommended_action: command.recommended_action,
            requires_restart,
            dry_run: command.dry_run,
            timeout_seconds: command.timeout_seconds,
            priority: command.priority,
            requested_by: Some(command.requested_by),
            issued_at: Some(command.issued_at),
            caused_by: command.caused_by,
            execution_order,
            parameters,
            steps,
        }
    }
}

impl TryFrom<Wire> for RemediationCommand {
    type Error = Faults;
    /// For commands that were decoded before (the remediation log holds them whole).
    fn try_from(wire: Wire) -> Result<Self, Faults> {
        let missing = |field: &str| Faults::one(field, "", "is required");
        let text =
            serde_json::to_vec(&wire).map_err(|error| Faults::one("payload", "", error.to_string()))?;
        let older = Older {
            instance: wire.instance,
            trace_id: wire.trace_id.ok_or_else(|| missing("trace_id"))?,
            requested_by: wire.requested_by.ok_or_else(|| missing("requested_by"))?,
            issued_at: wire.issued_at.ok_or_else(|| missing("issued_at"))?,
        };
        Self::decode(&text, &older)
    }
}

impl StepRequest {
    /// The tool that does an action, which decides the agent.
    pub const fn action(&self) -> &Action {
        &self.action
    }
}
