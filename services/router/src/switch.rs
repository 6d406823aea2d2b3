//! The kill switch, looked at once for all shards.

use std::time::Duration;

use instance_bus::Bus;
use instance_chassis::Drain;
use instance_signals::metrics::HALTED;
use tokio::{
    sync::watch,
    time::{Instant, timeout},
};

/// The kill switch is in force within a second.
const LOOK_EVERY: Duration = Duration::from_millis(400);
const PATIENCE: Duration = Duration::from_millis(600);
/// A server that was killed or a new leader is there before this. Until then no agent acts either: each reads the switch
/// itself before an effect.
const UNREADABLE_FOR: Duration = Duration::from_secs(20);

/// Whether all acting is stopped. A switch that cannot be read, or not in time, counts as thrown.
pub(crate) async fn is_thrown(bus: &Bus) -> bool {
    look(bus).await.unwrap_or(true)
}

/// Looks until drained, and tells every change. What runs is not given up because the server is away for a moment.
pub(crate) async fn watch(bus: Bus, drain: Drain, tell: watch::Sender<bool>) {
    let mut read_at = Instant::now();
    while drain.unless_draining(tokio::time::sleep(LOOK_EVERY)).await.is_some() {
        let thrown = match look(&bus).await {
            Some(thrown) => {
                read_at = Instant::now();
                thrown
            }
            None => *tell.borrow() || read_at.elapsed() >= UNREADABLE_FOR,
        };
        let changed = tell.send_if_modified(|was| std::mem::replace(was, thrown) != thrown);
        HALTED.set(i64::from(thrown), &[]);
        if changed {
            tracing::warn!(halted = thrown, "the kill switch has changed");
        }
    }
}

/// `None` while the server is away or does not answer in time.
async fn look(bus: &Bus) -> Option<bool> {
    match timeout(PATIENCE, bus.is_halted()).await {
        Ok(Ok(halted)) => Some(halted),
        Ok(Err(error)) if !error.is_unreachable() => Some(true),
        _ => None,
    }
}
