//! What the bus tells: messages, remediations and how each ended.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Mutex, PoisonError},
    time::Instant,
};

use anyhow::Result;
use futures::{
    StreamExt as _,
    stream::{BoxStream, SelectAll, select_all, unfold},
};
use instance_bus::{Bus, BusError, Deliveries, Durability, LogMessage, StartAt};
use instance_contract::{InstanceName, IrisMessage, MessageId, RemediationId, subject};
use instance_engine::Record;

use super::{burst::REQUESTER, entries::Logs};

/// Everything that is known. Bounded by what happens: an hour is some thousands of remediations.
#[derive(Debug, Default)]
pub struct Tally {
    /// Ids of messages that came.
    messages: BTreeSet<MessageId>,
    /// Entries that came as messages, by instance.
    pub stored: Logs,
    /// Messages that came a second time under the same id; the reading is at least once, so that is no fault.
    pub again: u64,
    open: BTreeMap<RemediationId, InstanceName>,
    /// How each ended.
    pub ended: BTreeMap<RemediationId, String>,
    /// When something last happened, by instance.
    active: BTreeMap<InstanceName, Instant>,
    /// Remediations that changed something or tried to, by instance, those of bursts left out.
    real: BTreeMap<InstanceName, u64>,
    /// A remediation that ended twice, which must not be.
    pub ended_twice: Vec<RemediationId>,
}

impl Tally {
    pub fn messages(&self) -> usize {
        self.messages.len()
    }

    /// How many are under way.
    pub fn open(&self) -> usize {
        self.open.len()
    }

    /// Is one under way for this instance?
    pub fn is_open(&self, instance: &InstanceName) -> bool {
        self.open.values().any(|other| other == instance)
    }

    pub fn real(&self, instance: &InstanceName) -> u64 {
        self.real.get(instance).copied().unwrap_or_default()
    }

    pub fn active(&self, instance: &InstanceName) -> Option<Instant> {
        self.active.get(instance).copied()
    }

    fn message(&mut self, payload: &[u8]) {
        let Ok(message) = IrisMessage::decode(payload) else { return };
        if self.messages.insert(message.message_id) {
            self.stored.entry(message.instance.clone()).or_default().message(&message);
        } else {
            self.again += 1;
        }
    }

    fn record(&mut self, message: &LogMessage) -> Result<()> {
        let Some((_, id, kind)) = subject::parse_record(&message.subject) else { return Ok(()) };
        match Record::decode(&kind, &message.payload)? {
            Record::Accepted(accepted) => {
                let instance = accepted.command.instance;
                self.active.insert(instance.clone(), Instant::now());
                if !accepted.command.dry_run && accepted.command.requested_by != REQUESTER {
                    *self.real.entry(instance.clone()).or_default() += 1;
                }
                if !self.ended.contains_key(&id) {
                    self.open.insert(id, instance);
                }
            }
            Record::Ended(ended) => {
                if let Some(instance) = self.open.remove(&id) {
                    self.active.insert(instance, Instant::now());
                }
                let status = ended.trace.overall_status.as_str().to_owned();
                if self.ended.insert(id, status).is_some() {
                    self.ended_twice.push(id);
                }
            }
            _ => {}
        }
        Ok(())
    }
}

/// Reads the bus from its beginning on.
pub struct Follow {
    messages: Deliveries,
    records: SelectAll<BoxStream<'static, Result<LogMessage, BusError>>>,
}

impl Follow {
    pub async fn begin(bus: &Bus) -> Result<Self> {
        let shards = bus.topology().await?.shards();
        let follows = shards.map(|shard| {
            let follow = bus.follow(shard, &[subject::shard_log(shard)], 1);
            unfold(follow, |mut follow| async move { Some((follow.next().await, follow)) }).boxed()
        });
        let messages = bus.errors(Durability::Ephemeral, StartAt::First).await?;
        Ok(Self { messages, records: select_all(follows) })
    }

    /// Takes in what comes next. Dropping it before it is over loses nothing.
    pub async fn next(&mut self, tally: &Mutex<Tally>) {
        let with = |change: &mut dyn FnMut(&mut Tally)| {
            change(&mut tally.lock().unwrap_or_else(PoisonError::into_inner));
        };
        tokio::select! {
            // Trouble with the bus of this very machine passes, and what was missed is read again.
            delivery = self.messages.next() => if let Some(Ok(delivery)) = delivery {
                with(&mut |tally| tally.message(delivery.payload()));
                let _ = delivery.done_unconfirmed().await;
            },
            Some(record) = self.records.next() => if let Ok(record) = record {
                with(&mut |tally| if let Err(error) = tally.record(&record) {
                    tracing::warn!(error = format!("{error:#}"), "a record could not be read");
                });
            },
        }
    }
}
