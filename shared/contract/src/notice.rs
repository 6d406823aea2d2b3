//! What happens beside the remediations and belongs into the record all the same: halts, what nobody could handle, and
//! what was decided about incidents.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::ids::{Digest, InstanceName, TraceId};

/// A record of the remediation log that belongs to no remediation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Notice {
    /// Always `instance.v1.notice`.
    pub schema: String,
    pub kind: NoticeKind,
    /// When it was ordered, given up, or decided.
    pub at: Timestamp,
    pub who: String,
    pub what: String,
    pub why: String,
    /// SHA-256 of the record in another stream that it tells of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub digest: Option<Digest>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub instance: Option<InstanceName>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trace_id: Option<TraceId>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum NoticeKind {
    /// All acting is stopped.
    Halted,
    /// A halt was taken back.
    Resumed,
    /// A message that nobody could handle is kept.
    DeadLetter,
    /// Somebody has decided what is done about an incident.
    Found,
    /// A person has an incident in hand.
    Acknowledged,
    /// An incident is over.
    Closed,
    /// The gateway has refused a caller, or somebody whom it does not know.
    Refused,
    /// The gateway does nothing about an alert: it is none of its own, told again, or over.
    Alerted,
}

/// Where a notice comes from. Its place there is the last token of its subject, so that it is written once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NoticeSource {
    Halts,
    DeadLetters,
    Incidents,
    /// What the gateway itself decides; its places are times in microseconds.
    Gateway,
}

impl Notice {
    pub const SCHEMA: &'static str = "instance.v1.notice";
}

impl NoticeSource {
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Halts => "halt",
            Self::DeadLetters => "dead",
            Self::Incidents => "incident",
            Self::Gateway => "gateway",
        }
    }
}
