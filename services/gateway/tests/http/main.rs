//! The gateway over HTTP, on a real NATS server: who may come in, what is taken, what is refused and how.

#![expect(clippy::unwrap_used, reason = "a test whose world cannot be driven has failed")]

mod desk; // A gateway that runs, and somebody who asks it.

mod alerts;
mod bounded; // Floods, slow and large input, a drain, an absence of the bus.
mod commands;
mod described; // The OpenAPI document.
mod listed; // A log that is longer than an answer.
mod recorded; // The audit trail.
mod refused; // Credentials.

mod settings;
