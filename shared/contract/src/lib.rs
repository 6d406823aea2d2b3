//! The nouns on the wire, and nothing that moves.
//!
//! Every message that crosses a process boundary is a type here: the four public contracts
//! ([`IrisMessage`], [`RemediationCommand`], [`ToolResult`], [`WorkflowTrace`]), the records of the remediation log,
//! the questions that the router asks agents, and every NATS subject.
//!
//! Invariant: a value of these types is legal; text becomes a type at the door, once ([`decode`]).
//! Invariant: no async, no disk, no network, no clock. Times, ids and randomness come in as arguments.
//!
//! May be imported by every room except `iris`, `knowledge`, `clock`, `signals`, `redaction`, `telemetry`, `llm`, `scenario`,
//! `iris-sim` and `xtask`. Imports none of ours.

mod ids; // Read this first: names that are checked once.
mod words; // The closed vocabularies: severity, priority, tool, error type.

mod action;
mod iris_message;
mod remediation_command;
mod tool_result;
mod workflow_trace;

mod answer;
mod ask;
mod audit;
mod carriers; // What nothing acts on.
mod failure;
mod generation_request;
mod incident;
mod notice;
mod plan;
mod remediation;

pub mod asyncapi;
pub mod decode;
pub mod schema;
pub mod subject;

pub use action::{
    Action, ChangeCpf, CpfChange, Expectation, LicenseAction, LicenseCheck, RestartInstance, SetCpf,
    SetKernel, Undo, Verify,
};
pub use answer::{AnswerStatus, CommandAnswer};
pub use ask::{AskKind, Facts, Forecast, ForecastReply, PlanQuestion};
pub use audit::{AuditEntry, AuditKind, AuditRecord, AuditRecords};
pub use carriers::Carriers;
pub use decode::{Fault, Faults};
pub use failure::{Cause, Failure};
pub use generation_request::{GenerationRequest, OutputFormat};
pub use ids::{
    Attempt, CommandId, ConditionId, Digest, FindingId, HostName, IncidentId, InstanceName, InvalidName,
    MessageId, RemediationId, Shard, StepId, StepKey, Token, TraceId,
};
pub use incident::{
    CloseReason, Decision, DiagnosisPhase, Evidence, Finding, FindingSource, IncidentAcknowledged,
    IncidentClosed, IncidentOpened, IncidentOutcome, RaisedBy,
};
pub use iris_message::{IrisMessage, MessageText};
pub use notice::{Notice, NoticeKind, NoticeSource};
pub use plan::{Change, Plan, PlannedStep, Risk, StepOutline};
pub use remediation::{
    Accepted, ApprovalAnswered, ApprovalAsked, Because, Ended, Owner, Planned, StepCommand, Verdict,
};
pub use remediation_command::{Older, RemediationCommand, SimpleWork, StepGraph, StepRequest, Work};
pub use tool_result::{AgentInfo, AppliedChange, StepStatus, ToolResult};
pub use words::{
    AgentKind, CpfChangeKind, ErrorType, Origin, Phase, Priority, Severity, TimeoutSeconds, Tool,
    WhenUsersStay,
};
pub use workflow_trace::{OverallStatus, Totals, Verification, WorkflowTrace};
