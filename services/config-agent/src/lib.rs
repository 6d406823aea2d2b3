//! config-agent: changes values and list entries of `iris.cpf`, so that nothing but what is named changes.
//!
//! Invariant: the live file is at every moment either the old or the new one, whole, with its owner, mode and
//! attributes. Whatever fails before the rename leaves it untouched.
//! Invariant: the bytes of the old file are durable before it is replaced, and from then on have a name; no backup is
//! ever overwritten.
//! Invariant: a change that somebody else made is never overwritten, neither by a change nor by an undo.
//! Invariant: no path ever comes from a message; an instance's files are in the settings.
//!
//! May be imported by tests only.

mod agent; // Read this first: the seven things that every agent can do.
mod apply;
mod merge;
mod undo;
mod wanted;

mod conflict;
mod edit; // The file as it will be; pure.
mod felt;
mod lists;
mod memory;
mod permit;
mod standing; // A merge file that would overwrite the change.

mod host; // What this agent needs of a machine; the rest is how this very one gives it.

mod exchange;
mod replace; // A file gets another text: one way for most file systems of IRIS, another for the rest.

mod backup;
mod draft;
mod folder;
mod syncer;

mod license;
mod places;

mod config;
mod error;

pub use crate::agent::{ConfigAgent, run};
pub use crate::config::Config;

#[cfg(test)]
mod tests;
