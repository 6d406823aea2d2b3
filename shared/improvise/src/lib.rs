//! Invents entries of a log in a model's words; templates are the last resort, so that there is always an entry.
//!
//! Invariant: stamp, process id, severity and category are those that templates drew: a model writes the text alone.
//! Invariant: a model's text reads back as one entry with just that text, and means the kind of trouble that was asked for;
//! any other is tried again and then replaced.
//! Invariant: one entry costs at most [`TOKENS`] tokens and [`USD`] dollars, all tries together.
//!
//! May be imported by generator, cli and tests. Imports contract, invent, iris and llm.
//!
//! Absent on purpose: a bus, a clock; texts of the instance itself (examples come from catalogue and templates).

mod improvise; // Read this first: entries in, the same entries with other texts out.

mod examples;
mod wording;

pub use crate::improvise::{Improvised, Source, TOKENS, USD, improvise, within};
pub use crate::wording::Wording;
