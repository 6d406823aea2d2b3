//! What a transport is, and what it carries.

use std::error::Error;

use bytes::Bytes;
use futures::future::BoxFuture;
use instance_contract::{Faults, IrisMessage};

/// A way to one consumer.
pub trait Transport: Send + Sync {
    /// Brings one message to the consumer, once.
    fn send<'a>(&'a self, message: &'a Outgoing) -> BoxFuture<'a, Result<(), SendError>>;

    /// Where it goes, for people. Never a password.
    fn destination(&self) -> &str;
}

/// A message on its way out.
#[derive(Debug, Clone)]
pub struct Outgoing {
    /// Its place among all messages for this consumer: rising, the same when it is sent again.
    pub order: u64,
    pub message: IrisMessage,
    /// The message as JSON.
    pub payload: Bytes,
}

/// Bytes that are no IrisMessage.
#[derive(Debug, thiserror::Error)]
#[error("what is to be sent is no IrisMessage")]
pub struct InvalidOutgoing(#[from] Faults);

/// Why a message was not delivered.
#[derive(Debug, thiserror::Error)]
pub enum SendError {
    /// The consumer cannot be reached, is too busy or does not know us. The same message may go through later.
    #[error("could not deliver to \"{destination}\"")]
    Away {
        destination: String,
        #[source]
        source: Box<dyn Error + Send + Sync>,
    },
    /// The consumer will never take this message.
    #[error("\"{destination}\" refuses the message: {answer}")]
    Refused { destination: String, answer: String },
}

impl Outgoing {
    /// A message of our own.
    pub fn new(order: u64, message: IrisMessage) -> Self {
        let payload = serde_json::to_vec(&message).expect("texts and numbers are always JSON");
        Self { order, message, payload: payload.into() }
    }

    /// A message as it was stored.
    pub fn stored(order: u64, payload: Bytes) -> Result<Self, InvalidOutgoing> {
        Ok(Self { order, message: IrisMessage::decode(&payload)?, payload })
    }

    /// W3C trace context: the message's trace, and a span made of its id.
    pub fn traceparent(&self) -> String {
        let span = &self.message.message_id.as_uuid().simple().to_string()[16..];
        format!("00-{}-{span}-01", self.message.trace_id.as_str())
    }
}

impl SendError {
    pub(crate) fn away(destination: &str, source: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self::Away { destination: destination.to_owned(), source: source.into() }
    }
}
