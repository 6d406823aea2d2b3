//! The agent's own memory of what it did: one append-only file, synced before every effect and after it.
//!
//! Invariant: what an operation of [`Ledger`] acknowledged is still there after a crash at any later moment.
//! Invariant: a file whose middle is damaged is refused, never repaired by guessing.

mod disk;
mod frame;
mod group;
mod index;
mod record;

#[cfg(test)]
mod group_tests;
#[cfg(test)]
mod simulated_disk;
#[cfg(test)]
mod tests;

use std::{collections::BTreeMap, io};

use instance_contract::{Attempt, Digest, InstanceName, StepKey, Token, ToolResult};
use jiff::{SignedDuration, Timestamp};

pub use disk::{Disk, Folder};
use group::Group;
pub use index::undone_by;
use index::{Index, Newest, Place};
pub use record::{Answered, Done, Effect, Intent, Record, State, content_digest};

const FILE: &str = "ledger";
const NEW_FILE: &str = "ledger.new";
/// No stream redelivers what is older: the remediation log keeps 30 days.
const KEPT: SignedDuration = SignedDuration::from_hours(31 * 24);

/// Why the ledger cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum LedgerError {
    #[error("could not {operation} the ledger")]
    Io { operation: &'static str, source: io::Error },
    #[error(
        "the ledger is damaged: the record at byte {at} is bad, but a good one follows at byte {next_good}; \
         keep the file, find out what changed it, and see docs/errors/ledger-damaged.md"
    )]
    Damaged { at: usize, next_good: usize },
    #[error(
        "the ledger's record at byte {at} is whole but cannot be understood; was it written by a newer version?"
    )]
    NotUnderstood { at: usize, source: serde_json::Error },
    #[error("a record of {bytes} bytes is too long for the ledger")]
    TooLong { bytes: usize },
    #[error("the ledger already holds the last word about step \"{key}\"")]
    Final { key: StepKey },
    #[error("the ledger could not be written before; only a restart can tell what is on the disk")]
    Poisoned,
}

/// The ledger of one agent, for all its threads.
#[derive(Debug)]
pub struct Ledger<D = Folder> {
    group: Group<D>,
}

impl<D: Disk> Ledger<D> {
    /// Reads the file, cuts a torn tail, and drops what is older than 31 days at `now`.
    pub fn open(mut disk: D, now: Timestamp) -> Result<Self, LedgerError> {
        let existing = disk.read(FILE).map_err(failed("read"))?;
        let mut bytes = existing.unwrap_or_default();
        let (payloads, good_end) = frame::scan(&bytes)
            .map_err(|damage| LedgerError::Damaged { at: damage.at, next_good: damage.next_good })?;
        let mut records = Vec::with_capacity(payloads.len());
        for payload in payloads {
            let at = frame::start_of(&payload);
            let record: Record = serde_json::from_slice(&bytes[payload.clone()])
                .map_err(|source| LedgerError::NotUnderstood { at, source })?;
            records.push((record, at..payload.end));
        }
        bytes.truncate(good_end);
        disk.truncate(FILE, good_end as u64).map_err(failed("cut the torn tail of"))?;
        // Even with nothing to cut: what a process wrote that died before its sync is answered from now on.
        disk.sync(FILE).map_err(failed("sync"))?;
        disk.sync_folder().map_err(failed("sync the folder of"))?;
        if let Some(kept) = compacted(&records, &bytes, now) {
            replace(&mut disk, &kept)?;
            return Self::open(disk, now);
        }
        let mut index = Index::default();
        for (record, range) in &records {
            index.add(record, Place { offset: range.start as u64, length: range.len() });
        }
        Ok(Self { group: Group::new(disk, index, bytes.len() as u64) })
    }

    /// What is known about a step.
    pub fn state(&self, key: &StepKey) -> Result<State, LedgerError> {
        let place = match self.group.known(|index| index.newest(key)) {
            Newest::Nothing => return Ok(State::Nothing),
            Newest::Intent(place) | Newest::Done(place) => place,
        };
        match self.read(place)? {
            Record::Intent(intent) => Ok(State::Intent(intent)),
            Record::Done(done) => Ok(State::Done(done)),
            Record::Answered(_) | Record::Fence { .. } => unreachable!("the index keeps places by kind"),
        }
    }

    /// What one attempt was answered, where the key stayed open.
    pub fn answer(&self, key: &StepKey, attempt: Attempt) -> Result<Option<ToolResult>, LedgerError> {
        let place = self.group.known(|index| index.answer(key, attempt));
        place.map(|place| self.read_answer(place)).transpose()
    }

    /// The last intent of a step, also when it is known that nothing came of it.
    pub fn last_intent(&self, key: &StepKey) -> Result<Option<Intent>, LedgerError> {
        match self.group.known(|index| index.last_intent(key)).map(|place| self.read(place)).transpose()? {
            None => Ok(None),
            Some(Record::Intent(intent)) => Ok(Some(*intent)),
            Some(_) => unreachable!("the index keeps places by kind"),
        }
    }

