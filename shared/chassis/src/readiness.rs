//! Whether this process can do its work now.

use std::fmt::Write as _;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use instance_bus::Bus;
use instance_signals::metrics::READY;
use tokio::sync::Mutex;
use tokio::time::{Instant, timeout};

use crate::drain::Drain;

/// However often somebody asks, the server is asked once in this time.
const LOOK_AGAIN: Duration = Duration::from_secs(5);
/// A probe does not wait longer.
const PATIENCE: Duration = Duration::from_secs(2);

/// What is looked at. Clones look at the same.
#[derive(Clone)]
pub struct Readiness {
    drain: Drain,
    /// Once there is a connection.
    bus: Arc<OnceLock<Bus>>,
    streams: Arc<Mutex<Option<(Instant, Found)>>>,
}

/// What is well, or what is not.
type Found = Result<String, String>;

/// What a look gave: each thing, and what is wrong with it.
pub(crate) struct Report(Vec<(&'static str, Found)>);

impl Readiness {
    /// Of a process that is connected. The chassis hands out its own ([`crate::Context`]); a test makes one.
    pub fn of(drain: &Drain, bus: &Bus) -> Self {
        let readiness = Self::new(drain.clone());
        readiness.connected(bus);
        readiness
    }

    /// The answer to `/readyz` with this query: whether the process can do its work now (200, else 503), and the page, which
    /// tells all that was looked at when it is asked for with `verbose`.
    pub async fn answer(&self, query: &str) -> (bool, String) {
        let verbose = query.split('&').any(|word| word == "verbose" || word.starts_with("verbose="));
        let report = self.look().await;
        (report.is_ready(), if verbose { report.in_full() } else { report.in_short() })
    }

    pub(crate) fn new(drain: Drain) -> Self {
        Self { drain, bus: Arc::default(), streams: Arc::default() }
    }

    pub(crate) fn connected(&self, bus: &Bus) {
        // A process has one connection; it heals itself.
        let _ = self.bus.set(bus.clone());
    }

    /// How far the process is, without asking the server: `ready`, or what is in the way.
    pub(crate) fn word(&self) -> &'static str {
        match self.bus.get() {
            _ if self.drain.is_requested() => "draining",
            None => "waiting_for_bus",
            Some(bus) if bus.is_connected() => "ready",
            Some(_) => "bus_lost",
        }
    }

    pub(crate) async fn look(&self) -> Report {
        let drain = if self.drain.is_requested() {
            Err("nothing new is taken".to_owned())
        } else {
            Ok("takes work".to_owned())
        };
        let bus = match self.bus.get() {
            None => Err("not connected yet".to_owned()),
            Some(bus) if bus.is_connected() => Ok(format!("connected to {}", bus.servers())),
            Some(bus) => Err(format!("{} does not answer", bus.servers())),
        };
        let streams = match self.bus.get() {
            Some(connected) if bus.is_ok() => self.streams(connected).await,
            _ => Err("not known without a connection".to_owned()),
        };
        let report = Report(vec![("drain", drain), ("bus", bus), ("streams", streams)]);
        for (check, found) in &report.0 {
            READY.set(i64::from(found.is_ok()), &[check]);
        }
        report
    }

    async fn streams(&self, bus: &Bus) -> Found {
        let mut kept = self.streams.lock().await;
        if let Some((at, found)) = kept.as_ref()
            && at.elapsed() < LOOK_AGAIN
        {
            return found.clone();
        }
        let found = match timeout(PATIENCE, bus.topology()).await {
            Ok(Ok(topology)) => Ok(format!("{} shards", topology.shards().len())),
            Ok(Err(error)) => Err(instance_telemetry::error_chain(&error)),
            Err(_) => Err("no answer in time".to_owned()),
        };
        *kept = Some((Instant::now(), found.clone()));
        found
    }
}

impl Report {
    pub fn is_ready(&self) -> bool {
        self.0.iter().all(|(_, found)| found.is_ok())
    }

    pub fn in_short(&self) -> String {
        if self.is_ready() { "ok\n".to_owned() } else { "not ready\n".to_owned() }
    }

    /// A line for each thing, as Kubernetes writes them, and the sum.
    pub fn in_full(&self) -> String {
        let mut page = String::new();
        for (check, found) in &self.0 {
            let written = match found {
                Ok(detail) => writeln!(page, "[+]{check} ok: {detail}"),
                Err(why) => writeln!(page, "[-]{check} failed: {}", instance_redaction::redact(why)),
            };
            written.expect("writing to a String does not fail");
        }
        page + &self.in_short()
    }
}
