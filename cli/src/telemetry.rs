//! Log lines for `-v`, and spans for whoever listens: nothing of it without being asked for.

use std::{env, fs, time::Duration};

use anyhow::{Context as _, Result};
use instance_telemetry::{LogFilter, LogFormat, Service, Settings, Telemetry};
use uuid::Uuid;

use crate::session::Session;

/// An operator does not wait longer for a collector that is away.
const FLUSH: Duration = Duration::from_secs(2);

/// Starts it when somebody listens: an OTLP endpoint in the environment, or the operator with `-v`.
pub fn start(session: &Session) -> Result<Option<Telemetry>> {
    let lookup = |name: &str| env::var(name).ok();
    let exported = ["OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"];
    let listens = exported.iter().any(|name| lookup(name).is_some_and(|value| !value.is_empty()));
    let filter = match session.global.verbose {
        0 if !listens => return Ok(None),
        0 => "error",
        1 => "warn,instance=info,instance_bus=info",
        2 => "info,instance=debug,instance_bus=debug",
        _ => "debug",
    };
    let settings = Settings {
        log_filter: LogFilter::try_from(filter.to_owned()).context("the filter above is legal")?,
        log_format: LogFormat::Text,
        otlp_endpoint: None,
        ..Settings::default()
    };
    let host = fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    let host = if host.trim().is_empty() { "unknown" } else { host.trim() };
    let service = Service {
        role: "cli",
        version: env!("CARGO_PKG_VERSION"),
        host,
        process_id: Uuid::new_v4(),
        profile: None,
    };
    Ok(Some(instance_telemetry::start(&service, &settings, &lookup).context("could not start telemetry")?))
}

/// Sends the last spans. A collector that is away spoils no command.
pub fn finish(telemetry: Option<Telemetry>, session: &Session) {
    if let Some(Err(error)) = telemetry.map(|telemetry| telemetry.shutdown(FLUSH)) {
        session.note(format_args!("instance: {}", crate::exit::chain(&error)));
    }
}
