//! What every process can tell of itself: the catalogue of metrics, spans and attributes, and the metrics themselves.
//!
//! Invariant: every metric, span and attribute of ours stands once, in [`catalogue`]; `docs/telemetry.md` is made of it, and
//! tests hold what is exported, the dashboards and the alert rules against it.
//! Invariant: to count costs a look-up in a short list and an atomic addition; nothing here waits, allocates (beyond the
//! first use of a label value) or fails.
//! Invariant: labels are bounded: no id, no subject with an id in it; beyond [`MOST_SERIES`] the rest counts as `_OTHER`.
//! Invariant: no async, no disk, no network, no clock; who exports is told what was counted.
//!
//! May be imported by bus, agent, llm, telemetry, chassis, services, cli and tests. Imports nothing of ours, and nothing else.

pub mod catalogue; // Read this first: everything that is told, in one place.

mod instrument; // Counters, gauges, histograms.
mod series;

mod exemplar; // Which trace a measured value belongs to.
mod mirror; // Who wants to hear each value as it is measured.
mod page; // docs/telemetry.md.
mod text; // What a scrape reads.

pub use crate::catalogue::metrics;
pub use crate::exemplar::{Exemplar, tell_exemplars};
pub use crate::instrument::{Counter, Gauge, Histogram, Instrument, all};
pub use crate::mirror::{Mirror, mirror_to};
pub use crate::page::page;
pub use crate::series::MOST_SERIES;
pub use crate::text::{Format, sample_names, scrape};
