//! The audit trail: one record for each record of the remediation log, in a chain of hashes.
//!
//! A shard's chain is a function of its remediation log: the record at `number` tells of the log's message
//! `log_sequence`, and the next one of the message after it. So the newest audit record says where to go on, and
//! nothing can be told twice or left out.

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::ids::{Digest, InstanceName, RemediationId, Shard, TraceId};

/// A message of INSTANCE_AUDIT: some records of one shard's chain, in order. At least one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[schemars(title = "AuditRecords")]
pub struct AuditRecords {
    /// Always `instance.v1.audit_records`.
    #[schemars(extend("const" = "instance.v1.audit_records"))]
    pub schema: String,
    #[schemars(length(min = 1))]
    pub records: Vec<AuditRecord>,
}

/// One decision, or what came of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct AuditRecord {
    #[serde(flatten)]
    pub entry: AuditEntry,
    /// SHA-256 of the JSON of everything else in this record, keys sorted, no blanks.
    pub hash: Digest,
}

/// What a record of the audit trail tells. The fields stand in the order of their names: so written, it is what `hash`
/// is taken of.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct AuditEntry {
    /// When a router decided it, by its clock. What agents and people say, acceptances and takings of a shard: when the
    /// log took it, by the server's clock.
    #[schemars(with = "String", extend("format" = "date-time"))]
    pub at: Timestamp,
    /// Digest of the changes that it is about: what an approval names. What was decided about an incident: of the record
    /// in INSTANCE_INCIDENTS. Null where there are none.
    pub digest: Option<Digest>,
    /// Null for what is not about an instance (a router has taken the shard), or about none that can be read.
    pub instance: Option<InstanceName>,
    pub kind: AuditKind,
    /// SHA-256 of the payload in the remediation log.
    pub log_digest: Digest,
    /// Place in the shard's remediation log.
    pub log_sequence: u64,
    /// Place in the shard's chain, counted from 1.
    pub number: u64,
    /// `hash` of the record before; 64 zeros for the first.
    pub previous: Digest,
    /// `at` of the record before: how old the oldest record that is missing would be. Null for the first.
    #[schemars(with = "Option<String>", extend("format" = "date-time"))]
    pub previous_at: Option<Timestamp>,
    pub remediation_id: Option<RemediationId>,
    pub shard: Shard,
    pub trace_id: Option<TraceId>,
    /// What was decided or done, for people; at most 1,000 characters.
    #[schemars(length(max = 1000))]
    pub what: String,
    /// Who decided or did it: who asked, who approved, which router, which agent on which host.
    pub who: String,
    /// Why, for people; at most 1,000 characters.
    #[schemars(length(max = 1000))]
    pub why: String,
}

/// What kind of decision a record tells of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum AuditKind {
    /// A command is the router's to finish.
    Accepted,
    /// A command is not done: a rule, policy or a person says no.
    Refused,
    /// The plan of a command that had to wait.
    Planned,
    ApprovalAsked,
    Approved,
    Denied,
    /// No answer came in time, and no answer means no.
    Expired,
    StepSent,
    /// An agent has answered for an attempt.
    StepAnswered,
    Ended,
    /// A router has taken the shard.
    ShardTaken,
    /// The kill switch: all acting is stopped.
    Halted,
    /// A halt was taken back.
    Resumed,
    /// A message that nobody could handle is kept, and the sender was told where it can be.
    DeadLetter,
    /// The analyst or the gateway has decided what is done about an incident.
    Found,
    /// A person has an incident in hand.
    Acknowledged,
    /// An incident is over.
    Closed,
    /// The gateway does nothing about an alert: it is none of its own, told again, or over.
    Alerted,
    /// A message of the log that is not what its subject says.
    Unreadable,
}

