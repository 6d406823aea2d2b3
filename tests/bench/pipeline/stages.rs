//! Where the time of one workflow goes: the gaps between its records, by the server's clock.

use std::collections::HashMap;

use anyhow::{Context as _, Result};
use async_nats::jetstream::consumer::{AckPolicy, DeliverPolicy, pull};
use futures::StreamExt as _;

use crate::{
    measure::percentile,
    pipeline::{Finished, Pipeline},
};

/// Of so many workflows at most; the newest.
const SAMPLE: usize = 500;

/// Median gaps in microseconds, in the order in which they happen.
pub async fn of(pipeline: &Pipeline, finished: &[Finished]) -> Result<Vec<(String, f64)>> {
    let sample = &finished[finished.len().saturating_sub(SAMPLE)..];
    let mut marks: HashMap<&str, Vec<(String, i128)>> = HashMap::new();
    for one in sample {
        marks.insert(&one.id, vec![("sent".to_owned(), one.sent_at), ("seen".to_owned(), one.seen_at)]);
    }
    for log in &pipeline.logs {
        read(pipeline, log, &mut marks).await?;
    }
    let mut order: Vec<String> = Vec::new();
    let mut gaps: HashMap<String, Vec<f64>> = HashMap::new();
    for mut marks in marks.into_values() {
        marks.sort_by_key(|(_, at)| *at);
        for pair in marks.windows(2) {
            let name = format!("{} -> {}", pair[0].0, pair[1].0);
            #[expect(clippy::cast_precision_loss, reason = "a gap of nanoseconds within one workflow")]
            let gap = (pair[1].1 - pair[0].1) as f64 / 1e3;
            if !gaps.contains_key(&name) {
                order.push(name.clone());
            }
            gaps.entry(name).or_default().push(gap);
        }
    }
    let common = |name: &String| gaps[name].len() * 2 > sample.len();
    let names: Vec<String> = order.into_iter().filter(common).collect();
    let median = |name: String| {
        let median = percentile(gaps.get_mut(&name).expect("every name has gaps"), 0.5);
        (name, median)
    };
    Ok(names.into_iter().map(median).collect())
}

/// Adds each record of a sampled workflow, by when it was stored.
async fn read(pipeline: &Pipeline, log: &str, marks: &mut HashMap<&str, Vec<(String, i128)>>) -> Result<()> {
    let stream = pipeline.js.get_stream(log).await?;
    let config = pull::Config {
        ack_policy: AckPolicy::None,
        deliver_policy: DeliverPolicy::All,
        headers_only: true,
        memory_storage: true,
        ..pull::Config::default()
    };
    let consumer = stream.create_consumer(config).await?;
    let mut pending = consumer.cached_info().num_pending;
    let mut messages = consumer.messages().await.context("could not read a log")?;
    while pending > 0 {
        let message = messages.next().await.context("a log has ended")??;
        let info = message.info().map_err(|error| anyhow::anyhow!("a record without its place: {error}"))?;
        pending = info.pending;
        let mut tokens =
            message.subject.split('.').skip(if message.subject.starts_with("bare") { 3 } else { 4 });
        let id = tokens.next().unwrap_or_default();
        if let Some(marks) = marks.get_mut(id) {
            marks.push((name(&tokens.collect::<Vec<_>>()), info.published.unix_timestamp_nanos()));
        }
    }
    Ok(())
}

/// `step.os-agent.host.s0.1` is "step s0"; `result.s0.1` is "result s0".
fn name(tokens: &[&str]) -> String {
    match tokens {
        ["step", _, _, step, _] => format!("step {step}"),
        ["result", step, _] => format!("result {step}"),
        other => other.join(" "),
    }
}
