//! What the remediation logs say while everything runs: ends, and who owns which shard. Only paces the proof; what is
//! judged in the end is read again.

use std::{
    collections::HashMap,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use anyhow::{Result, bail};
use instance_bus::{Bus, LogMessage};
use instance_contract::{Owner, RemediationId, Shard, subject};
use jiff::Timestamp;
use tokio::sync::watch;

/// Longer than anything may stand still.
const STANDSTILL: Duration = Duration::from_mins(1);

/// A router that has taken a shard.
#[derive(Debug, Clone)]
pub struct Taken {
    pub shard: u16,
    pub router: String,
    /// By the server's clock, which is ours.
    pub at: Timestamp,
}

/// One end.
#[derive(Debug, Clone, Copy)]
pub struct End {
    pub shard: u16,
    pub at: Timestamp,
}

pub struct Feed {
    told: Mutex<Told>,
    /// How many plans have ended.
    ended: watch::Sender<usize>,
}

#[derive(Default)]
struct Told {
    ends: HashMap<RemediationId, End>,
    taken: Vec<Taken>,
}

impl Feed {
    pub fn new() -> Self {
        Self { told: Mutex::default(), ended: watch::Sender::new(0) }
    }

    /// Reads the log of a shard along, for ever.
    pub async fn follow(&self, bus: &Bus, shard: u16) {
        let shard = Shard(shard);
        let mut ends = bus.follow(shard, &[subject::records_of(shard, "ended")], 1);
        let mut owners = bus.follow(shard, &[subject::owners(shard)], 1);
        loop {
            tokio::select! {
                Ok(message) = ends.next() => self.end(shard, &message),
                Ok(message) = owners.next() => self.owner(shard, &message),
                // Nothing has worked for 16 s; it goes on trying.
                else => {}
            }
        }
    }

    fn end(&self, shard: Shard, message: &LogMessage) {
        let Some((_, id, _)) = subject::parse_record(&message.subject) else { return };
        let end = End { shard: shard.0, at: message.published_at };
        let count = {
            let mut told = self.lock();
            told.ends.insert(id, end);
            told.ends.len()
        };
        self.ended.send_replace(count);
    }

    fn owner(&self, shard: Shard, message: &LogMessage) {
        let Ok(Owner { router, .. }) = message.json() else { return };
        self.lock().taken.push(Taken { shard: shard.0, router, at: message.published_at });
        self.ended.send_modify(|_| {});
    }

    pub fn count(&self) -> usize {
        *self.ended.borrow()
    }

    pub fn has_ended(&self, id: RemediationId) -> bool {
        self.lock().ends.contains_key(&id)
    }

    /// Waits for the end of a plan, however long it takes.
    pub async fn ended(&self, id: RemediationId) {
        let mut changes = self.ended.subscribe();
        while !self.has_ended(id) {
            if changes.changed().await.is_err() {
                return;
            }
        }
    }

    /// Waits until so many plans have ended.
    pub async fn reach(&self, count: usize) -> Result<()> {
        let mut changes = self.ended.subscribe();
        while *changes.borrow_and_update() < count {
            if tokio::time::timeout(STANDSTILL, changes.changed()).await.is_err() {
                bail!("{} plans have ended, and no more in a minute", self.count());
            }
        }
        Ok(())
    }

    /// Every takeover so far, in the order of the log of each shard.
    pub fn taken(&self) -> Vec<Taken> {
        self.lock().taken.clone()
    }

    /// The owner of each shard that has one.
    pub fn owners(&self) -> HashMap<u16, String> {
        self.taken().into_iter().map(|taken| (taken.shard, taken.router)).collect()
    }

    /// The first end in a shard at or after a time.
    pub fn first_end(&self, shard: u16, after: Timestamp) -> Option<Timestamp> {
        let told = self.lock();
        told.ends.values().filter(|end| end.shard == shard && end.at >= after).map(|end| end.at).min()
    }

    /// Waits until the log says something that satisfies; `None` when it does not in time.
    pub async fn until<T>(&self, within: Duration, look: impl Fn(&Self) -> Option<T>) -> Option<T> {
        let mut changes = self.ended.subscribe();
        let seen = async {
            loop {
                changes.borrow_and_update();
                if let Some(found) = look(self) {
                    return found;
                }
                if changes.changed().await.is_err() {
                    std::future::pending::<()>().await;
                }
            }
        };
        tokio::time::timeout(within, seen).await.ok()
    }

    fn lock(&self) -> MutexGuard<'_, Told> {
        self.told.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