impl AuditKind {
    pub const ALL: [Self; 19] = [
        Self::Accepted,
        Self::Refused,
        Self::Planned,
        Self::ApprovalAsked,
        Self::Approved,
        Self::Denied,
        Self::Expired,
        Self::StepSent,
        Self::StepAnswered,
        Self::Ended,
        Self::ShardTaken,
        Self::Halted,
        Self::Resumed,
        Self::DeadLetter,
        Self::Found,
        Self::Acknowledged,
        Self::Closed,
        Self::Alerted,
        Self::Unreadable,
    ];

    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Accepted => "accepted",
            Self::Refused => "refused",
            Self::Planned => "planned",
            Self::ApprovalAsked => "approval_asked",
            Self::Approved => "approved",
            Self::Denied => "denied",
            Self::Expired => "expired",
            Self::StepSent => "step_sent",
            Self::StepAnswered => "step_answered",
            Self::Ended => "ended",
            Self::ShardTaken => "shard_taken",
            Self::Halted => "halted",
            Self::Resumed => "resumed",
            Self::DeadLetter => "dead_letter",
            Self::Found => "found",
            Self::Acknowledged => "acknowledged",
            Self::Closed => "closed",
            Self::Alerted => "alerted",
            Self::Unreadable => "unreadable",
        }
    }
}

impl AuditRecords {
    pub const SCHEMA: &'static str = "instance.v1.audit_records";

    pub fn new(records: Vec<AuditRecord>) -> Self {
        Self { schema: Self::SCHEMA.to_owned(), records }
    }
}

impl AuditRecord {
    /// The entry with its hash.
    pub fn seal(entry: AuditEntry) -> Self {
        let text = serde_json::to_vec(&entry).expect("an entry holds only what JSON can say");
        Self { hash: Digest::of(&text), entry }
    }

    /// The hash that a record should carry, from its JSON. Fields that this version does not know count too.
    pub fn hash_of(record: &Map<String, Value>) -> Digest {
        let mut rest = record.clone();
        rest.shift_remove("hash");
        rest.sort_keys();
        Digest::of(Value::Object(rest).to_string().as_bytes())
    }
}

impl AuditEntry {
    /// What stands in `previous` of the first record.
    pub fn beginning() -> Digest {
        "0".repeat(64).parse().expect("64 hex digits")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record() -> AuditRecord {
        AuditRecord::seal(AuditEntry {
            at: "2026-11-21T08:00:00Z".parse().unwrap(),
            digest: None,
            instance: Some("PROD".parse().unwrap()),
            kind: AuditKind::Accepted,
            log_digest: Digest::of(b"x"),
            log_sequence: 7,
            number: 1,
            previous: AuditEntry::beginning(),
            previous_at: None,
            remediation_id: None,
            shard: Shard(0),
            trace_id: None,
            what: "a \"quoted\"\nline with ümlaut".to_owned(),
            who: "me".to_owned(),
            why: "because".to_owned(),
        })
    }

    #[test]
    fn the_hash_is_that_of_the_sorted_json_without_it() {
        let record = record();
        let Value::Object(json) = serde_json::to_value(&record).unwrap() else { panic!("an object") };
        assert_eq!(AuditRecord::hash_of(&json), record.hash);
        let names: Vec<&String> = json.keys().filter(|name| *name != "hash").collect();
        assert!(names.is_sorted(), "the fields of an entry are not sorted: {names:?}");
    }

    #[test]
    fn every_field_counts() {
        let record = record();
        let Value::Object(json) = serde_json::to_value(&record).unwrap() else { panic!("an object") };
        for name in json.keys().filter(|name| *name != "hash") {
            let mut changed = json.clone();
            changed[name] = Value::from("another");
            assert_ne!(AuditRecord::hash_of(&changed), record.hash, "{name}");
        }
        let mut more = json;
        more.insert("colour".to_owned(), Value::from("red"));
        assert_ne!(AuditRecord::hash_of(&more), record.hash);
    }

    #[test]
    fn every_kind_is_written_as_it_is_called() {
        for kind in AuditKind::ALL {
            assert_eq!(serde_json::to_value(kind).unwrap(), kind.as_str());
        }
    }
}
