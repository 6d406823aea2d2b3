//! Who may drive a shard: the holder of its lease. One that dies is followed by another, and one that gives a shard away
//! ([`crate::share`]) too.

use std::{
    sync::atomic::{AtomicBool, Ordering},
    time::Duration,
};

use instance_bus::{Headers, Lease, Ownership, PublishError, topology};
use instance_chassis::crash_point;
use instance_contract::{Owner, Shard, subject};
use instance_engine::next_epoch;

use crate::{Error, Router, audit, count, drive, notices, share};

/// How long a router that leaves goes on telling what was done.
const LAST_WORDS: Duration = Duration::from_secs(2);

/// How often a router without the shard tries to get it.
const TRY_EVERY: Duration = Duration::from_millis(500);

/// Drive the shard whenever its lease can be had, until drained.
pub(crate) async fn hold(router: &Router, shard: Shard) {
    let mut lease = router.bus.lease(shard, &router.name, &router.process);
    let (mut has_driven, mut failed) = (false, 0);
    while !router.drain.is_requested() {
        if share::is_for_another(router).await {
            router.drain.unless_draining(tokio::time::sleep(TRY_EVERY)).await;
            continue;
        }
        match lease.try_acquire().await {
            Ok(true) => {
                // A large future, made once a takeover: on the heap.
                router.shares.takes(shard);
                let has_failed = Box::pin(drive_while_owned(router, &mut lease)).await.is_err();
                has_driven = true;
                failed = if has_failed { failed + 1 } else { 0 };
                let is_given = router.shares.leaves(shard);
                router.shares.has_failed(shard, has_failed);
                if (is_given || has_failed) && !router.drain.is_requested() {
                    give_back(&mut lease).await;
                    let pause = if is_given { share::HANDS_OFF } else { pause_after(failed) };
                    router.drain.unless_draining(tokio::time::sleep(pause)).await;
                }
            }
            Ok(false) => {}
            Err(error) => tracing::warn!(%error, %shard, "could not try for the shard"),
        }
        let pause = tokio::time::sleep(TRY_EVERY);
        router.drain.unless_draining(pause).await;
    }
    give_back(&mut lease).await;
    if has_driven {
        audit::finish(&router.bus, shard, LAST_WORDS).await;
    }
}

/// Longer from failure to failure, so that a router which can drive the shard gets it: those look twice a second.
fn pause_after(failures: u32) -> Duration {
    share::HANDS_OFF.min(TRY_EVERY * 2_u32.saturating_pow(failures.saturating_sub(1)))
}

async fn give_back(lease: &mut Lease) {
    let shard = lease.shard();
    if let Err(error) = lease.release().await {
        tracing::warn!(%error, %shard, "could not give the shard back; another router takes it in three seconds");
    }
}

/// It drove the shard until that was over, or it could not.
struct CouldNot;

async fn drive_while_owned(router: &Router, lease: &mut Lease) -> Result<(), CouldNot> {
    let shard = lease.shard();
    match take_over(router, shard).await {
        Ok(taken) => {
            let epoch = taken.epoch;
            tracing::info!(%shard, epoch, "took the shard");
            count::taken(shard);
            let (handover, handed) = audit::handover();
            let owned = Owned::new(shard, &taken, handover);
            let driven = tokio::select! {
                driven = drive::drive(router, lease, &taken, &owned) => driven,
                never = audit::keep(&router.bus, shard, handed) => match never {},
                never = notices::keep(router, shard) => match never {},
            };
            count::left(shard);
            match driven {
                Ok(()) => {
                    tracing::info!(%shard, epoch, "left the shard");
                    Ok(())
                }
                Err(error) => {
                    let chain = instance_chassis::error_chain(&error);
                    tracing::warn!(error = chain, %shard, epoch, "lost the shard");
                    if error.is_of_the_shard() { Ok(()) } else { Err(CouldNot) }
                }
            }
        }
        Err(error) => {
            tracing::warn!(error = instance_chassis::error_chain(&error), %shard, "could not take the shard over");
            Err(CouldNot)
        }
    }
}

/// A shard that has just been taken.
pub(crate) struct Taken {
    pub(crate) epoch: u64,
    /// Where our own record stands in the log.
    pub(crate) sequence: u64,
    /// The epoch before; 0 when there was none.
    pub(crate) former: u64,
    ownership: Ownership,
}

/// What whoever writes to a shard's log must have in hand.
pub(crate) struct Owned {
    pub(crate) shard: Shard,
    pub(crate) ownership: Ownership,
    /// What stands in the log is told on.
    pub(crate) audit: audit::Handover,
    followed: AtomicBool,
}

impl Owned {
    fn new(shard: Shard, taken: &Taken, audit: audit::Handover) -> Self {
        Self { shard, ownership: taken.ownership.clone(), audit, followed: AtomicBool::new(false) }
    }

    /// The log says that somebody else has taken the shard.
    pub(crate) fn is_over(&self) {
        self.followed.store(true, Ordering::Relaxed);
    }

    pub(crate) fn is_followed(&self) -> bool {
        self.followed.load(Ordering::Relaxed)
    }
}

/// A new epoch, above every one before: `max(last + 1, Unix milliseconds)`, written down before anything else.
async fn take_over(router: &Router, shard: Shard) -> Result<Taken, Error> {
    let stream = topology::remediations(shard);
    loop {
        let last = router.bus.last_in(&stream, subject::owners(shard).as_str()).await?;
        let last: u64 = match last {
            Some(message) => message.json::<Owner>()?.epoch,
            None => 0,
        };
        let now = router.clock.now();
        let epoch = next_epoch(last, now, &router.policy);
        let owner = Owner {
            schema: Owner::SCHEMA.to_owned(),
            epoch,
            router: router.name.clone(),
            process: router.process.clone(),
            at: now,
        };
        crash_point("router.owner-to-write");
        match router.bus.publish_once_confirmed(&subject::owner(shard, epoch), &owner, Headers::new()).await {
            Ok(written) => {
                crash_point("router.owner-written");
                let ownership = router.bus.ownership(shard, written.sequence).await?;
                return Ok(Taken { epoch, sequence: written.sequence, former: last, ownership });
            }
            // Somebody took it in the same millisecond.
            Err(PublishError::Exists { .. }) => {}
            Err(error) => return Err(error.into()),
        }
    }
}
