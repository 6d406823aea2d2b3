//! The commands that need no bus, run as an operator runs them.

#![expect(clippy::unwrap_used, reason = "helpers of tests fail a test by panicking, as tests do")]

mod chaos;
mod classify;
mod conventions;
mod cpf;
mod generate;
mod log;
mod model;
mod no_bus;
mod run;
mod schema;
mod validate;
