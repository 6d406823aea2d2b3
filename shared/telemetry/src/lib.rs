//! Logs, traces and metrics of every process: JSON lines on stderr, OTLP when somebody listens.
//!
//! Invariant: every span has a trace id, also when nothing is exported; payloads carry it.
//! Invariant: nothing is sent anywhere unless an endpoint is set, by settings or by the standard environment variables.
//! Invariant: what the exporter does itself is never exported (no feedback loop).
//! Invariant: nothing here knows the contract or the bus; time, environment and names are handed in.
//!
//! May be imported by: chassis, cli. Services reach what they need of it through the chassis.
//!
//! Absent on purpose: gRPC and TLS to the collector (a collector on the same host or in the same pod does both),
//! a health endpoint (the bus answers for that), and any metric of ours beyond a [`Meter`].

mod start; // Read this first.

mod settings;

mod destinations;
mod error_chain;
mod json_line;
mod providers;
mod resource;

pub use opentelemetry::metrics::Meter;

pub use crate::destinations::Signal;
pub use crate::error_chain::error_chain;
pub use crate::settings::{Endpoint, InvalidSetting, LogFilter, LogFormat, Settings};
pub use crate::start::{Error, Service, Telemetry, check, start};
