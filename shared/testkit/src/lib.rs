//! For tests only: a real NATS server on a free port, an endpoint of a language model, Redis, an IRIS folder, disks that
//! are full or fail, waiting for a condition.
//!
//! Invariant: whatever is started here ends with its test, also when the test panics or its process is killed.
//! Invariant: nothing here listens on or connects to anything but the loopback interface.
//! Invariant: no waiting without a condition and a deadline.
//!
//! May be imported by dev-dependencies only. Imports bus, clock, contract and iris.

mod nats_server; // Read this first: the one thing that nearly every test needs.

mod child;
mod endpoint;
mod eventually;
mod incidents;
mod iris_folder;
mod memory_disk;
mod model_server;
mod order;
mod other_stream;
pub mod promises;
mod redis_server;
mod skipped;
#[cfg(test)]
mod skipped_tests;
mod small_disk;

use std::sync::Arc;

use instance_bus::{Bus, Resolved, TopologyOptions};
use instance_clock::SystemClock;

pub use crate::{
    child::free_port,
    endpoint::{Endpoint, Posted, Seen},
    eventually::eventually,
    incidents::TestIncident,
    iris_folder::IrisFolder,
    memory_disk::{Fault, MemoryDisk},
    model_server::{ModelAnswer, ModelCall, ModelServer},
    nats_server::NatsServer,
    order::order,
    other_stream::{OtherMessage, OtherStream},
    redis_server::RedisServer,
    skipped::skipped,
    small_disk::SmallDisk,
};

/// A connection to a test's server, with every stream, consumer and bucket made (4 shards).
pub async fn bus(server: &NatsServer) -> Bus {
    let bus = connect(server).await;
    bus.init(&TopologyOptions::default()).await.unwrap_or_else(|error| panic!("{}", chain(&error)));
    bus
}

/// A connection to a test's server, with nothing made.
pub async fn connect(server: &NatsServer) -> Bus {
    let settings = Resolved::at(&server.url());
    Bus::connect(&settings, "test", Arc::new(SystemClock))
        .await
        .unwrap_or_else(|error| panic!("{}", chain(&error)))
}

/// Takes one message out of a stream, as somebody does who wants it forgotten.
pub async fn take_away(server: &NatsServer, stream: &str, sequence: u64) {
    let client = async_nats::connect(server.url()).await.expect("the server is there");
    let stream = async_nats::jetstream::new(client).get_stream(stream).await.expect("the stream is there");
    stream.delete_message(sequence).await.expect("the message is there");
}

/// Takes a whole stream away.
pub async fn take_stream_away(server: &NatsServer, stream: &str) {
    let client = async_nats::connect(server.url()).await.expect("the server is there");
    async_nats::jetstream::new(client).delete_stream(stream).await.expect("the stream is there");
}

/// An error with all its causes, for the message of a failed test.
pub fn chain(error: &(dyn std::error::Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    text
}
