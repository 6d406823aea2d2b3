//! Reading a stream in order, without settling anything: complete, in sequence, healing itself.

use std::{fmt, ops::Range, time::Duration};

use async_nats::jetstream::consumer::{PullConsumer, pull};
use bytes::Bytes;
use futures::StreamExt as _;
use jiff::Timestamp;
use serde_json::{Value, json};
use tokio::sync::watch;

use crate::{
    Bus, BusError, Headers,
    api::{STREAM_NOT_FOUND, timestamp},
    connect::UNAVAILABLE_FOR,
    healing::Healing,
};

/// Messages asked for at a time.
const BATCH: usize = 500;
pub(crate) const HEARTBEAT: Duration = Duration::from_secs(5);
const PULL_FOR: Duration = Duration::from_secs(30);
/// Why something is opened again at once, and not only when a heartbeat is missed.
pub(crate) const LINK_RENEWED: &str = "the connection was made anew";
/// The server forgets a reader that asks for nothing this long.
const FORGET_AFTER: Duration = Duration::from_secs(10);

/// One stored message.
#[derive(Clone)]
pub struct LogMessage {
    pub subject: String,
    pub payload: Bytes,
    /// Its place in the stream.
    pub sequence: u64,
    /// When the stream took it, by the server's clock.
    pub published_at: Timestamp,
    pub headers: Headers,
}

impl LogMessage {
    /// The payload as a value.
    pub fn json<T: serde::de::DeserializeOwned>(&self) -> Result<T, BusError> {
        serde_json::from_slice(&self.payload).map_err(|source| {
            BusError::unreadable(format!("message {} of subject {}", self.sequence, self.subject), source)
        })
    }
}

impl fmt::Debug for LogMessage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LogMessage")
            .field("subject", &self.subject)
            .field("sequence", &self.sequence)
            .field("published_at", &self.published_at)
            .finish_non_exhaustive()
    }
}

/// Reads a stream from a place on, in order and without gaps. After anything odd (a gap, a silent or restarted
/// server, a forgotten consumer) it opens again behind the last message that it gave out.
pub(crate) struct Reader {
    bus: Bus,
    stream: String,
    filters: Vec<String>,
    /// The first sequence that has not been given out.
    next: u64,
    open: Option<Open>,
    healing: Healing,
}

struct Open {
    consumer: String,
    messages: pull::Stream,
    /// The server may have forgotten the consumer with the link.
    renewed: watch::Receiver<u64>,
    /// Deliveries are numbered by the server; one that is missing was lost on the way.
    delivered: u64,
}

impl Reader {
    pub(crate) fn new(bus: &Bus, stream: &str, filters: &[String], from: u64) -> Self {
        Self {
            bus: bus.clone(),
            stream: stream.to_owned(),
            filters: filters.to_vec(),
            next: from.max(1),
            open: None,
            healing: Healing::default(),
        }
    }

    /// The next message. An error says that nothing has worked for 16 s, or that the stream is gone; asking again
    /// goes on trying. Cancel-safe except that an opening is begun anew.
    pub(crate) async fn next(&mut self) -> Result<LogMessage, BusError> {
        loop {
            self.healing.pause().await;
            match self.step().await {
                Ok(Some(message)) => {
                    self.healing.worked();
                    self.next = message.sequence + 1;
                    return Ok(message);
                }
                Ok(None) => self.healing.opened(),
                Err(error) => {
                    self.open = None;
                    if let Some(error) = self.healing.failed(&self.stream, error) {
                        return Err(error);
                    }
                }
            }
        }
    }

    /// Lets the server forget this reading at once. It would do so by itself after a while.
    pub(crate) async fn close(self) {
        if let Some(open) = self.open {
            drop(open.messages);
            let subject = format!("CONSUMER.DELETE.{}.{}", self.stream, open.consumer);
            let closed = self.bus.api::<Value>("close", &open.consumer, &subject, &Value::Null).await;
            if !matches!(closed, Ok(Ok(_))) {
                tracing::debug!(stream = self.stream, consumer = open.consumer, "a reader was left behind");
            }
        }
    }

