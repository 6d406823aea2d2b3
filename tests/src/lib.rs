//! The whole pipeline, as its users meet it: real programs as real processes, a real NATS server, a stand-in IRIS.
//!
//! Everything is in `scenarios/`: `pipeline/` starts the processes and looks at them from outside; each other file is a
//! kind of incident. `clients/` holds what is not written in Rust. Run by `cargo xtask test`, which builds the programs.
//! `models/` asks language models at an endpoint that misbehaves, with a real Redis.
//! `proofs/crash` kills every process at every named point; it takes minutes and is run by `cargo xtask crash`.
//! `proofs/broker` kills and freezes the servers under load, and is run by `cargo xtask broker`.
//!
//! Invariant: what is claimed is read from files, processes and the bus, never from a service's own word alone.
//! Invariant: no process and no file outlives its test.
//!
//! May import anything. Nobody imports it.
