//! A message that must be settled.

use std::time::{Duration, Instant};

use async_nats::RequestErrorKind;
use bytes::Bytes;
use instance_contract::subject;
use jiff::Timestamp;
use serde::de::DeserializeOwned;
use tracing::{Instrument as _, Span};

use crate::{
    Bus, BusError, DeadLetterReason, Headers,
    api::timestamp,
    dead_letter,
    error::NO_ANSWER,
    measure,
    trace::{self, Delivered},
};

const DONE: &[u8] = b"+ACK";
const RETRY: &str = "-NAK";
const NEVER_AGAIN: &[u8] = b"+TERM";
const STILL_WORKING: &[u8] = b"+WPI";
/// What spans and metrics call a settlement that the server has not confirmed.
const NOT_SETTLED: &str = "not_settled";

/// One delivery of a stored message. Settling consumes it; one that is dropped unsettled is delivered again when the
/// consumer's wait is over (commands 4 s, steps 2 s).
#[must_use = "settle it: done, done_unconfirmed, retry_after or dead_letter"]
pub struct Delivery {
    bus: Bus,
    subject: String,
    payload: Bytes,
    headers: Headers,
    /// Where it is settled. Differs on every delivery: never in a log, a span or an attribute.
    settle_on: String,
    stream: String,
    consumer: String,
    sequence: u64,
    delivered: u64,
    published_at: Timestamp,
    arrived: Instant,
}

impl Delivery {
    pub(crate) fn from_message(bus: &Bus, message: async_nats::jetstream::Message) -> Result<Self, BusError> {
        let info = message.info().map_err(|error| BusError::failed("read", "a delivery", error))?;
        let delivered = u64::try_from(info.delivered).unwrap_or(1);
        measure::delivered(&message.subject, info.stream, info.consumer, delivered, info.pending);
        Ok(Self {
            bus: bus.clone(),
            arrived: Instant::now(),
            stream: info.stream.to_owned(),
            consumer: info.consumer.to_owned(),
            sequence: info.stream_sequence,
            delivered,
            published_at: timestamp(info.published.unix_timestamp_nanos()),
            settle_on: message.reply.as_ref().map(ToString::to_string).unwrap_or_default(),
            subject: message.message.subject.to_string(),
            payload: message.message.payload,
            headers: Headers::from_map(message.message.headers),
        })
    }

    pub const fn payload(&self) -> &Bytes {
        &self.payload
    }

    /// The payload as a value. An error here is a reason for [`Delivery::dead_letter`].
    pub fn json<T: DeserializeOwned>(&self) -> Result<T, BusError> {
        serde_json::from_slice(&self.payload).map_err(|source| BusError::unreadable(self.thing(), source))
    }