    /// One message; `None`: the consumer has just been opened.
    async fn step(&mut self) -> Result<Option<LogMessage>, BusError> {
        let Some(open) = self.open.as_mut() else {
            let renewed = self.bus.server.links.renewed();
            let consumer = open(&self.bus, &self.stream, &self.filters, self.next).await?;
            let messages = pull_messages(&self.bus, &self.stream, &consumer, BATCH).await?;
            self.open = Some(Open { consumer, messages, renewed, delivered: 0 });
            return Ok(None);
        };
        let lost = |what: &str| BusError::refused("read", format!("stream {}", self.stream), what);
        let next = tokio::select! {
            biased;
            next = open.messages.next() => next,
            _ = open.renewed.changed() => return Err(lost(LINK_RENEWED)),
        };
        let message = match next {
            Some(Ok(message)) => message,
            Some(Err(error)) => {
                return Err(BusError::failed("read", format!("stream {}", self.stream), error));
            }
            None => return Err(lost("the reading has ended")),
        };
        let info = message
            .info()
            .map_err(|error| BusError::failed("read", format!("stream {}", self.stream), error))?;
        if info.consumer_sequence != open.delivered + 1 || info.stream_sequence < self.next {
            return Err(lost("a delivery was lost on the way"));
        }
        open.delivered += 1;
        Ok(Some(LogMessage {
            sequence: info.stream_sequence,
            published_at: timestamp(info.published.unix_timestamp_nanos()),
            subject: message.message.subject.to_string(),
            payload: message.message.payload.clone(),
            headers: Headers::from_map(message.message.headers.clone()),
        }))
    }
}

impl Bus {
    /// Everything that a stream holds under some filters, in order, up to the last message there is now.
    ///
    /// The end is asked of the leader beforehand; a reading that does not get there is an error, never a short list.
    pub(crate) async fn read_all(
        &self,
        stream: &str,
        filters: &[String],
    ) -> Result<Vec<LogMessage>, BusError> {
        self.read_within(stream, filters, 1..u64::MAX).await
    }

    /// The same between two sequences.
    pub(crate) async fn read_within(
        &self,
        stream: &str,
        filters: &[String],
        sequences: Range<u64>,
    ) -> Result<Vec<LogMessage>, BusError> {
        let mut end = 0;
        for filter in filters {
            if let Some(last) = self.last_in(stream, filter).await? {
                end = end.max(last.sequence);
            }
        }
        // Behind this one there is another that ends the reading, should it be gone.
        let end = end.min(sequences.end.saturating_sub(1));
        let mut messages = Vec::new();
        if end < sequences.start {
            return Ok(messages);
        }
        let mut reader = Reader::new(self, stream, filters, sequences.start);
        loop {
            let Ok(message) = tokio::time::timeout(UNAVAILABLE_FOR, reader.next()).await else {
                let thing = format!("stream {stream} up to message {end}");
                return Err(BusError::NoAnswer { operation: "read", thing });
            };
            let message = message?;
            let sequence = message.sequence;
            if sequence <= end {
                messages.push(message);
            }
            if sequence >= end {
                reader.close().await;
                return Ok(messages);
            }
        }
    }
}

/// Makes a consumer that the server forgets by itself; gives its name.
async fn open(bus: &Bus, stream: &str, filters: &[String], from: u64) -> Result<String, BusError> {
    let name = format!("reader_{}", uuid::Uuid::new_v4().simple());
    let thing = format!("a reader of {stream}");
    let mut config = json!({
        "name": name,
        "deliver_policy": "by_start_sequence",
        "opt_start_seq": from,
        "ack_policy": "none",
        "max_deliver": 1,
        "replay_policy": "instant",
        "mem_storage": true,
        "num_replicas": 1,
        "inactive_threshold": u64::try_from(FORGET_AFTER.as_nanos()).unwrap_or(u64::MAX),
    });
    if let [filter] = filters {
        config["filter_subject"] = json!(filter);
    } else {
        config["filter_subjects"] = json!(filters);
    }
    let request = json!({ "stream_name": stream, "config": config, "action": "create" });
    let subject = format!("CONSUMER.CREATE.{stream}.{name}");
    match bus.api::<Value>("open", &thing, &subject, &request).await? {
        Ok(_) => {}
        Err(refusal) if refusal.code == STREAM_NOT_FOUND => {
            return Err(BusError::TopologyMissing { thing: format!("stream {stream}") });
        }
        Err(refusal) => return Err(BusError::refused("open", thing, refusal.text)),
    }
    Ok(name)
}

/// Pulls from a consumer that exists. Heartbeats tell a quiet stream from a dead server.
pub(crate) async fn pull_messages(
    bus: &Bus,
    stream: &str,
    consumer: &str,
    batch: usize,
) -> Result<pull::Stream, BusError> {
    let failed = |error: Box<dyn std::error::Error + Send + Sync>| {
        BusError::failed("pull from", format!("consumer {consumer} of {stream}"), error)
    };
    let consumer: PullConsumer = bus
        .jetstream
        .get_consumer_from_stream(consumer, stream)
        .await
        .map_err(|error| failed(Box::new(error)))?;
    consumer
        .stream()
        .max_messages_per_batch(batch)
        .heartbeat(HEARTBEAT)
        .expires(PULL_FOR)
        .messages()
        .await
        .map_err(|error| failed(Box::new(error)))
}
