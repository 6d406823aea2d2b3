//! Consumers on NATS: the stream INSTANCE_ERRORS keeps what they have not read for 24 hours.

use futures::future::BoxFuture;
use instance_bus::{Bus, Headers};
use instance_contract::subject;

use crate::transport::{Outgoing, SendError, Transport};

/// Publishes each message on its subject and waits until the stream has it.
#[derive(Clone)]
pub struct Nats {
    bus: Bus,
    name: String,
}

impl Nats {
    pub fn new(bus: Bus) -> Self {
        let name = bus.servers().to_owned();
        Self { bus, name }
    }

    async fn publish(&self, outgoing: &Outgoing) -> Result<(), SendError> {
        let message = &outgoing.message;
        let subject = subject::error(&message.host, &message.instance, message.severity);
        let id = message.message_id.to_string();
        let headers = Headers::new().with("traceparent", &outgoing.traceparent());
        let stored = self.bus.publish_bytes(&subject, outgoing.payload.clone(), Some(&id), headers).await;
        // Also a lost answer: sent again with the same id, it is stored once.
        stored.map(|_| ()).map_err(|error| SendError::away(&self.name, error))
    }
}

impl Transport for Nats {
    fn send<'a>(&'a self, message: &'a Outgoing) -> BoxFuture<'a, Result<(), SendError>> {
        Box::pin(self.publish(message))
    }

    fn destination(&self) -> &str {
        &self.name
    }
}
