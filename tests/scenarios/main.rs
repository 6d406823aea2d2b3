//! What happens to the whole pipeline, one file a kind of incident.

#![expect(clippy::unwrap_used, reason = "a test whose world cannot be driven has failed")]

mod pipeline; // Read this first: the processes, and what can be seen of them from outside.

mod asyncapi;
mod bad_input;
mod otlp; // What the services export.

mod closed_loop;
mod generator_once;
mod one_trace;
mod plain_client;
mod readme;
mod settings;