    /// Was the key first seen with other content than this [`content_digest`]?
    pub fn has_other_content(&self, key: &StepKey, digest: &Digest) -> bool {
        self.group.known(|index| index.digest(key).is_some_and(|first| first != digest))
    }

    /// Was the step taken back, or begun to be? Then it must never run again.
    pub fn is_closed(&self, key: &StepKey) -> bool {
        self.group.known(|index| index.is_closed(key))
    }

    /// The highest token seen per instance.
    pub fn tokens(&self) -> BTreeMap<InstanceName, Token> {
        self.group.known(|index| index.tokens().clone())
    }

    /// An effect is about to happen. Durable when this returns.
    pub fn intend(&self, intent: Intent) -> Result<(), LedgerError> {
        self.write(Record::Intent(Box::new(intent)))
    }

    /// The last word about a step. Durable when this returns.
    pub fn finish(&self, done: Done) -> Result<(), LedgerError> {
        self.write(Record::Done(Box::new(done)))
    }

    /// The answer to one attempt. Durable when this returns.
    pub fn answered(&self, answered: Answered) -> Result<(), LedgerError> {
        self.write(Record::Answered(Box::new(answered)))
    }

    fn write(&self, record: Record) -> Result<(), LedgerError> {
        self.group.write(record)
    }

    fn read(&self, place: Place) -> Result<Record, LedgerError> {
        let at = usize::try_from(place.offset).unwrap_or(usize::MAX);
        let read = self.group.with_disk(|disk| disk.read_at(FILE, place.offset, place.length));
        let bytes = read.map_err(failed("read"))?;
        let payload = frame::payload_at(&bytes, 0)
            .ok_or(LedgerError::Damaged { at, next_good: at.saturating_add(place.length) })?;
        serde_json::from_slice(&bytes[payload]).map_err(|source| LedgerError::NotUnderstood { at, source })
    }

    fn read_answer(&self, place: Place) -> Result<ToolResult, LedgerError> {
        match self.read(place)? {
            Record::Answered(answered) => Ok(answered.result),
            _ => unreachable!("the index keeps places by kind"),
        }
    }
}

fn failed(operation: &'static str) -> impl FnOnce(io::Error) -> LedgerError {
    move |source| LedgerError::Io { operation, source }
}

fn encode(record: &Record) -> Result<Vec<u8>, LedgerError> {
    let payload = serde_json::to_vec(record).expect("a record is plain data");
    frame::encode(&payload).ok_or(LedgerError::TooLong { bytes: payload.len() })
}

/// The file without the steps about which nothing was written for 31 days; `None` when there are none.
fn compacted(records: &[(Record, std::ops::Range<usize>)], bytes: &[u8], now: Timestamp) -> Option<Vec<u8>> {
    let mut newest: BTreeMap<StepKey, Timestamp> = BTreeMap::new();
    for (record, _) in records {
        if let Some((key, at)) = record.key().zip(record.at()) {
            let known = newest.entry(key).or_insert(at);
            *known = at.max(*known);
        }
    }
    // A clock that runs ahead must not make everything old: what is dropped is gone when the clock is right again.
    let now = newest.values().max().map_or(now, |last| now.min(*last));
    let is_old = |at: &Timestamp| now.duration_since(*at) > KEPT;
    let is_kept = |record: &Record| record.key().is_some_and(|key| !is_old(&newest[&key]));
    if !newest.values().any(is_old) {
        return None;
    }
    let mut tokens: BTreeMap<&InstanceName, Token> = BTreeMap::new();
    for (instance, token) in records.iter().map(|(record, _)| record.token()) {
        let highest = tokens.entry(instance).or_insert(token);
        *highest = token.max(*highest);
    }
    let fences =
        tokens.into_iter().map(|(instance, token)| Record::Fence { instance: instance.clone(), token });
    let mut kept: Vec<u8> = fences.flat_map(|fence| encode(&fence).expect("a fence is short")).collect();
    for (_, range) in records.iter().filter(|(record, _)| is_kept(record)) {
        kept.extend_from_slice(&bytes[range.clone()]);
    }
    Some(kept)
}

fn replace(disk: &mut impl Disk, bytes: &[u8]) -> Result<(), LedgerError> {
    // A half-written one may be left from a crash.
    disk.truncate(NEW_FILE, 0).map_err(failed("begin the compacted copy of"))?;
    disk.append(NEW_FILE, bytes).map_err(failed("write the compacted copy of"))?;
    disk.sync(NEW_FILE).map_err(failed("sync the compacted copy of"))?;
    disk.rename(NEW_FILE, FILE).map_err(failed("replace"))?;
    disk.sync_folder().map_err(failed("sync the folder of"))
}
