//! A consumer that reads a stream of a NATS server of its own.

use std::sync::Arc;

use futures::future::BoxFuture;
use instance_bus::{Bus, BusError, Headers, PublishError, Resolved};
use instance_clock::SystemClock;
use instance_contract::IrisMessage;
use instance_contract::subject::Subject;
use reqwest::Url;
use tokio::sync::OnceCell;

use crate::http::without_password;
use crate::transport::{Outgoing, SendError, Transport};

/// How the consumer's server calls the connection.
const CONNECTION: &str = "instance-deliver";
/// The message alone is longer than the stream takes (JetStream's error code).
const TOO_LONG: u64 = 10054;

/// Publishes each message on one subject and waits until a stream has it; where none keeps the subject, the consumer is
/// away. The message id is the stream's `Nats-Msg-Id`, so what is sent again within its window is stored once. The
/// other headers are those of HTTP.
pub struct Queue {
    server: Url,
    subject: Subject,
    name: String,
    /// Connected with the first message; the connection then keeps itself.
    bus: OnceCell<Bus>,
}

impl Queue {
    /// A consumer at a server and a subject.
    pub fn new(server: &Url, subject: &Subject) -> Self {
        let name = format!("{}/{subject}", without_password(server));
        Self { server: server.clone(), subject: subject.clone(), name, bus: OnceCell::new() }
    }

    async fn publish(&self, outgoing: &Outgoing) -> Result<(), SendError> {
        let bus = self.bus.get_or_try_init(|| self.connect()).await;
        let bus = bus.map_err(|error| SendError::away(&self.name, error))?;
        let IrisMessage { message_id, trace_id, schema, .. } = &outgoing.message;
        let headers = Headers::new()
            .with("Instance-Sequence", &outgoing.order.to_string())
            .with("Instance-Trace-Id", trace_id.as_str())
            .with("Instance-Schema", schema)
            .with("traceparent", &outgoing.traceparent());
        let id = message_id.to_string();
        match bus.publish_bytes(&self.subject, outgoing.payload.clone(), Some(&id), headers).await {
            Ok(_) => Ok(()),
            Err(PublishError::Refused { code: TOO_LONG, reason, .. }) => {
                Err(SendError::Refused { destination: self.name.clone(), answer: reason })
            }
            // Also a lost answer: sent again with the same id, it is stored once.
            Err(error) => Err(SendError::away(&self.name, error)),
        }
    }

    async fn connect(&self) -> Result<Bus, BusError> {
        Bus::connect(&Resolved::at(self.server.as_str()), CONNECTION, Arc::new(SystemClock)).await
    }
}

impl Transport for Queue {
    fn send<'a>(&'a self, message: &'a Outgoing) -> BoxFuture<'a, Result<(), SendError>> {
        Box::pin(self.publish(message))
    }

    fn destination(&self) -> &str {
        &self.name
    }
}
