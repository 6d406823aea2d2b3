//! What a service's `run` receives.

use std::sync::Arc;

use instance_bus::Bus;
use instance_clock::Clock;
use instance_contract::{Carriers, HostName};
use tokio_util::task::TaskTracker;
use uuid::Uuid;

use crate::drain::Drain;

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
