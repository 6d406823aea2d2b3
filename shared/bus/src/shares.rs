//! Routers side by side come to hold about as many shards each: who has too few says so, and who has more gives one away.
//! A wish is no right: whoever takes a shard takes its lease.

use serde::{Deserialize, Serialize};

use crate::{Bus, BusError, topology::LEASES};

/// Beside the shards' own keys, which are numbers. Gone after three seconds, as they are.
const WISH_KEY: &str = "wish";

/// A router wants one more shard, as the leases stood when it said so.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ShardWish {
    /// Configured name of the router.
    pub router: String,
    /// Shards that it holds.
    pub holds: usize,
    /// Shards that nobody held.
    pub free: usize,
}

impl ShardWish {
    /// Is whoever holds so many shards to give one away? Afterwards it still holds as many as who wants one, at least.
    pub const fn is_fair_to(&self, holds: usize) -> bool {
        holds >= self.holds + self.free + 2
    }
}

impl Bus {
    /// Says that a router wants one more shard. The newest wish counts.
    pub async fn wish_for_shard(&self, wish: &ShardWish) -> Result<(), BusError> {
        self.kv_put(LEASES, WISH_KEY, wish).await
    }

    /// The newest wish of the last three seconds, with its revision, read through the leader.
    pub async fn shard_wish(&self) -> Result<Option<(u64, ShardWish)>, BusError> {
        let Some(entry) = self.kv_entry(LEASES, WISH_KEY).await? else { return Ok(None) };
        let wish = entry.value.and_then(|value| serde_json::from_slice(&value).ok());
        Ok(wish.map(|wish| (entry.revision, wish)))
    }
}
