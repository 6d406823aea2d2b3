//! restart-agent: stops and starts an IRIS instance, and waits until it answers.
//!
//! Invariant: nothing is started after a stop that failed, and nothing is forced down but where the command, policy, a
//! person and the settings all let it.
//! Invariant: users and open transactions are looked for before every stop, through doors that the real product has.
//! Invariant: no exit code is believed; `iris qlist`, processes, the log and the port's owner say what is true.
//! Invariant: only the module `host` touches anything outside of `state_dir`; `apart` is its way out of a sandbox.
//! Invariant: a restart is a goal ("running, on a later start than this one"): asked for twice, it is done once.
//! Invariant: only instances of the settings are touched, by the `iris` program of the settings.
//!
//! May be imported by tests only.

mod agent; // Read this first: the seven things that every agent can do.
mod restart;
mod undo;

mod permit;
mod spacing;

mod drain; // The parts of a restart, in order.
mod start;
mod stop;

mod figures;
mod waits;

mod apart;
mod databases;
mod host; // The one door to the instance.
mod kept;
mod observe;
mod users;

mod config;
mod error;

pub use crate::agent::{RestartAgent, run};
pub use crate::apart::{ask as run_iris_apart, serve as run_iris_for_the_service};
pub use crate::config::Config;

#[cfg(test)]
mod tests;
