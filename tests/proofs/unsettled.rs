//! What the bus still has to deliver, for both proofs.

use async_nats::jetstream;
use futures::TryStreamExt as _;

/// Consumers that have something to deliver, or wait for it to be settled.
pub async fn unsettled(client: &async_nats::Client, shards: u16) -> anyhow::Result<Vec<String>> {
    let jetstream = jetstream::new(client.clone());
    let mut unsettled = Vec::new();
    let logs = (0..shards).map(|shard| format!("INSTANCE_REMEDIATIONS_{shard}"));
    for name in logs.chain(["INSTANCE_COMMANDS".to_owned()]) {
        let stream = jetstream.get_stream(&name).await?;
        let mut consumers = stream.consumers();
        while let Some(consumer) = consumers.try_next().await? {
            // What a router reads along has no name of its own, and is forgotten with it.
            let is_durable = consumer.config.durable_name.is_some();
            if is_durable && (consumer.num_pending > 0 || consumer.num_ack_pending > 0) {
                unsettled.push(format!(
                    "{} of {name} ({} to deliver, {} to be settled, {} delivered again, {} pulls, delivered up to {}, \
                     settled up to {})",
                    consumer.name,
                    consumer.num_pending,
                    consumer.num_ack_pending,
                    consumer.num_redelivered,
                    consumer.num_waiting,
                    consumer.delivered.stream_sequence,
                    consumer.ack_floor.stream_sequence,
                ));
            }
        }
    }
    Ok(unsettled)
}
