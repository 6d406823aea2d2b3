//! Which command ids are being begun in this process. The logs of two shards know nothing of each other, so an id that comes
//! for instances of both at the same instant is new in either; here the second one waits until the first stands in its log.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use instance_contract::{RemediationId, Shard};

/// Shard and number of claims of each id.
type Held = HashMap<RemediationId, (Shard, usize)>;

#[derive(Clone, Default)]
pub(crate) struct Claims(Arc<Mutex<Held>>);

/// As long as it lives, no other shard begins a remediation under this id.
pub(crate) struct Claim {
    of: Claims,
    id: RemediationId,
}

impl Claims {
    /// To be had before anybody looks whether the id is new, and kept until that no longer matters. `None`: another shard
    /// has it.
    pub(crate) fn claim(&self, id: RemediationId, shard: Shard) -> Option<Claim> {
        let mut held = self.held();
        let (holder, many) = held.entry(id).or_insert((shard, 0));
        if *holder != shard {
            return None;
        }
        *many += 1;
        Some(Claim { of: self.clone(), id })
    }

    fn held(&self) -> MutexGuard<'_, Held> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        let mut held = self.of.held();
        if let Some((_, many)) = held.get_mut(&self.id) {
            *many -= 1;
            if *many == 0 {
                held.remove(&self.id);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_belongs_to_one_shard_until_its_last_claim_is_gone() {
        let (claims, id) = (Claims::default(), RemediationId::from_uuid(uuid::Uuid::from_u128(7)));
        let first = claims.claim(id, Shard(1));
        let again = claims.claim(id, Shard(1));
        assert!(first.is_some() && again.is_some());
        drop(first);
        assert!(claims.claim(id, Shard(2)).is_none());
        drop(again);
        assert!(claims.claim(id, Shard(2)).is_some());
        assert!(claims.held().is_empty());
    }
}
