//! The pure core of the router: state and event to state and actions.
//!
//! Read it from the top. A [`Remediation`] is the fold of its own records in the remediation log: nothing else is
//! state. [`decide`] looks at the fold and the time and says what happens next. A [`Core`] holds the open
//! remediations of one shard, gives each instance to one of them at a time, and turns [`Event`]s into [`Effect`]s.
//! The router's shell performs the effects and feeds back what came of them; the simulation and `instance replay`
//! drive the same code.
//!
//! Invariant: no async, no clock, no bus, no randomness. Times and answers come in as events.
//! Invariant: the same events give the same effects, byte for byte.
//! Invariant: the state changes only by records that stand in the log, never by the wish to write one.
//!
//! May be imported by router, story, cli (replay) and tests.

mod core; // Events in, effects out.
mod decide; // What happens next with one remediation.
mod force; // A person is asked again before an instance is killed.
mod remediation; // The fold.
mod step_state;

mod intake;
mod replay;
mod retry;
mod self_guard;
mod trace;
mod unwind;

pub mod audit; // What the audit trail tells of the log.

pub use crate::core::{Core, RESTARTS_KEPT, is_restart};
pub use decide::{Decision, Situation, decide};
pub use intake::{Arrival, Earlier, FactsAnswer};
pub use remediation::{Answer, Illegible, Phase, Record, Remediation};
pub use replay::{Again, Logged, Replayed, replay};
pub use step_state::StepState;

mod epoch; // Which number a new owner has.
mod event;
pub use epoch::next_epoch;
pub use event::{Effect, Event};
