//! The loop, the trait and the fsynced ledger that the three agents share.
//!
//! Invariant: an effect begins only after its intent is durable in the ledger, and is answered for only after its
//! outcome is; a repetition is answered from the ledger and never acts again.
//! Invariant: nobody acts on an instance without holding its fence, with a token lower than the highest seen, after
//! the step's `not_after`, or while all acting is halted (or it cannot be told), and never on what carries Instance.
//! Invariant: a delivery is settled only when its result is stored on the bus.
//! Invariant: nothing here knows what any one action does.
//!
//! May be imported by the three agents and tests. Imports contract, clock, bus, chassis, and for [`evidence`] iris and
//! knowledge.

mod agent; // Read this first: what an agent fills in.
mod run; // Then: what the loop does with it.

mod answer;
mod crew; // The threads that steps run on.
mod delivery;
mod last_failure;
mod rows;
mod running;
mod self_guard;
pub mod settings;

mod decide; // What to do with a step command.
mod outcome;
mod steps;

pub mod fence;
pub mod ledger;

pub mod evidence;
pub mod host;

#[cfg(feature = "sabotage")]
mod sabotage;

#[cfg(test)]
mod counting_agent;
#[cfg(test)]
mod held_effect;
#[cfg(test)]
mod loop_fixture;
#[cfg(test)]
mod loop_gate_tests;
#[cfg(test)]
mod loop_tests;
#[cfg(test)]
mod sample;

pub use agent::{Agent, Applied, HostPart, Prepared, Probe, Work};
pub use answer::FactsQuestion;
pub use rows::{KnowledgeError, use_knowledge};
pub use run::{AgentError, run};
pub use self_guard::SelfGuard;
pub use settings::{AgentSettings, InstanceSettings};
pub use steps::{Steps, Surroundings};
