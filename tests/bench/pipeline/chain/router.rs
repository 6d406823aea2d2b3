//! The router of the bare chain: a command or a result in, the next step or the end out.

use anyhow::{Context as _, Result};
use async_nats::jetstream::{
    Context, Message,
    consumer::{AckPolicy, pull},
};
use futures::{
    StreamExt as _,
    stream::{BoxStream, select_all},
};

use super::{AHEAD, COMMANDS, connect, durable_messages, line::Line, log_stream, write_once};

type Messages = BoxStream<'static, Result<Message, pull::MessagesError>>;

pub async fn run(url: &str, shards: u32) -> Result<()> {
    let js = connect(url, "router").await?;
    let mut sources: Vec<Messages> = vec![durable_messages(&js, COMMANDS).await?.boxed()];
    for shard in 0..shards {
        sources.push(results(&js, shard).await?.boxed());
    }
    let js = &js;
    select_all(sources)
        .for_each_concurrent(None, |message| async move {
            if let Err(error) = route(js, message).await {
                eprintln!("bare router: {error:#}");
            }
        })
        .await;
    Ok(())
}

/// Results need no acknowledgement: a router that comes back reads the log.
async fn results(js: &Context, shard: u32) -> Result<pull::Stream> {
    let config = pull::Config {
        filter_subject: format!("bare.log.{shard}.*.result.*"),
        ack_policy: AckPolicy::None,
        memory_storage: true,
        ..pull::Config::default()
    };
    let stream = js.get_stream(log_stream(shard)).await.context("the log is missing")?;
    let consumer = stream.create_consumer(config).await?;
    Ok(consumer.stream().max_messages_per_batch(AHEAD).messages().await?)
}

async fn route(js: &Context, message: Result<Message, pull::MessagesError>) -> Result<()> {
    let message = message?;
    let line = Line::decode(&message.payload)?;
    let is_command = message.subject.starts_with("bare.command");
    let next = line.with_step(if is_command { 0 } else { line.step + 1 });
    let kind = if next.step < next.steps { "step" } else { "ended" };
    write_once(js, next.record(kind), next.encode()).await?;
    if is_command {
        message.ack().await.map_err(|error| anyhow::anyhow!("could not settle a command: {error}"))?;
    }
    Ok(())
}