    /// The subject as stored.
    pub fn subject(&self) -> &str {
        &self.subject
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)
    }

    pub const fn headers(&self) -> &Headers {
        &self.headers
    }

    pub fn stream(&self) -> &str {
        &self.stream
    }

    /// Its place in the stream.
    pub const fn sequence(&self) -> u64 {
        self.sequence
    }

    /// How often it has been delivered, this time included. From 1.
    pub const fn delivered(&self) -> u64 {
        self.delivered
    }

    /// When the stream took it, by the server's clock.
    pub const fn published_at(&self) -> Timestamp {
        self.published_at
    }

    /// CONSUMER span of handling this delivery, child of and linked to the span that published it. Enter or
    /// instrument with it; publishes inside continue the same trace.
    pub fn span(&self) -> Span {
        trace::process_span(&self.bus, &self.subject, &self.headers, Some(&self.place()))
    }

    fn place(&self) -> Delivered<'_> {
        Delivered {
            stream: &self.stream,
            consumer: &self.consumer,
            sequence: self.sequence,
            deliveries: self.delivered,
        }
    }

    /// Settled: never again. `Ok` only when the server has confirmed it; otherwise it may be delivered again.
    pub async fn done(self) -> Result<(), BusError> {
        let settled = self.settle("ack", Bytes::from_static(DONE)).await;
        self.told(settled, "")
    }

    /// Settled, and the server is not waited for: should that get lost, it comes again after its wait. For who has the
    /// answer to a repetition at hand; the server keeps an acknowledgement no safer than a lost one for its last 100 ms.
    pub async fn done_unconfirmed(self) -> Result<(), BusError> {
        let settled = self.send("settle", Bytes::from_static(DONE)).await;
        self.told(settled, "")
    }

    /// Settled for now: again after the delay, to whoever asks then.
    pub async fn retry_after(self, delay: Duration) -> Result<(), BusError> {
        let nanoseconds = i64::try_from(delay.as_nanos()).unwrap_or(i64::MAX);
        let settled = self.settle("nak", format!("{RETRY} {{\"delay\": {nanoseconds}}}").into()).await;
        self.told(settled, "retry")
    }

    /// Nobody can handle it: kept among the dead letters with the reason, then never delivered again.
    pub async fn dead_letter(self, reason: DeadLetterReason) -> Result<(), BusError> {
        let headers = dead_letter::headers(
            &self.headers,
            &reason,
            &dead_letter::Origin {
                subject: &self.subject,
                stream: &self.stream,
                sequence: self.sequence,
                deliveries: self.delivered,
            },
        );
        let message_id = format!("{}:{}", self.stream, self.sequence);
        let subject = subject::dead(&self.stream);
        tracing::warn!(
            subject = self.subject,
            sequence = self.sequence,
            reason = %reason,
            "message goes to the dead letters"
        );
        // Not traced: a dead letter keeps the context that the message came with.
        let headers = headers.with(crate::headers::MESSAGE_ID, &message_id);
        let kept = self.bus.publish_stored(subject.as_str(), self.payload.clone(), headers).await?;
        if !kept.duplicate {
            measure::dead(&self.stream, &reason);
        }
        let settled = self.settle("term", Bytes::from_static(NEVER_AGAIN)).await;
        self.told(settled, "dead_letter")
    }

    /// Asks for the whole wait once more. Send it every third of the wait, from beside the work.
    pub async fn still_working(&self) -> Result<(), BusError> {
        self.send("extend", Bytes::from_static(STILL_WORKING)).await
    }

    /// Counts a settlement; `how` it was settled when not done.
    fn told(&self, settled: Result<(), BusError>, how: &'static str) -> Result<(), BusError> {
        let how = if settled.is_ok() { how } else { NOT_SETTLED };
        measure::settled(&self.subject, self.arrived.elapsed(), how);
        settled
    }

    /// `Ok` means sent, not received.
    async fn send(&self, operation: &'static str, word: Bytes) -> Result<(), BusError> {
        let send = self.bus.client.publish(self.settle_on.clone(), word);
        match self.bus.answered(send).await {
            Some(Ok(())) => Ok(()),
            Some(Err(error)) => Err(BusError::failed(operation, self.thing(), error)),
            None => Err(BusError::NoAnswer { operation, thing: self.thing() }),
        }
    }

    /// Settles and waits, in a span of its own. What is sent and not waited for has none: it takes no time, and each plan has several.
    async fn settle(&self, operation: &'static str, word: Bytes) -> Result<(), BusError> {
        let span = trace::settle_span(&self.bus, operation, &self.subject, &self.headers, &self.place());
        let settled = self.confirmed(word).instrument(span.clone()).await;
        if settled.is_err() {
            trace::fail(&span, NOT_SETTLED);
        }
        settled
    }

    /// A request on the settlement subject. The client's own `double_ack` takes any answer for a yes, also the 503 of
    /// a consumer that is gone.
    async fn confirmed(&self, word: Bytes) -> Result<(), BusError> {
        let not_confirmed = |status: String| BusError::NotConfirmed { thing: self.thing(), status };
        let request = async_nats::Request::new().payload(word);
        let sent = self.bus.client.send_request(self.settle_on.clone(), request);
        match self.bus.answered(sent).await {
            None => Err(not_confirmed(NO_ANSWER.to_owned())),
            Some(Ok(answer)) => match answer.status {
                None => Ok(()),
                Some(status) => Err(not_confirmed(status.to_string())),
            },
            Some(Err(error)) => match error.kind() {
                RequestErrorKind::TimedOut => Err(not_confirmed(NO_ANSWER.to_owned())),
                RequestErrorKind::NoResponders => Err(not_confirmed("503, the consumer is gone".to_owned())),
                _ => Err(BusError::failed("settle", self.thing(), error)),
            },
        }
    }

    fn thing(&self) -> String {
        format!("message {} of {}", self.sequence, self.stream)
    }
}

impl std::fmt::Debug for Delivery {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Delivery")
            .field("subject", &self.subject)
            .field("stream", &self.stream)
            .field("sequence", &self.sequence)
            .field("delivered", &self.delivered)
            .finish_non_exhaustive()
    }
}
