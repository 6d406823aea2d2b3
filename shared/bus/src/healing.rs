//! When to try again, and when to say that it does not work.

use std::time::Duration;

use tokio::time::Instant;

use crate::{BusError, api::RETRY_PAUSE, connect::UNAVAILABLE_FOR, reader::HEARTBEAT};

/// A pull that is not answered is given up after two heartbeats; one that lasted longer has worked.
const LASTED: Duration = Duration::from_secs(HEARTBEAT.as_secs() * 2 + 2);

/// State of something that is opened again whenever it breaks. Kept beside it, so that a cancelled wait loses nothing.
#[derive(Debug, Default)]
pub(crate) struct Healing {
    opened_at: Option<Instant>,
    failing_since: Option<Instant>,
    retry_at: Option<Instant>,
}

impl Healing {
    /// Waits as long as the last failure asks for.
    pub(crate) async fn pause(&mut self) {
        if let Some(at) = self.retry_at {
            tokio::time::sleep_until(at).await;
            self.retry_at = None;
        }
    }

    pub(crate) fn opened(&mut self) {
        self.opened_at = Some(Instant::now());
    }

    pub(crate) fn worked(&mut self) {
        self.failing_since = None;
    }

    /// Gives the error back when it must be told: nothing has worked for 16 s, or waiting cannot help.
    pub(crate) fn failed(&mut self, what: &str, error: BusError) -> Option<BusError> {
        tracing::debug!(
            what,
            error = &error as &(dyn std::error::Error + 'static),
            "reading broke off; opening it again"
        );
        if self.opened_at.take().is_some_and(|at| at.elapsed() >= LASTED) {
            self.failing_since = None;
        }
        self.retry_at = Some(Instant::now() + RETRY_PAUSE);
        let since = *self.failing_since.get_or_insert_with(Instant::now);
        let hopeless = matches!(error, BusError::TopologyMissing { .. } | BusError::TopologyMismatch { .. });
        if hopeless || since.elapsed() >= UNAVAILABLE_FOR {
            self.failing_since = None;
            return Some(error);
        }
        None
    }
}
