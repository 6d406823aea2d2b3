//! Publishes IRIS messages: tails a live messages.log, replays a file, or invents trouble from templates.
//!
//! Invariant: each entry of a tailed log is published exactly once, over rotation, restart, `kill -9` and a lost bus. Its
//! message id follows from host, instance, file identity and byte offset; the cursor moves only after the stream has
//! taken the message; what is stored on the bus is asked at every start.
//! Invariant: a process dump is never forwarded: it prints shared memory, the license key included.
//! Invariant: a consumer outside is sent each stored message, in order after it was away, until it has taken it; what it
//! alone does not take is a dead letter with the reason.
//! Invariant: nothing here writes to an IRIS instance or its log.
//!
//! May be imported by tests only. Imports bus, chassis, clock, contract, improvise, invent, iris, knowledge,
//! llm, signals and transport.
//!
//! Absent on purpose: reading over the network, watching the folder by
//! notification (a look every 200 ms costs one `stat` and works on every file system).

mod config;
mod run; // Read this first: which of the modes this process is in.

mod deliver;
mod emit;
mod replay;
mod requests;
pub mod tail;

mod cursor;
mod window;
mod zone;

mod error;

pub use crate::config::{Config, ConsumerSettings, InstanceSettings, Invention, StartAt};
pub use crate::cursor::{CONTINUES, END, ENTRY, FILE, OFFSET};
pub use crate::error::RunError;
pub use crate::run::run;
