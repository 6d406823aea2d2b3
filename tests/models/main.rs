//! Models against a real endpoint on the loopback interface, and a real Redis.

#![expect(clippy::unwrap_used, reason = "tests")]

mod cases;
mod desk; // Read this first: a model set up for a test.
mod scene;

mod adversary;
mod corpus;

mod scripted;
mod scripted_answers;

mod asking;
mod improvising;
mod ready;
mod remembering;
mod taped;
mod telling;
