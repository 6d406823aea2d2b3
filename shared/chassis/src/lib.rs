//! Settings, telemetry, bus, run, drain: once for everybody, so that every process starts, reports and dies alike.
//!
//! Invariant: nothing is started before every setting was read; all faults are printed at once, and the exit is 78.
//! Invariant: every value knows where it came from, and no secret is printed.
//! Invariant: the first signal drains (nothing new is taken, what was taken is finished), the second one or the end
//! of the grace period stops now; the process always returns from `main`.
//! Invariant: nothing here knows any one service by name.
//!
//! May be imported by agent and services. Imports contract, clock, bus, telemetry, signals and redaction.
//!
//! A service's `main` names it and nothing else:
//!
//! ```no_run
//! # #[derive(serde::Deserialize)]
//! # #[serde(deny_unknown_fields, default)]
//! # #[derive(Default)]
//! # struct Config {}
//! # async fn run(context: instance_chassis::Context<Config>) -> Result<(), std::io::Error> {
//! #     context.drain.requested().await;
//! #     Ok(())
//! # }
//! fn main() -> std::process::ExitCode {
//!     instance_chassis::Service::named("config-agent")
//!         .describe("changes the CPF of an IRIS instance")
//!         .config::<Config>()
//!         .run(run)
//! }
//! ```
//!
//! Absent on purpose: reloading settings while running (restart the process: its state is on the bus or in its
//! ledger), a user's own settings file, and any way out of the process other than returning.

/// A plan is thousands of small allocations in router and agent; with glibc's allocator they were a sixth of its CPU,
/// and this one needs less memory than others as quick (`docs/speed.md`).
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

mod service; // Read this first: what `main` says.

mod context; // What a service's `run` receives.
mod drain;

mod arguments;
mod crash;
mod endpoint; // /livez, /readyz, /metrics.
mod exit;
mod health;
mod host;
mod lifecycle;
mod mutant;
mod named_file;
mod notify;
mod readiness;
mod settings;
mod texts;

pub use instance_telemetry::error_chain;
pub use tokio_util::task::TaskTracker;

pub use crate::context::Context;
pub use crate::crash::crash_point;
pub use crate::drain::Drain;
#[cfg(feature = "mutants")]
pub use crate::mutant::chosen_mutant;
pub use crate::mutant::mutant;
pub use crate::named_file::{UnreadableFile, named_file, text_of};
pub use crate::readiness::Readiness;
pub use crate::service::{Configured, Service};
pub use crate::settings::{Fault, Faults, check_file};
pub use crate::texts::texts_in;
