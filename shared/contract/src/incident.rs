//! The records of an incident: what was found, what is done about it, what came of it. Each stands on its own subject
//! that is written once; an incident is the fold of its records.
//!
//! The one that others build on is [`Finding`]: what the analyst makes of entries, with its evidence and its decision.

use std::collections::BTreeMap;

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{
    ids::{
        CommandId, ConditionId, Digest, FindingId, HostName, IncidentId, InstanceName, MessageId,
        RemediationId, TraceId,
    },
    words::{ErrorType, Severity},
    workflow_trace::OverallStatus,
};

/// `...opened`: something is wrong, or may be.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[schemars(title = "IncidentOpened")]
pub struct IncidentOpened {
    /// Always `instance.v1.incident_opened`.
    #[schemars(extend("const" = "instance.v1.incident_opened"))]
    pub schema: String,
    pub trace_id: TraceId,
    pub incident_id: IncidentId,
    pub instance: InstanceName,
    pub host: HostName,
    #[schemars(with = "String", extend("format" = "date-time"))]
    pub opened_at: Timestamp,
    /// Row of the error catalogue, or null.
    pub condition: Option<ConditionId>,
    pub error_type: ErrorType,
    pub severity: Severity,
    /// SHA-256 of the text with numbers, paths and process ids folded: the same trouble has the same one.
    pub fingerprint: Digest,
    /// The entries that opened it, at least one.
    #[schemars(length(min = 1))]
    pub entries: Vec<MessageId>,
}

/// `...finding.<k>`: what is the matter, why that is believed, and what is done about it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[schemars(title = "Finding")]
pub struct Finding {
    /// Always `instance.v1.finding`.
    #[schemars(extend("const" = "instance.v1.finding"))]
    pub schema: String,
    /// UUIDv5 of incident and number: a webhook's idempotency key.
    pub finding_id: FindingId,
    pub incident_id: IncidentId,
    /// The trace of the entry that opened the incident.
    pub trace_id: TraceId,
    /// `(none)` when an alert names no IRIS instance.
    pub instance: InstanceName,
    pub host: HostName,
    #[schemars(with = "String", extend("format" = "date-time"))]
    pub found_at: Timestamp,
    /// What is the matter and with which instance, in one line: for lists and tickets. Quotes no log. Absent in findings of
    /// before there was one.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    #[schemars(length(max = 200))]
    pub title: String,
    pub phase: DiagnosisPhase,
    /// Row of the error catalogue, or null: unknown is a legal answer.
    pub condition: Option<ConditionId>,
    pub error_type: ErrorType,
    /// After raising.
    pub severity: Severity,
    /// What raised it above the digit that IRIS wrote. Empty when nothing did.
    pub severity_raised_by: Vec<RaisedBy>,
    /// In percent.
    #[schemars(range(min = 0, max = 100))]
    pub confidence: u8,
    /// What brings it about, in the words of the catalogue.
    pub cause: String,
    /// The entries that it rests on, the first ones first; at most 20.
    #[schemars(length(max = 20))]
    pub evidence: Vec<Evidence>,
    /// How many entries there were.
    pub evidence_total: u64,
    /// What was asked of the agents: name and value (a text, a number, yes or no).
    pub facts: BTreeMap<String, Value>,
    /// Why this is believed and decided, one sentence each.
    pub reasons: Vec<String>,
    /// How one will know that it is cured.
    pub success_signs: Vec<String>,
    /// What comes next, in order, one sentence each: what is done and by whom, what shows that it has helped, and what a person
    /// does if it has not. At least three, but none where nothing has to be done. Absent in findings of before there were any.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub next_steps: Vec<String>,
    pub source: FindingSource,
    pub decision: Decision,
}

/// How far the diagnosis has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum DiagnosisPhase {
    /// Sorting: from the entries alone.
    Triage,
    /// With facts, and where it is on, a model.
    Analysis,
    /// After a remediation.
    Resolution,
}

/// What raised a severity.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum RaisedBy {
    /// The row of the catalogue: IRIS writes parts of a serious event as information.
    Catalogue,
    /// A word in the text that means that users are hurt.
    Words,
    /// It comes again and again.
    Frequency,
}

/// An entry that a finding rests on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Evidence {
    pub message_id: MessageId,
    pub process_id: Option<u32>,
    /// As IRIS wrote it.
    pub severity: Severity,
    #[schemars(with = "Option<String>", extend("format" = "date-time"))]
    pub occurred_at: Option<Timestamp>,
    /// SHA-256 of `message_text`.
    pub digest: Digest,
    /// The beginning of `message_text`, without control characters, for people.
    #[schemars(length(max = 200))]
    pub excerpt: String,
}

