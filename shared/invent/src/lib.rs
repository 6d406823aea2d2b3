//! Invents the messages of an IRIS instance from templates, and says what a message means.
//!
//! Invariant: inventing is a pure function of request, templates, seed and start: the same four give the same bytes.
//! Invariant: times rise, and a process id belongs to one session.
//! Invariant: each invented line reads back as the values it was made of, and means its own kind of trouble.
//!
//! May be imported by improvise, the generator, the CLI and tests. Imports contract, iris and knowledge.
//!
//! Absent on purpose: async, disk, network, clocks, and a language model (templates answer always).

mod inventor; // Read this first: a request and a seed in, lines out.

mod candidates;
mod dice;
mod line;
mod message;
mod messages;
mod seed;
mod template;

pub use crate::inventor::{Drawn, Invented, Inventor, Pace, invent};
pub use crate::message::{Label, Meaning, Said, Speaker, compose, error_type, severity};
pub use crate::messages::messages;
pub use crate::seed::{draw_seed, moment_of, start_of};
pub use crate::template::{Template, TemplateError, Templates};

#[cfg(test)]
mod tests;
