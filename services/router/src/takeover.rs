//! What a new owner reads: the records of every remediation that is open, and where the log goes on.
//!
//! With the hint of the owner before, only what is open is read, and what came after the hint; the time it takes does
//! not grow with what is kept. A hint that is missing or that somebody else wrote is not used: then the whole log is
//! read, for the log is the truth.

use std::{collections::HashMap, time::Duration};

use futures::{StreamExt as _, TryStreamExt as _, stream};
use instance_bus::{BusError, LogMessage, OpenHint};
use instance_contract::{
    InstanceName, RemediationId, Shard, Tool,
    subject::{self, RecordKind, Subject},
};
use instance_engine::{Logged, RESTARTS_KEPT, Record, is_restart};
use jiff::Timestamp;
use tokio::time::timeout;

use crate::{Error, Router, perform};

/// Questions for single messages that are on their way at the same time.
const SIDE_BY_SIDE: usize = 64;
/// Remediations that one reading asks for by name.
const BY_NAME: usize = 128;
/// Messages that are read in the time in which one remediation is asked for by its name.
const WORTH_READING: u64 = 50;
/// A reading that gives nothing for so long is given up.
const PATIENCE: Duration = Duration::from_secs(16);

/// What stands in a shard's log, as far as its new owner must know.
#[derive(Default)]
pub(crate) struct Standing {
    /// Records of what has not ended.
    open: HashMap<RemediationId, Vec<LogMessage>>,
    pub(crate) restarts: Vec<(InstanceName, Timestamp)>,
    /// Everything up to here was read.
    pub(crate) last: u64,
}

/// Reads what the owner of `epoch` must know. `former` is the epoch before; its own record stands at `own`.
pub(crate) async fn read(
    router: &Router,
    shard: Shard,
    former: u64,
    (epoch, own): (u64, u64),
) -> Result<Standing, Error> {
    let hint = router.bus.open_hint(shard).await?;
    let mut standing = Standing { last: own, ..Standing::default() };
    // Where the reading of everything begins.
    let mut from = 1;
    if hint.epoch == former && former > 0 {
        standing.restarts.clone_from(&hint.restarts);
        from = hint.read_to + 1;
        let first = hint.accepted.iter().copied().min().unwrap_or(from).min(from);
        if from - first <= WORTH_READING * (hint.accepted.len() as u64 + 1) {
            // What is open lies close together: reading all of that is quicker than asking for each by its name.
            from = first;
        } else {
            standing.take_in_by_name(router, shard, &hint, (epoch, own)).await?;
        }
    }
    let end = router.bus.last_sequence(shard).await?;
    standing.take_in(router, shard, &[subject::shard_log(shard)], from, end).await?;
    let since = router.clock.now() - RESTARTS_KEPT;
    for records in standing.open.values() {
        standing.restarts.extend(restarts(records, since));
    }
    Ok(standing)
}

/// The remediations that were open when the hint was written.
async fn open_then(router: &Router, shard: Shard, hint: &OpenHint) -> Result<Vec<RemediationId>, Error> {
    let messages = stream::iter(hint.accepted.iter().copied())
        .map(|sequence| router.bus.log_message(shard, sequence))
        .buffer_unordered(SIDE_BY_SIDE);
    let messages: Vec<Option<LogMessage>> = messages.try_collect().await?;
    let id = |message: LogMessage| subject::parse_record(&message.subject).map(|(_, id, _)| id);
    Ok(messages.into_iter().flatten().filter_map(id).collect())
}

impl Standing {
    /// Records by remediation, each in the order of the log.
    pub(crate) fn take_open(&mut self) -> impl Iterator<Item = Vec<Logged>> + use<> {
        std::mem::take(&mut self.open).into_values().map(|mut records| {
            records.sort_by_key(|record| record.sequence);
            records.iter().filter_map(perform::decoded).collect()
        })
    }

    /// The records of what was open when the hint was written, up to our own record.
    async fn take_in_by_name(
        &mut self,
        router: &Router,
        shard: Shard,
        hint: &OpenHint,
        (epoch, own): (u64, u64),
    ) -> Result<(), Error> {
        let ids = open_then(router, shard, hint).await?;
        for names in ids.chunks(BY_NAME) {
            let mut filters: Vec<Subject> =
                names.iter().map(|id| subject::remediation_of(shard, *id)).collect();
            // Our own record comes behind everything that stood there when we began: the end of this reading.
            filters.push(subject::owner(shard, epoch));
            self.take_in(router, shard, &filters, 1, own).await?;
        }
        Ok(())
    }

    async fn take_in(
        &mut self,
        router: &Router,
        shard: Shard,
        filters: &[Subject],
        from: u64,
        end: u64,
    ) -> Result<(), BusError> {
        if end < from {
            return Ok(());
        }
        let since = router.clock.now() - RESTARTS_KEPT;
        let mut log = router.bus.follow(shard, filters, from);
        loop {
            let Ok(message) = timeout(PATIENCE, log.next()).await else {
                let thing = format!("the log of shard {shard} up to message {end}");
                return Err(BusError::NoAnswer { operation: "read", thing });
            };
            let message = message?;
            let sequence = message.sequence;
            self.last = self.last.max(sequence.min(end));
            if sequence <= end {
                self.add(message, since);
            }
            if sequence >= end {
                return Ok(());
            }
        }
    }

    fn add(&mut self, message: LogMessage, since: Timestamp) {
        let Some((_, id, kind)) = subject::parse_record(&message.subject) else { return };
        if kind == RecordKind::Ended {
            let records = self.open.remove(&id).unwrap_or_default();
            self.restarts.extend(restarts(&records, since));
            return;
        }
        let records = self.open.entry(id).or_default();
        // What is open is read by name, and again behind the hint.
        if records.iter().all(|other| other.sequence != message.sequence) {
            records.push(message);
        }
    }
}

/// Restarts count in policy whoever owned the shard then.
fn restarts(records: &[LogMessage], since: Timestamp) -> Vec<(InstanceName, Timestamp)> {
    // Most remediations hold none, and need not be decoded to know it.
    let tells = |record: &&LogMessage| {
        let tool = Tool::IrisRestart.as_str().as_bytes();
        record.published_at > since && record.payload.windows(tool.len()).any(|bytes| bytes == tool)
    };
    if records.iter().find(tells).is_none() {
        return Vec::new();
    }
    let records: Vec<Logged> = records.iter().filter_map(perform::decoded).collect();
    let instance = records.iter().find_map(|(.., record)| match record {
        Record::Accepted(accepted) => Some(accepted.command.instance.clone()),
        _ => None,
    });
    let Some(instance) = instance else { return Vec::new() };
    let done = records.iter().filter(|(_, at, _, record)| *at > since && is_restart(record));
    done.map(|(_, at, ..)| (instance.clone(), *at)).collect()
}
