//! The loop, the trait and the fsynced ledger that the three agents share.

mod agent; // Read this first: what an agent fills in.

pub mod evidence;
pub mod fence;
pub mod host;
pub mod ledger;

#[cfg(test)]
mod sample;

pub use agent::{Agent, Applied, Prepared, Probe, Work};
