//! A stand-in InterSystems IRIS instance: what an operator's tools see of it is as with the real one.
//!
//! Invariant: faults are caused, not printed. A message follows from the state of the world (CPF, host, processes,
//! load); when the cause is gone, so is the message.
//! Invariant: [`world`] is pure; [`shell`] reads and writes everything else.
//! Invariant: the processes of an instance are real, and none outlives it.
//!
//! Imports: clock, iris, knowledge. Imported by tests only; agents use `iris`, files and ports, and cannot tell it
//! from a real instance by those.

pub mod command;
pub mod create;
pub mod shell;
pub mod tool;
pub mod world; // Read this first: what an instance is.
