//! The kill switch, looked at once for all shards.

use std::time::Duration;

use instance_bus::Bus;
use instance_chassis::Drain;
use tokio::{sync::watch, time::timeout};

/// The kill switch is in force within a second.
const LOOK_EVERY: Duration = Duration::from_millis(400);
const PATIENCE: Duration = Duration::from_millis(600);

/// Whether all acting is stopped. A switch that cannot be read, or not in time, counts as thrown.
pub(crate) async fn is_thrown(bus: &Bus) -> bool {
    !matches!(timeout(PATIENCE, bus.is_halted()).await, Ok(Ok(false)))
}

/// Looks until drained, and tells every change.
pub(crate) async fn watch(bus: Bus, drain: Drain, tell: watch::Sender<bool>) {
    while drain.unless_draining(tokio::time::sleep(LOOK_EVERY)).await.is_some() {
        let thrown = is_thrown(&bus).await;
        let changed = tell.send_if_modified(|was| std::mem::replace(was, thrown) != thrown);
        if changed {
            tracing::warn!(halted = thrown, "the kill switch has changed");
        }
    }
}
