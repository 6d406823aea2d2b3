//! IRIS file formats: text in, values out, text back, byte for byte.
//!
//! Invariant: whatever bytes go in come out again unchanged, unless an edit was asked for; nothing here fails on
//! bytes that IRIS, an editor or a broken disk left behind.
//! Invariant: nothing here touches the disk, the network or a clock, and nothing knows where a file lies.
//!
//! May be imported by knowledge, invent, improvise, agent, generator, router, analyst, the three agents, iris-sim, cli,
//! testkit and tests. Imports nothing of ours.

pub mod cpf;
pub mod messages_log;
