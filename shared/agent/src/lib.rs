//! The loop, the trait and the fsynced ledger that the three agents share.

mod agent; // Read this first: what an agent fills in.

mod decide; // What to do with a step command.
mod outcome;
mod steps;

pub mod evidence;
pub mod fence;
pub mod host;
pub mod ledger;

#[cfg(feature = "sabotage")]
mod sabotage;

#[cfg(test)]
mod counting_agent;
#[cfg(test)]
mod sample;

pub use agent::{Agent, Applied, Prepared, Probe, Work};
