//! What the audit trail tells of a shard's remediation log: one record a message, a function of the messages in their
//! order.

mod chain;
mod told;

use std::collections::BTreeMap;

use instance_contract::{
    AuditEntry, AuditRecord, Digest, InstanceName, RemediationId, Shard,
    subject::{RecordKind, parse_notice, parse_owner, parse_record},
};
use jiff::Timestamp;

pub use chain::{Chain, Defect};
use told::Slip;
pub use told::safe;

/// A message of the remediation log.
#[derive(Debug, Clone, Copy)]
pub struct Source<'a> {
    pub subject: &'a str,
    pub payload: &'a [u8],
    pub sequence: u64,
    /// When the log took it. Not looked at in what says itself when it was decided: who has written it need not ask.
    pub at: Timestamp,
}

/// The end of a shard's audit trail, and what is needed to go on with it.
///
/// Invariant: everything up to `sequence` of the log is told, nothing behind it.
#[derive(Debug, Clone)]
pub struct Trail {
    shard: Shard,
    number: u64,
    sequence: u64,
    hash: Digest,
    at: Option<Timestamp>,
    open: BTreeMap<RemediationId, Known>,
    owners: BTreeMap<u64, String>,
}

/// What the records of a remediation do not repeat.
#[derive(Debug, Clone, Default)]
pub(crate) struct Known {
    pub(crate) instance: Option<InstanceName>,
    pub(crate) digest: Option<Digest>,
}

impl Trail {
    /// A trail that tells nothing yet.
    pub fn new(shard: Shard) -> Self {
        Self {
            shard,
            number: 0,
            sequence: 0,
            hash: AuditEntry::beginning(),
            at: None,
            open: BTreeMap::new(),
            owners: BTreeMap::new(),
        }
    }

    /// The trail whose newest record this is.
    pub fn after(newest: &AuditRecord) -> Self {
        let AuditRecord { entry, hash } = newest;
        Self {
            number: entry.number,
            sequence: entry.log_sequence,
            hash: hash.clone(),
            at: Some(entry.at),
            ..Self::new(entry.shard)
        }
    }

    /// Everything in the log before this is told.
    pub const fn next_sequence(&self) -> u64 {
        self.sequence + 1
    }

    /// The remediation that must be learnt of before this message can be told: who comes to a trail midway has not read
    /// what stands before it.
    pub fn wants(&self, subject: &str) -> Option<RemediationId> {
        let (_, id, kind) = parse_record(subject)?;
        let lean = matches!(kind, RecordKind::Result { .. } | RecordKind::ApprovalAnswered(_));
        (lean && !self.open.contains_key(&id)).then_some(id)
    }

    /// Learn from a message that is told already, or will be in its turn.
    pub fn learn(&mut self, subject: &str, payload: &[u8]) {
        if let Some(epoch) = parse_owner(subject) {
            if let Some(router) = told::owner(payload) {
                self.owners.insert(epoch, router);
            }
            return;
        }
        let Some((_, id, kind)) = parse_record(subject) else { return };
        if let Ok(slip) = Slip::read(&kind, payload) {
            self.remember(id, &kind, &slip);
        }
    }

    /// That a remediation was looked for, so that it is not looked for again.
    pub fn looked_for(&mut self, id: RemediationId) {
        self.open.entry(id).or_default();
    }

    /// The next record. Invariant: `source` is the log's next message after those that are told.
    pub fn tell(&mut self, source: &Source<'_>) -> AuditRecord {
        let told = match (parse_owner(source.subject), parse_record(source.subject)) {
            (Some(epoch), _) => {
                self.learn(source.subject, source.payload);
                told::shard_taken(self.shard, epoch, source.payload)
            }
            (None, Some((_, id, kind))) => match Slip::read(&kind, source.payload) {
                Ok(slip) => {
                    self.remember(id, &kind, &slip);
                    let known = self.open.get(&id).cloned().unwrap_or_default();
                    let told = slip.tell(&kind, id, known, |epoch| self.router(epoch));
                    if kind == RecordKind::Ended {
                        self.open.remove(&id);
                    }
                    told
                }
                Err(why) => told::unreadable(Some(id), source.subject, &why),
            },
            (None, None) if parse_notice(source.subject).is_some() => {
                told::noticed(source.subject, source.payload)
            }
            (None, None) => told::unreadable(None, source.subject, "not a subject of the remediation log"),
        };
        let at = told.at.unwrap_or(source.at);
        let record = AuditRecord::seal(AuditEntry {
            at,
            digest: told.digest,
            instance: told.instance,
            kind: told.kind,
            log_digest: Digest::of(source.payload),
            log_sequence: source.sequence,
            number: self.number + 1,
            previous: self.hash.clone(),
            previous_at: self.at,
            remediation_id: told.remediation_id,
            shard: self.shard,
            trace_id: told.trace_id,
            what: told::safe(&told.what),
            who: told::safe(&told.who),
            why: told::safe(&told.why),
        });
        self.number += 1;
        self.sequence = source.sequence;
        self.hash = record.hash.clone();
        self.at = Some(at);
        record
    }

    fn remember(&mut self, id: RemediationId, kind: &RecordKind, slip: &Slip) {
        if matches!(kind, RecordKind::Result { .. } | RecordKind::ApprovalAnswered(_) | RecordKind::Ended) {
            return;
        }
        let known = self.open.entry(id).or_default();
        if let Some(instance) = slip.instance() {
            known.instance = Some(instance.clone());
        }
        if let Some(digest) = slip.digest() {
            known.digest = Some(digest.clone());
        }
    }

    fn router(&self, epoch: u64) -> String {
        match self.owners.get(&epoch) {
            Some(name) => format!("router {name}"),
            None => format!("router of epoch {epoch}"),
        }
    }
}

#[cfg(test)]
mod tests;
