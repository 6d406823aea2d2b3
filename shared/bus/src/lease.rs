//! Who owns a shard. A lease says who is alive; it is no fence (that is the token in every step command).

use instance_contract::Shard;
use serde::{Deserialize, Serialize};
use tokio::time::Instant;

use crate::{Bus, BusError, PublishError, topology::LEASES};

/// Writes until an answer that was lost is settled.
const TRIES: usize = 3;

/// Who holds a lease: the value in the bucket.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LeaseHolder {
    /// Configured name of the router.
    pub router: String,
    /// Drawn anew by every process, so that a restarted router is not taken for its former self.
    pub process: String,
}

/// A wish for, or the possession of, a shard. Renew it every second: it is gone 3 s after the last renewal.
#[derive(Debug)]
pub struct Lease {
    bus: Bus,
    shard: Shard,
    me: LeaseHolder,
    /// Revision of our last write, and when we began it.
    held: Option<(u64, Instant)>,
}

impl Bus {
    /// A lease on a shard, not yet acquired. `process` must differ between any two processes.
    pub fn lease(&self, shard: Shard, router: &str, process: &str) -> Lease {
        let me = LeaseHolder { router: router.to_owned(), process: process.to_owned() };
        Lease { bus: self.clone(), shard, me, held: None }
    }

    /// Who holds a shard now, read through the leader.
    pub async fn lease_holder(&self, shard: Shard) -> Result<Option<LeaseHolder>, BusError> {
        let entry = self.kv_entry(LEASES, &shard.to_string()).await?.and_then(|entry| entry.value);
        Ok(entry.and_then(|value| serde_json::from_slice(&value).ok()))
    }
}

impl Lease {
    /// How long a lease outlives its last renewal.
    pub const LIFETIME: std::time::Duration = std::time::Duration::from_secs(3);

    pub const fn shard(&self) -> Shard {
        self.shard
    }

    /// True while our last renewal is younger than two thirds of the lifetime, by the monotonic clock. Afterwards the
    /// shard must be left alone until [`Lease::renew`] says yes again.
    pub fn is_fresh(&self) -> bool {
        self.held.is_some_and(|(_, began)| began.elapsed() < Self::LIFETIME * 2 / 3)
    }

    /// Takes the shard when nobody holds it, or when a former process of the same router does. False: another has it.
    pub async fn try_acquire(&mut self) -> Result<bool, BusError> {
        let key = self.shard.to_string();
        let revision = match self.bus.kv_entry(LEASES, &key).await? {
            None => 0,
            Some(entry) => match entry.value.and_then(|value| serde_json::from_slice(&value).ok()) {
                Some(LeaseHolder { router, .. }) if router != self.me.router => {
                    self.held = None;
                    return Ok(false);
                }
                // Given back, unreadable, or ours: replaced, if it is still at that revision.
                _ => entry.revision,
            },
        };
        self.write(revision).await
    }

    /// Says that we are alive. False: the shard is lost, somebody else has taken it or it has expired.
    pub async fn renew(&mut self) -> Result<bool, BusError> {
        match self.held {
            Some((revision, _)) => self.write(revision).await,
            None => Ok(false),
        }
    }

    /// Gives the shard back, so that nobody needs to wait for the expiry. Harmless when it is lost already.
    pub async fn release(&mut self) -> Result<(), BusError> {
        let Some((revision, _)) = self.held.take() else { return Ok(()) };
        match self.bus.kv_delete(LEASES, &self.shard.to_string(), revision).await {
            Ok(_) | Err(BusError::Publish(PublishError::Exists { .. })) => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// Writes our name over a revision. An answer that was lost, now or at the last renewal, is looked up through the
    /// leader: our own nonce there means that the write went through.
    async fn write(&mut self, mut revision: u64) -> Result<bool, BusError> {
        let key = self.shard.to_string();
        for _ in 0..TRIES {
            let began = Instant::now();
            match self.bus.kv_write(LEASES, &key, &self.me, revision).await {
                Ok(written) => {
                    self.held = Some((written.sequence, began));
                    return Ok(true);
                }
                Err(BusError::Publish(PublishError::Exists { .. } | PublishError::Unknown { .. })) => {}
                Err(error) => return Err(error),
            }
            // When the found write was made is not known; only one more of our own says how fresh the lease is.
            match self.own_revision(&key).await? {
                Some(own) => revision = own,
                None => break,
            }
        }
        self.held = None;
        Ok(false)
    }

    /// Revision of the key when this very process wrote it last.
    async fn own_revision(&self, key: &str) -> Result<Option<u64>, BusError> {
        let Some(entry) = self.bus.kv_entry(LEASES, key).await? else { return Ok(None) };
        let holder = entry.value.and_then(|value| serde_json::from_slice::<LeaseHolder>(&value).ok());
        Ok((holder.as_ref() == Some(&self.me)).then_some(entry.revision))
    }
}

impl std::fmt::Debug for Bus {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Bus").field("servers", &self.server.addresses).finish_non_exhaustive()
    }
}
