//! Requests to the server's JetStream API, and reads through the leader of a stream.

use std::time::Duration;

use async_nats::{
    RequestErrorKind,
    jetstream::{message::StreamMessage, response::Response, stream::RawMessage},
};
use bytes::Bytes;
use jiff::Timestamp;
use serde::de::DeserializeOwned;
use serde_json::Value;
use tokio::time::Instant;

use crate::{Bus, BusError, Headers, LogMessage, connect::UNAVAILABLE_FOR};

/// "JetStream system temporarily unavailable": an election is on.
pub(crate) const TEMPORARILY_UNAVAILABLE: u64 = 10008;
const API: &str = "$JS.API";
pub(crate) const STREAM_NOT_FOUND: u64 = 10059;
pub(crate) const CONSUMER_NOT_FOUND: u64 = 10014;
const NO_MESSAGE_FOUND: u64 = 10037;
pub(crate) const RETRY_PAUSE: Duration = Duration::from_millis(250);

/// What the server said no to.
#[derive(Debug)]
pub(crate) struct Refusal {
    pub(crate) code: u64,
    pub(crate) text: String,
}

impl Bus {
    /// Asks, and asks again while the server has no leader for the question.
    ///
    /// The outer error means that there was no answer; the inner one is the answer no.
    pub(crate) async fn api<T: DeserializeOwned>(
        &self,
        operation: &'static str,
        thing: &str,
        subject: &str,
        request: &Value,
    ) -> Result<Result<T, Refusal>, BusError> {
        let deadline = Instant::now() + UNAVAILABLE_FOR;
        loop {
            // Some questions are refused unless their payload is empty; "null" is not.
            let payload = if request.is_null() { Bytes::new() } else { request.to_string().into() };
            let sent = async_nats::Request::new().payload(payload);
            let answer = self.answered(self.client.send_request(format!("{API}.{subject}"), sent)).await;
            match answer {
                None => return Err(BusError::NoAnswer { operation, thing: thing.to_owned() }),
                Some(Ok(answer)) => match serde_json::from_slice::<Response<T>>(&answer.payload) {
                    Ok(Response::Ok(value)) => return Ok(Ok(value)),
                    Ok(Response::Err { error }) => {
                        let code = error.error_code().0;
                        if code != TEMPORARILY_UNAVAILABLE || Instant::now() >= deadline {
                            return Ok(Err(Refusal { code, text: error.to_string() }));
                        }
                    }
                    Err(error) => return Err(BusError::unreadable(thing, error)),
                },
                Some(Err(error)) => {
                    let no_leader = error.kind() == RequestErrorKind::NoResponders;
                    if !no_leader || Instant::now() >= deadline {
                        return Err(BusError::failed(operation, thing, error));
                    }
                }
            }
            tokio::time::sleep(RETRY_PAUSE).await;
        }
    }

    /// Configuration and state of a stream; `None` when there is none of that name.
    pub(crate) async fn stream_info(&self, stream: &str) -> Result<Option<Value>, BusError> {
        self.info(&format!("stream {stream}"), &format!("STREAM.INFO.{stream}"), STREAM_NOT_FOUND).await
    }

    /// Configuration and state of a consumer; `None` when there is none of that name.
    pub(crate) async fn consumer_info(&self, stream: &str, name: &str) -> Result<Option<Value>, BusError> {
        let thing = format!("consumer {name} of {stream}");
        self.info(&thing, &format!("CONSUMER.INFO.{stream}.{name}"), CONSUMER_NOT_FOUND).await
    }

    async fn info(&self, thing: &str, subject: &str, absent: u64) -> Result<Option<Value>, BusError> {
        match self.api::<Value>("ask for", thing, subject, &Value::Null).await? {
            Ok(info) => Ok(Some(info)),
            Err(refusal) if refusal.code == absent => Ok(None),
            Err(refusal) if refusal.code == STREAM_NOT_FOUND => Ok(None),
            Err(refusal) => Err(BusError::refused("ask for", thing, refusal.text)),
        }
    }

    /// The last message of a subject (or of a filter), read through the leader of the stream, never from a replica
    /// that may be behind.
    pub async fn last_in(&self, stream: &str, subject: &str) -> Result<Option<LogMessage>, BusError> {
        self.message_in(stream, &serde_json::json!({ "last_by_subj": subject })).await
    }

    /// The first message under a filter that stands at a sequence or behind it, through the leader.
    pub(crate) async fn first_from(
        &self,
        stream: &str,
        subject: &str,
        sequence: u64,
    ) -> Result<Option<LogMessage>, BusError> {
        self.message_in(stream, &serde_json::json!({ "seq": sequence, "next_by_subj": subject })).await
    }

    /// One message by its sequence, through the leader.
    pub(crate) async fn message_at(
        &self,
        stream: &str,
        sequence: u64,
    ) -> Result<Option<LogMessage>, BusError> {
        self.message_in(stream, &serde_json::json!({ "seq": sequence })).await
    }

    async fn message_in(&self, stream: &str, request: &Value) -> Result<Option<LogMessage>, BusError> {
        let thing = format!("a message of {stream}");
        let subject = format!("STREAM.MSG.GET.{stream}");
        match self.api::<StoredAnswer>("read", &thing, &subject, request).await? {
            Ok(answer) => answer.message.try_into().map(Some),
            Err(refusal) if refusal.code == NO_MESSAGE_FOUND => Ok(None),
            Err(refusal) if refusal.code == STREAM_NOT_FOUND => {
                Err(BusError::TopologyMissing { thing: format!("stream {stream}") })
            }
            Err(refusal) => Err(BusError::refused("read", thing, refusal.text)),
        }
    }
}

/// Answer of `STREAM.MSG.GET`.
#[derive(serde::Deserialize)]
struct StoredAnswer {
    message: RawMessage,
}

impl TryFrom<RawMessage> for LogMessage {
    type Error = BusError;

    fn try_from(raw: RawMessage) -> Result<Self, BusError> {
        let thing = format!("message {} of subject {}", raw.sequence, raw.subject);
        let message =
            StreamMessage::try_from(raw).map_err(|error| BusError::failed("decode", thing, error))?;
        Ok(Self {
            subject: message.subject.to_string(),
            payload: message.payload,
            sequence: message.sequence,
            published_at: timestamp(message.time.unix_timestamp_nanos()),
            headers: Headers::from_map(Some(message.headers)),
        })
    }
}

/// An instant that the server wrote. Outside of what a timestamp can hold: the nearest one.
pub(crate) fn timestamp(nanoseconds: i128) -> Timestamp {
    let nearest = if nanoseconds < 0 { Timestamp::MIN } else { Timestamp::MAX };
    Timestamp::from_nanosecond(nanoseconds).unwrap_or(nearest)
}
