//! Many remediations that nobody had to wait for: copies of a real one, under ids of their own.

use std::time::Instant;

use anyhow::{Context as _, Result};
use async_nats::{HeaderMap, jetstream};
use bytes::Bytes;
use futures::StreamExt as _;
use instance_bus::LogMessage;
use uuid::Uuid;

/// Copies that are on their way at the same time.
const SIDE_BY_SIDE: usize = 1_000;

/// What is copied, and the words of it that differ from copy to copy.
pub struct Original {
    pub records: Vec<LogMessage>,
    pub remediation: String,
    pub command: String,
    pub instance: String,
}

/// Writes so many copies, to one shard after the other. With `instances` each copy is for an instance of its own.
pub async fn copies(
    js: &jetstream::Context,
    original: &Original,
    shards: u16,
    many: usize,
    instances: bool,
) -> Result<()> {
    let began = Instant::now();
    let mut written = futures::stream::iter(0..many)
        .map(|number| async move {
            // In their order: nothing stands behind the end of a remediation.
            for (subject, payload) in copy(original, shards, number, instances) {
                let mut headers = HeaderMap::new();
                headers.insert("Nats-Expected-Last-Subject-Sequence", "0");
                js.publish_with_headers(subject, headers, payload).await?.await?;
            }
            anyhow::Ok(())
        })
        .buffer_unordered(SIDE_BY_SIDE);
    while let Some(copied) = written.next().await {
        copied.context("could not copy a remediation")?;
    }
    let took = began.elapsed().as_secs_f64();
    eprintln!("{many} copies of {} records each, in {took:.1} s", original.records.len());
    Ok(())
}

fn copy(original: &Original, shards: u16, number: usize, instances: bool) -> Vec<(String, Bytes)> {
    let (remediation, command) = (Uuid::new_v4().to_string(), Uuid::new_v4().to_string());
    let place = (number % usize::from(shards)).to_string();
    let instance = if instances { format!("\"COPY{number}\"") } else { format!("\"{}\"", original.instance) };
    let record = |message: &LogMessage| {
        let text = String::from_utf8_lossy(&message.payload)
            .replace(&original.remediation, &remediation)
            .replace(&original.command, &command)
            .replace(&format!("\"{}\"", original.instance), &instance);
        let mut tokens: Vec<&str> = message.subject.split('.').collect();
        // `instance.v1.remediation.<n>.<id>...`
        (tokens[3], tokens[4]) = (&place, &remediation);
        if tokens[5] == "step" {
            // Nobody is to take the copy of a step for a step to do.
            tokens[7] = "elsewhere";
        }
        (tokens.join("."), text.into())
    };
    original.records.iter().map(record).collect()
}
