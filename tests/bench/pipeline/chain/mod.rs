//! The bare fused chain: what a durable workflow of N steps on `JetStream` cannot do without, and nothing else.
//!
//! command -> router -> step 1 -> agent -> result 1 -> router -> ... -> ended: 2N + 2 durable writes, each awaited,
//! each record on a subject that is written once; router and agent are processes of their own. Where a step has an
//! effect, the agent appends to a file and syncs it twice, as a ledger must.

pub mod line;

mod agent;
mod router;

use anyhow::{Context as _, Result};
use async_nats::{
    HeaderMap,
    jetstream::{self, Context, consumer::pull, stream},
};
use bytes::Bytes;

pub use agent::run as agent;
pub use router::run as router;

/// Commands, until the router has taken them.
pub const COMMANDS: &str = "BARE_COMMANDS";
/// The durable consumer of router and agent alike.
const DURABLE: &str = "worker";
/// Messages that one side may hold.
const AHEAD: usize = 512;

/// The log of a shard.
pub fn log_stream(shard: u32) -> String {
    format!("BARE_LOG_{shard}")
}

/// Streams and consumers, made by the client before the processes start.
pub async fn set_up(js: &Context, shards: u32) -> Result<()> {
    let commands = stream::Config {
        name: COMMANDS.to_owned(),
        subjects: vec!["bare.command.*".to_owned()],
        retention: stream::RetentionPolicy::WorkQueue,
        ..stream::Config::default()
    };
    let made = js.create_stream(commands).await.context("could not make the stream of commands")?;
    made.create_consumer(durable("")).await.context("could not make the router's consumer")?;
    for shard in 0..shards {
        let log = stream::Config {
            name: log_stream(shard),
            subjects: vec![format!("bare.log.{shard}.>")],
            allow_direct: true,
            ..stream::Config::default()
        };
        let made = js.create_stream(log).await.context("could not make a log")?;
        let steps = durable(&format!("bare.log.{shard}.*.step.*"));
        made.create_consumer(steps).await.context("could not make the agent's consumer")?;
    }
    Ok(())
}

fn durable(filter: &str) -> pull::Config {
    pull::Config {
        durable_name: Some(DURABLE.to_owned()),
        filter_subject: filter.to_owned(),
        max_ack_pending: 100_000,
        ..pull::Config::default()
    }
}

async fn connect(url: &str, name: &str) -> Result<Context> {
    let client = async_nats::ConnectOptions::new().name(name).connect(url).await?;
    Ok(jetstream::new(client))
}

async fn durable_messages(js: &Context, stream: &str) -> Result<pull::Stream> {
    let consumer: jetstream::consumer::PullConsumer =
        js.get_consumer_from_stream(DURABLE, stream).await.context("the consumer is missing")?;
    Ok(consumer.stream().max_messages_per_batch(AHEAD).messages().await?)
}

/// Writes a subject that has never been written, and waits until it is stored.
async fn write_once(js: &Context, subject: String, payload: Bytes) -> Result<()> {
    let mut headers = HeaderMap::new();
    headers.insert("Nats-Expected-Last-Subject-Sequence", "0");
    js.publish_with_headers(subject, headers, payload).await?.await?;
    Ok(())
}
