//! os-agent: sets one kernel parameter at a time, now and for the next boot, and believes only what it reads back.
//!
//! Invariant: only parameters on the catalogue's list are written, and their paths come from that list alone.
//! Invariant: a value that the kernel did not reach does not stay: the former one is set again.
//! Invariant: memory for huge pages is looked for before they are reserved, never after.
//! Invariant: a value that somebody else has set since is never overwritten by an undo.
//!
//! May be imported by tests only.

mod agent; // Read this first: the seven things that every agent can do.
mod apply;
mod check;
mod undo;

mod drop_in;
mod huge_pages;
mod kernel;

mod config;
mod error;

pub use crate::agent::{OsAgent, run};
pub use crate::config::Config;

#[cfg(test)]
mod tests;
