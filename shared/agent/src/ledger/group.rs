//! Records that wait at the same time are written and synced together: one of the waiting threads does it for all.
//!
//! Invariant: a record is acknowledged, and counted among what is known, only after the sync that covers it.
//! Invariant: a step has at most one record on its way.

use std::{
    collections::HashSet,
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
};

use instance_chassis::mutant;
use instance_contract::StepKey;
use instance_signals::metrics::{LEDGER_FAILURES, LEDGER_RECORDS, LEDGER_SYNC};

use super::{
    Disk, FILE, LedgerError, encode, failed,
    index::{Index, Newest, Place},
    record::Record,
};

/// The ledger's file and what is known of it, for many threads.
#[derive(Debug)]
pub struct Group<D> {
    inner: Mutex<Inner<D>>,
    /// Told when the disk is back, and so also when records are no longer on their way.
    settled: Condvar,
}

#[derive(Debug)]
struct Inner<D> {
    /// Away while a thread writes and syncs.
    disk: Option<D>,
    index: Index,
    end: u64,
    /// After a failed write or sync nobody knows what the disk holds, and the next sync may claim success.
    poisoned: bool,
    /// How many threads wait for [`Group::settled`]: telling nobody costs a system call too.
    waiting: usize,
    /// What goes to the disk next.
    gathering: Option<Batch>,
    on_their_way: HashSet<StepKey>,
}

/// Records that share a sync.
#[derive(Debug, Default)]
struct Batch {
    records: Vec<(Record, Vec<u8>)>,
    outcome: Arc<Outcome>,
}

/// Whether a batch is durable, once that is known.
#[derive(Debug, Default)]
struct Outcome {
    durable: Mutex<Option<bool>>,
    told: Condvar,
}

impl<D: Disk> Group<D> {
    pub fn new(disk: D, index: Index, end: u64) -> Self {
        let inner = Inner {
            disk: Some(disk),
            index,
            end,
            poisoned: false,
            waiting: 0,
            gathering: None,
            on_their_way: HashSet::new(),
        };
        Self { inner: Mutex::new(inner), settled: Condvar::new() }
    }

    /// What is known, without the disk.
    pub fn known<T>(&self, question: impl FnOnce(&Index) -> T) -> T {
        question(&self.lock().index)
    }

    /// Waits for the disk.
    pub fn with_disk<T>(&self, read: impl FnOnce(&mut D) -> T) -> T {
        let mut inner = self.wait_while(self.lock(), |inner| inner.disk.is_none());
        read(inner.disk.as_mut().expect("waited for"))
    }

    /// Durable when this returns.
    pub fn write(&self, record: Record) -> Result<(), LedgerError> {
        let bytes = encode(&record)?;
        let key = record.key();
        let is_busy = |inner: &Inner<D>| key.as_ref().is_some_and(|key| inner.on_their_way.contains(key));
        let mut inner = self.wait_while(self.lock(), is_busy);
        if inner.poisoned {
            return Err(LedgerError::Poisoned);
        }
        if let Some(key) = &key
            && matches!(inner.index.newest(key), Newest::Done(_))
        {
            return Err(LedgerError::Final { key: key.clone() });
        }
        inner.on_their_way.extend(key);
        let leads = inner.gathering.is_none();
        let batch = inner.gathering.get_or_insert_default();
        batch.records.push((record, bytes));
        if leads {
            return self.lead(inner);
        }
        let outcome = Arc::clone(&batch.outcome);
        drop(inner);
        if outcome.wait() { Ok(()) } else { Err(LedgerError::Poisoned) }
    }

    /// Writes and syncs everything that has gathered by the time the disk is free.
    fn lead(&self, inner: MutexGuard<'_, Inner<D>>) -> Result<(), LedgerError> {
        let mut inner = self.wait_while(inner, |inner| inner.disk.is_none());
        let batch = inner.gathering.take().expect("only its leader takes it");
        let mut disk = inner.disk.take().expect("waited for");
        let poisoned = inner.poisoned;
        drop(inner);
        let written = if poisoned { Err(LedgerError::Poisoned) } else { measured(&mut disk, &batch.records) };

        let mut inner = self.lock();
        inner.disk = Some(disk);
        inner.poisoned |= written.is_err();
        for (record, bytes) in &batch.records {
            if written.is_ok() {
                let place = Place { offset: inner.end, length: bytes.len() };
                inner.index.add(record, place);
                inner.end += bytes.len() as u64;
            }
            if let Some(key) = record.key() {
                inner.on_their_way.remove(&key);
            }
        }
        if inner.waiting > 0 {
            self.settled.notify_all();
        }
        drop(inner);
        if batch.records.len() > 1 {
            batch.outcome.tell(written.is_ok());
        }
        written
    }

    fn lock(&self) -> MutexGuard<'_, Inner<D>> {
        // Nothing here can panic between two changes that belong together.
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wait_while<'a>(
        &self,
        mut inner: MutexGuard<'a, Inner<D>>,
        busy: impl Fn(&Inner<D>) -> bool,
    ) -> MutexGuard<'a, Inner<D>> {
        inner.waiting += 1;
        let mut inner =
            self.settled.wait_while(inner, |inner| busy(inner)).unwrap_or_else(PoisonError::into_inner);
        inner.waiting -= 1;
        inner
    }

    /// How many records wait for the next sync.
    #[cfg(test)]
    pub fn gathered(&self) -> usize {
        self.lock().gathering.as_ref().map_or(0, |batch| batch.records.len())
    }
}

impl Outcome {
    fn tell(&self, durable: bool) {
        *self.durable.lock().unwrap_or_else(PoisonError::into_inner) = Some(durable);
        self.told.notify_all();
    }

    fn wait(&self) -> bool {
        let durable = self.durable.lock().unwrap_or_else(PoisonError::into_inner);
        let told = self.told.wait_while(durable, |durable| durable.is_none());
        told.unwrap_or_else(PoisonError::into_inner).expect("waited for")
    }
}

fn measured(disk: &mut impl Disk, records: &[(Record, Vec<u8>)]) -> Result<(), LedgerError> {
    let began = std::time::Instant::now();
    let written = write_synced(disk, records);
    match &written {
        Ok(()) => {
            LEDGER_SYNC.record(began.elapsed().as_secs_f64(), &[]);
            LEDGER_RECORDS.add(records.len() as u64, &[]);
        }
        Err(_) => LEDGER_FAILURES.add(1, &[]),
    }
    written
}

fn write_synced(disk: &mut impl Disk, records: &[(Record, Vec<u8>)]) -> Result<(), LedgerError> {
    let appended = match records {
        [(_, only)] => disk.append(FILE, only),
        several => {
            disk.append(FILE, &several.iter().flat_map(|(_, bytes)| bytes).copied().collect::<Vec<_>>())
        }
    };
    appended.map_err(failed("write"))?;
    if records.iter().all(|(record, _)| is_planted_unsynced(record)) {
        return Ok(());
    }
    disk.sync(FILE).map_err(failed("sync"))
}

fn is_planted_unsynced(record: &Record) -> bool {
    match record {
        Record::Intent(_) => mutant("ledger.intent-not-synced"),
        Record::Done(_) => mutant("ledger.done-not-synced"),
        _ => false,
    }
}