/// Who made the finding.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum FindingSource {
    Rules,
    /// A language model chose among what the rules allowed.
    Model,
    /// The gateway: an alerting system told it of something that no row of its table heals.
    Alert,
}

/// What is done about it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Decision {
    /// A command is published under this id, once.
    Remediation {
        command_id: CommandId,
        runbook: String,
        /// What a dry run said beforehand; absent when there was none.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        dry_run_digest: Option<Digest>,
        /// As policy forecast it: does a person have to agree?
        needs_approval: bool,
    },
    /// A person has to look.
    Person { why: String, what_to_do: String },
    /// Nothing has to be done.
    Nothing { why: String },
    /// Something is under way already, or more has to be known.
    Wait { why: String },
}

/// `...outcome.<command>`: what came of a command.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[schemars(title = "IncidentOutcome")]
pub struct IncidentOutcome {
    /// Always `instance.v1.incident_outcome`.
    #[schemars(extend("const" = "instance.v1.incident_outcome"))]
    pub schema: String,
    pub trace_id: TraceId,
    pub incident_id: IncidentId,
    pub instance: InstanceName,
    pub command_id: CommandId,
    pub remediation_id: RemediationId,
    pub runbook: String,
    pub condition: Option<ConditionId>,
    pub overall_status: OverallStatus,
    #[schemars(with = "String", extend("format" = "date-time"))]
    pub ended_at: Timestamp,
    /// Why it failed or was refused; null on success.
    pub reason: Option<String>,
}

/// `...acknowledged`: a person has seen it. The first write wins.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(title = "IncidentAcknowledged")]
pub struct IncidentAcknowledged {
    /// Always `instance.v1.incident_acknowledged`.
    #[schemars(extend("const" = "instance.v1.incident_acknowledged"))]
    pub schema: String,
    pub trace_id: TraceId,
    pub incident_id: IncidentId,
    pub by: String,
    #[schemars(with = "String", extend("format" = "date-time"))]
    pub at: Timestamp,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
    /// Number of the newest finding that this person was shown. What was found after it, and asks for a person, is told anew.
    /// Absent: all that there was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seen_finding: Option<u32>,
    /// May what has failed twice in a row for this condition on this instance be tried again?
    #[serde(default, skip_serializing_if = "is_false")]
    pub try_again: bool,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands over a reference")]
const fn is_false(flag: &bool) -> bool {
    !*flag
}

/// `...closed`: no more records follow, except an acknowledgement.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[schemars(title = "IncidentClosed")]
pub struct IncidentClosed {
    /// Always `instance.v1.incident_closed`.
    #[schemars(extend("const" = "instance.v1.incident_closed"))]
    pub schema: String,
    pub trace_id: TraceId,
    pub incident_id: IncidentId,
    #[schemars(with = "String", extend("format" = "date-time"))]
    pub closed_at: Timestamp,
    pub why: CloseReason,
    /// How many entries it had in the end.
    pub entries: u64,
}

/// Why an incident is over.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum CloseReason {
    /// A remediation ended with its verification held.
    Verified,
    /// Nothing more was heard of it.
    Quiet,
    /// A person has taken it over.
    Acknowledged,
    /// Another incident explains it, or had to make room.
    Superseded,
}

impl CloseReason {
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Verified => "verified",
            Self::Quiet => "quiet",
            Self::Acknowledged => "acknowledged",
            Self::Superseded => "superseded",
        }
    }
}

impl IncidentOpened {
    pub const SCHEMA: &'static str = "instance.v1.incident_opened";
}

impl Finding {
    /// No more entries than these are kept as evidence.
    pub const MAX_EVIDENCE: usize = 20;
    pub const SCHEMA: &'static str = "instance.v1.finding";
}

impl Evidence {
    /// The longest excerpt, in characters.
    pub const MAX_EXCERPT: usize = 200;
}

impl IncidentOutcome {
    pub const SCHEMA: &'static str = "instance.v1.incident_outcome";
}

impl IncidentAcknowledged {
    pub const SCHEMA: &'static str = "instance.v1.incident_acknowledged";
}

impl IncidentClosed {
    pub const SCHEMA: &'static str = "instance.v1.incident_closed";
}
