//! restart-agent: stops and starts an IRIS instance, and waits until it answers.
//!
//! Invariant: nothing is ever forced or killed, and nothing is started after a stop that failed.
//! Invariant: no exit code is believed; `iris qlist`, the log and the port say what is true.
//! Invariant: a restart is a goal ("running, on a later start than this one"): asked for twice, it is done once.
//! Invariant: only instances of the settings are touched, by the `iris` program of the settings.
//!
//! May be imported by tests only.

mod agent; // Read this first: the seven things that every agent can do.
mod restart;
mod undo;

mod permit;
mod start;
mod stop;

mod observe;

mod config;
mod error;

pub use crate::agent::{RestartAgent, run};
pub use crate::config::Config;

#[cfg(test)]
mod tests;
