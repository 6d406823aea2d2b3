//! The commands that need no bus, run as an operator runs them.

mod conventions;
mod cpf;
mod log;
mod run;
mod schema;
mod validate;
