//! What happens beside the remediations and belongs into the record all the same: halts, and what nobody could handle.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// A record of the remediation log that belongs to no remediation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Notice {
    /// Always `instance.v1.notice`.
    pub schema: String,
    pub kind: NoticeKind,
    /// When it was ordered, or given up.
    pub at: Timestamp,
    pub who: String,
    pub what: String,
    pub why: String,
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
}

/// Where a notice comes from. Its place there is the last token of its subject, so that it is written once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NoticeSource {
    Halts,
    DeadLetters,
}

impl Notice {
    pub const SCHEMA: &'static str = "instance.v1.notice";
}

impl NoticeSource {
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Halts => "halt",
            Self::DeadLetters => "dead",
        }
    }
}
