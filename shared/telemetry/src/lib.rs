//! Logs, traces and metrics of every process: JSON lines on stderr, OTLP when somebody listens.
//!
//! Invariant: every span has a trace id, also when nothing is exported; payloads carry it.
//! Invariant: nothing is sent anywhere unless an endpoint is set, by settings or by the standard environment variables.
//! Invariant: what the exporter does itself is never exported (no feedback loop).
//! Invariant: nothing here knows the contract or the bus; time, environment and names are handed in.
//!
//! May be imported by: chassis, cli. Imports signals and redaction. Services reach what they need of it through the chassis.
//!
//! Invariant: no text leaves by any of these ways without a last look for secrets (`instance_redaction`).
//!
//! Absent on purpose: gRPC to the collector (a collector on the same host or in the same pod does it), and the
//! metrics themselves: they are in `instance_signals`, so that rooms below this one can count.

mod start; // Read this first.

mod settings;

mod destinations;
mod error_chain;
mod json_line;
mod process;
mod propagation;
mod providers;
mod records;
mod resource;
mod safe;
mod safe_spans;
mod tls;
mod told_metrics;

pub use opentelemetry::metrics::Meter;

pub use crate::destinations::Signal;
pub use crate::error_chain::error_chain;
pub use crate::settings::{Endpoint, InvalidSetting, LogFilter, LogFormat, ProcessParent, Settings};
pub use crate::start::{Error, Service, Telemetry, check, scrape, start};
pub use instance_signals::Format;
