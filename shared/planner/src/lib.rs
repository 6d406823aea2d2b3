//! Command, facts and policy to a plan: a pure function.
//!
//! Invariant: same input, same plan. No async, no clock, no bus, no files.
//! Invariant: a plan leaves nothing to decide; an action that is not in it does not happen.
//! Invariant: the last step of every plan that changes something is `verify`.
//!
//! May be imported by engine, diagnosis, router, analyst, cli and tests.

mod plan; // Read this first.

mod fold; // One restart serves all changes.
mod live; // What a running instance takes up at once.
mod order; // Dependencies first.
mod permit; // What policy says to a command as a whole.
mod policy;
mod sized; // What follows from a CPF that the same plan changes.
mod verification;

pub use permit::{forbidden, refused_at_sight, still_allowed, too_soon};
pub use plan::{Question, Rejection, plan, questions};
pub use policy::{ActionWord, Asker, Day, Policy, PolicyError, TimeOfDay, UtcOffset, Window};
