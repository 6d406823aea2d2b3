//! Shards are shared by number: a router that has fewer than another says so, and the other gives one away. What was open
//! there goes on with its new owner, as after any takeover.

use std::{
    collections::{BTreeMap, HashMap},
    sync::atomic::{AtomicBool, Ordering},
    time::{Duration, Instant},
};

use futures::future::try_join_all;
use instance_bus::{BusError, ShardWish};
use instance_contract::Shard;
use tokio::sync::Notify;

use crate::Router;

/// How often a router looks who holds what.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// A router that has just started asks nobody: what is free, and what is its own, it takes within this. Nor does it give:
/// wishes from before its start are gone by then.
const SETTLED_AFTER: Duration = Duration::from_secs(4);
/// Whoever gives a shard away does not try for it for so long: a lease that could not be given back has run out by then.
/// The others try twice a second.
pub(crate) const HANDS_OFF: Duration = Duration::from_secs(4);

/// What this router holds, and what it is to give away.
pub(crate) struct Shares(BTreeMap<Shard, Share>);

#[derive(Default)]
struct Share {
    is_held: AtomicBool,
    is_asked_for: AtomicBool,
    /// This router had it last and could not drive it.
    has_failed: AtomicBool,
    told: Notify,
}

impl Shares {
    pub(crate) fn of(shards: &[Shard]) -> Self {
        Self(shards.iter().map(|shard| (*shard, Share::default())).collect())
    }

    pub(crate) fn takes(&self, shard: Shard) {
        if let Some(share) = self.0.get(&shard) {
            share.is_asked_for.store(false, Ordering::Relaxed);
            share.is_held.store(true, Ordering::Relaxed);
        }
    }

    /// The driver of a shard has ended. Was it to be given away?
    pub(crate) fn leaves(&self, shard: Shard) -> bool {
        self.0.get(&shard).is_some_and(|share| {
            share.is_held.store(false, Ordering::Relaxed);
            share.is_asked_for.swap(false, Ordering::Relaxed)
        })
    }

    /// Could the driver that has ended not do its work?
    pub(crate) fn has_failed(&self, shard: Shard, yes: bool) {
        if let Some(share) = self.0.get(&shard) {
            share.has_failed.store(yes, Ordering::Relaxed);
        }
    }

    fn any_has_failed(&self) -> bool {
        self.0.values().any(|share| share.has_failed.load(Ordering::Relaxed))
    }

    /// Waits until a shard is to be given away.
    pub(crate) async fn asked_for(&self, shard: Shard) {
        let Some(own) = self.0.get(&shard) else { return std::future::pending().await };
        while !own.is_asked_for.load(Ordering::Relaxed) {
            own.told.notified().await;
        }
    }

    /// Those that are held, and not on their way to somebody else.
    fn kept(&self) -> impl Iterator<Item = (Shard, &Share)> {
        let is_kept = |share: &Share| {
            share.is_held.load(Ordering::Relaxed) && !share.is_asked_for.load(Ordering::Relaxed)
        };
        self.0.iter().filter(move |(_, share)| is_kept(share)).map(|(shard, share)| (*shard, share))
    }

    /// How many are on their way to somebody else, and still ours.
    fn leaving(&self) -> usize {
        let is_leaving = |share: &&Share| {
            share.is_held.load(Ordering::Relaxed) && share.is_asked_for.load(Ordering::Relaxed)
        };
        self.0.values().filter(is_leaving).count()
    }

    fn give_one(&self) -> Option<Shard> {
        let (shard, own) = self.kept().last()?;
        own.is_asked_for.store(true, Ordering::Relaxed);
        own.told.notify_one();
        Some(shard)
    }
}

