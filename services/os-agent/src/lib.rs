//! os-agent: what the operating system gives IRIS. Kernel parameters, now and for the next boot; the CPUs that the
//! processes of an instance may use, and their share of them. Believes only what it reads back.
//!
//! Invariant: only parameters on the catalogue's list are written, and their paths come from that list alone.
//! Invariant: a value that the kernel did not reach does not stay: the former one is set again.
//! Invariant: memory for huge pages is looked for before they are reserved, never after.
//! Invariant: a value that somebody else has set since is never overwritten, by a change or by its undo.
//! Invariant: only the module `host` changes or looks at anything.
//!
//! May be imported by tests only.

mod agent; // Read this first: the seven things that every agent can do.

mod facts;

mod check;
mod conflicts;
mod needs;
mod twin; // Limits in two forms.
mod wanted;

mod apply;
mod undo;

mod affinity;
mod weight;

mod host; // The one door to what is changed.
mod huge_pages;
mod writer;

mod config;
mod error;

pub use crate::agent::{OsAgent, run};
pub use crate::config::Config;
pub use crate::error::HostError;
pub use crate::writer::{serve as write_for_the_service, write_apart};

#[cfg(test)]
mod tests;
