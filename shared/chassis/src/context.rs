//! What a service's `run` receives.

use std::sync::Arc;
use std::time::Duration;

use instance_bus::{Bus, BusError, Topology};
use instance_clock::Clock;
use instance_contract::{Carriers, HostName};
use tokio_util::task::TaskTracker;
use uuid::Uuid;

use crate::drain::Drain;
use crate::readiness::Readiness;

/// Between two looks for the streams.
const LOOK_AGAIN: Duration = Duration::from_secs(1);

/// Everything a running service is given. All fields are public: a test builds its own.
#[derive(Clone)]
pub struct Context<C> {
    /// The service's own settings.
    pub config: C,
    /// The connection; it reconnects by itself.
    pub bus: Bus,
    pub clock: Arc<dyn Clock>,
    /// Asks whether to go on.
    pub drain: Drain,
    /// Tells whether the process can do its work, as `/readyz` does.
    pub readiness: Readiness,
    /// Where work is spawned. When `run` has returned, the chassis closes it and waits for everything on it.
    pub tasks: TaskTracker,
    /// The service's name, as in `config-agent`.
    pub name: &'static str,
    /// Drawn at this start; tells this run from the one before it.
    pub process_id: Uuid,
    /// The machine this process works for: the setting `host`, else the machine's own name.
    pub host: HostName,
    /// What carries Instance itself, and is never acted on.
    pub carriers: Carriers,
    /// Change nothing, whatever is asked for: the setting `dry_run`, or `--dry-run`.
    pub dry_run: bool,
}

impl<C> Context<C> {
    /// How the streams are laid out. They may be made after this process has started, so it waits for them, and for a bus
    /// that is away; `None` when the drain came first. An error is one that waiting does not cure.
    pub async fn topology(&self) -> Result<Option<Topology>, BusError> {
        loop {
            match self.bus.topology().await {
                Ok(topology) => return Ok(Some(topology)),
                Err(BusError::TopologyMissing { thing }) => {
                    tracing::warn!(missing = thing, "waiting for the streams: run `instance bus init`");
                }
                Err(error) if error.is_unreachable() => tracing::warn!(%error, "waiting for the bus"),
                Err(error) => return Err(error),
            }
            if self.drain.unless_draining(tokio::time::sleep(LOOK_AGAIN)).await.is_none() {
                return Ok(None);
            }
        }
    }
}