/// Gives and asks until drained.
pub(crate) async fn keep(router: &Router) {
    let began = Instant::now();
    let mut heard = 0;
    loop {
        let pause = tokio::time::sleep(LOOK_EVERY);
        if router.drain.unless_draining(pause).await.is_none() {
            return;
        }
        if began.elapsed() < SETTLED_AFTER {
            continue;
        }
        let looked = async {
            give(router, &mut heard).await?;
            wish(router).await
        };
        if let Err(error) = looked.await {
            tracing::debug!(%error, "could not look who holds which shard");
        }
    }
}

/// Is what is free now meant for another router? Who wished for it holds fewer than this one; and one that changes nothing
/// takes only what nobody wishes for.
pub(crate) async fn is_for_another(router: &Router) -> bool {
    let holds = router.shares.kept().count();
    // Nobody holds fewer than none: a start takes what is free without asking.
    if holds == 0 && !router.dry_run {
        return false;
    }
    let Ok(Some((_, wish))) = router.bus.shard_wish().await else { return false };
    wish.router != router.name && (router.dry_run || holds > wish.holds)
}

/// One shard for each wish, so that two who give at the same time do not give too much.
async fn give(router: &Router, heard: &mut u64) -> Result<(), BusError> {
    let holds = router.shares.kept().count();
    if holds < 2 {
        return Ok(());
    }
    let Some((revision, wish)) = router.bus.shard_wish().await? else { return Ok(()) };
    if std::mem::replace(heard, revision) != revision
        && wish.router != router.name
        // Who wishes does not see yet what is on its way.
        && wish.is_fair_to(holds.saturating_sub(router.shares.leaving()))
        && let Some(shard) = router.shares.give_one()
    {
        tracing::info!(%shard, to = wish.router, "gives a shard to a router that has fewer");
    }
    Ok(())
}

async fn wish(router: &Router) -> Result<(), BusError> {
    // One that changes nothing would end what it gets as halted.
    if router.dry_run || router.shares.kept().count() == router.shards.len() {
        return Ok(());
    }
    // It would be given what it cannot drive, by one that can.
    if router.shares.any_has_failed() {
        return Ok(());
    }
    let holders = try_join_all(router.shards.iter().map(|shard| router.bus.lease_holder(*shard))).await?;
    let mut by_router: HashMap<&str, usize> = HashMap::new();
    for holder in holders.iter().flatten() {
        *by_router.entry(&holder.router).or_default() += 1;
    }
    let free = holders.iter().filter(|holder| holder.is_none()).count();
    let holds = by_router.remove(router.name.as_str()).unwrap_or_default();
    let wish = ShardWish { router: router.name.clone(), holds, free };
    if by_router.into_values().any(|others| wish.is_fair_to(others)) {
        router.bus.wish_for_shard(&wish).await?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shards(many: u16) -> Vec<Shard> {
        (0..many).map(Shard).collect()
    }

    #[test]
    fn only_what_is_held_is_given_and_only_once() {
        let shards = shards(4);
        let own = Shares::of(&shards);
        assert_eq!(own.give_one(), None);
        own.takes(shards[0]);
        own.takes(shards[1]);
        assert_eq!(
            (own.give_one(), own.give_one(), own.give_one()),
            (Some(shards[1]), Some(shards[0]), None)
        );
        assert_eq!(own.leaving(), 2);
        assert!(own.leaves(shards[1]));
        assert_eq!(own.leaving(), 1);
        own.takes(shards[1]);
        assert!(!own.leaves(shards[1]), "a wish from before it was taken again says nothing");
    }

    #[test]
    fn who_gives_keeps_as_many_as_who_gets() {
        let wish = |holds, free| ShardWish { router: "b".to_owned(), holds, free };
        let cases = [(4, 0, 0, true), (4, 0, 1, true), (2, 0, 0, true), (3, 1, 0, true)];
        let kept = [(1, 0, 0, false), (2, 1, 0, false), (3, 1, 1, false), (2, 2, 0, false)];
        for (own, holds, free, gives) in cases.into_iter().chain(kept) {
            assert_eq!(wish(holds, free).is_fair_to(own), gives, "{own} to {holds}, {free} free");
        }
    }
}
