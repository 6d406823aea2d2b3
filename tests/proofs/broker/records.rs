//! The remediation logs, with a reader that shares nothing with the services.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::Result;
use async_nats::jetstream::{
    self, Message,
    consumer::{AckPolicy, pull},
};
use futures::StreamExt as _;
use instance_bus::topology;
use instance_contract::{
    Attempt, RemediationId, Shard, StepId,
    subject::{self, RecordKind},
};

use crate::site::SHARDS;

/// Reads what a shard's log holds on these subjects, from its beginning.
pub async fn read(
    client: &async_nats::Client,
    shard: Shard,
    subjects: &str,
    mut take: impl FnMut(&Message) -> Result<()>,
) -> Result<()> {
    let stream = jetstream::new(client.clone()).get_stream(topology::remediations(shard)).await?;
    let config = pull::Config {
        filter_subject: subjects.to_owned(),
        ack_policy: AckPolicy::None,
        ..pull::Config::default()
    };
    let mut consumer = stream.create_consumer(config).await?;
    let mut left = consumer.info().await?.num_pending;
    while left > 0 {
        let mut batch = consumer.fetch().max_messages(500).messages().await?;
        while let Some(message) = batch.next().await {
            take(&message.map_err(|error| anyhow::anyhow!(error))?)?;
            left = left.saturating_sub(1);
        }
    }
    Ok(())
}

/// One attempt of one step.
type Tried = (RemediationId, StepId, Attempt);

/// Everything that is wrong with the records themselves: each stands there once, and each attempt that was sent has its
/// one result.
pub async fn faults(client: &async_nats::Client) -> Result<Vec<String>> {
    let mut counts: BTreeMap<String, usize> = BTreeMap::new();
    let (mut sent, mut answered): (BTreeSet<Tried>, BTreeSet<Tried>) = Default::default();
    for shard in (0..SHARDS).map(Shard) {
        read(client, shard, subject::records_of(shard, ">").as_str(), |message| {
            *counts.entry(message.subject.to_string()).or_default() += 1;
            match subject::parse_record(&message.subject) {
                Some((_, id, RecordKind::Step { step, attempt })) => drop(sent.insert((id, step, attempt))),
                Some((_, id, RecordKind::Result { step, attempt })) => {
                    answered.insert((id, step, attempt));
                }
                _ => {}
            }
            Ok(())
        })
        .await?;
    }
    let twice = counts.iter().filter(|(_, count)| **count > 1);
    let told = |what: &str, (id, step, attempt): &Tried| format!("{id}: {what} {step}, attempt {attempt}");
    Ok(twice
        .map(|(subject, count)| format!("{subject} stands there {count} times"))
        .chain(sent.difference(&answered).map(|it| told("no result of", it)))
        .chain(answered.difference(&sent).map(|it| told("nobody has sent", it)))
        .collect())
}
