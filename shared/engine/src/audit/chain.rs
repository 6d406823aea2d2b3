//! Checks a shard's audit trail, record by record, and tells where it is not what was written.

use std::fmt;

use instance_contract::{AuditEntry, AuditRecord, Digest, Shard};
use jiff::{SignedDuration, Timestamp};
use serde_json::Value;

/// Something that is wrong with a trail, and where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Defect {
    /// A message, or a record in it, is no record of this trail. Place: the message's sequence in INSTANCE_AUDIT.
    Unreadable { message: u64, why: String },
    /// The record is not the one that its hash was taken of.
    Changed { number: u64 },
    /// The record carries a hash that fits, but not the one that the record after it knows.
    Replaced { number: u64 },
    /// Records are not there.
    Missing { from: u64, to: u64 },
    /// A record that stands there already, or belongs before another.
    OutOfPlace { number: u64 },
    /// Messages of the log that no record tells of.
    Untold { from: u64, to: u64 },
    /// The log holds something else than what the record tells of.
    LogChanged { number: u64, log_sequence: u64 },
}

impl fmt::Display for Defect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unreadable { message, why } => {
                write!(f, "message {message} of INSTANCE_AUDIT is no part of the trail: {why}")
            }
            Self::Changed { number } => write!(f, "record {number} was changed: its hash does not fit it"),
            Self::Replaced { number } => {
                write!(f, "record {number} was replaced: the record after it knows another hash")
            }
            Self::Missing { from, to } if from == to => write!(f, "record {from} is missing"),
            Self::Missing { from, to } => write!(f, "records {from} to {to} are missing"),
            Self::OutOfPlace { number } => write!(f, "record {number} stands where it does not belong"),
            Self::Untold { from, to } => {
                write!(f, "messages {from} to {to} of the remediation log are not in the trail")
            }
            Self::LogChanged { number, log_sequence } => {
                write!(
                    f,
                    "message {log_sequence} of the remediation log is not what record {number} tells of"
                )
            }
        }
    }
}

/// A trail as far as it was checked.
#[derive(Debug, Clone)]
pub struct Chain {
    shard: Shard,
    last: Option<Link>,
}

#[derive(Debug, Clone)]
struct Link {
    number: u64,
    log_sequence: u64,
    hash: Digest,
    is_whole: bool,
}

impl Chain {
    pub const fn new(shard: Shard) -> Self {
        Self { shard, last: None }
    }

    /// Everything in the log up to here is told.
    pub fn told_to(&self) -> u64 {
        self.last.as_ref().map_or(0, |link| link.log_sequence)
    }

    /// Take a message of the trail. Older records than `kept` may be gone: nothing is told of them. Gives the records
    /// that can be read.
    pub fn take(
        &mut self,
        message: u64,
        payload: &[u8],
        (now, kept): (Timestamp, SignedDuration),
    ) -> (Vec<AuditRecord>, Vec<Defect>) {
        let mut defects = Vec::new();
        let unreadable = |why: &str| Defect::Unreadable { message, why: why.to_owned() };
        let parsed: Result<Value, _> = serde_json::from_slice(payload);
        let raw = match &parsed {
            Ok(value) => value["records"].as_array().filter(|records| !records.is_empty()),
            Err(_) => None,
        };
        let Some(raw) = raw else {
            return (Vec::new(), vec![unreadable("it holds no records")]);
        };
        let mut records = Vec::new();
        for value in raw {
            let decoded = (value.as_object(), serde_json::from_value::<AuditRecord>(value.clone()));
            let (Some(fields), Ok(record)) = decoded else {
                defects.push(unreadable("a record in it cannot be read"));
                continue;
            };
            if record.entry.shard != self.shard {
                defects.push(unreadable("a record in it is of another shard"));
                continue;
            }
            let is_whole = AuditRecord::hash_of(fields) == record.hash;
            self.link(&record, is_whole, now - kept, &mut defects);
            records.push(record);
        }
        (records, defects)
    }

    fn link(
        &mut self,
        record: &AuditRecord,
        is_whole: bool,
        kept_since: Timestamp,
        defects: &mut Vec<Defect>,
    ) {
        let AuditEntry { number, log_sequence, .. } = record.entry;
        if !is_whole {
            defects.push(Defect::Changed { number });
        }
        match &self.last {
            None => {
                // What the record says of the one before it tells whether that one may be gone.
                let before = record.entry.previous_at;
                if number > 1 && before.is_none_or(|at| at > kept_since) {
                    defects.push(Defect::Missing { from: 1, to: number - 1 });
                }
                if number == 1 && record.entry.previous != AuditEntry::beginning() {
                    defects.push(Defect::OutOfPlace { number });
                }
            }
            Some(last) if number <= last.number => {
                // The chain goes on behind the record that was there first.
                defects.push(Defect::OutOfPlace { number });
                return;
            }
            Some(last) if number > last.number + 1 => {
                defects.push(Defect::Missing { from: last.number + 1, to: number - 1 });
            }
            Some(last) => {
                if record.entry.previous != last.hash && last.is_whole {
                    defects.push(Defect::Replaced { number: last.number });
                }
                if log_sequence > last.log_sequence + 1 {
                    defects.push(Defect::Untold { from: last.log_sequence + 1, to: log_sequence - 1 });
                } else if log_sequence <= last.log_sequence {
                    defects.push(Defect::OutOfPlace { number });
                }
            }
        }
        self.last = Some(Link { number, log_sequence, hash: record.hash.clone(), is_whole });
    }
}
