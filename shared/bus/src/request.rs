//! Request and reply, and an inbox for an answer that comes later.

use std::time::Duration;

use async_nats::{RequestErrorKind, Subscriber};
use bytes::Bytes;
use futures::StreamExt as _;
use instance_contract::subject::Subject;
use tracing::Instrument as _;

use crate::{Bus, BusError, Headers, ServiceError, measure, trace};

/// The answer to a request.
#[derive(Debug, Clone)]
pub struct Reply {
    pub payload: Bytes,
    pub headers: Headers,
}

/// A request without an answer that can be used.
#[derive(Debug, thiserror::Error)]
pub enum RequestError {
    /// Nobody listens on that subject.
    #[error("nobody answers on \"{subject}\"")]
    NobodyThere { subject: String },
    /// The question may have been worked on.
    #[error("no answer on \"{subject}\" in time")]
    TimedOut { subject: String },
    /// The other side answered that it could not.
    #[error("\"{subject}\" answered with an error")]
    Answered {
        subject: String,
        #[source]
        error: ServiceError,
    },
    #[error("could not ask on \"{subject}\"")]
    Send {
        subject: String,
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}

impl RequestError {
    fn kind(&self) -> &'static str {
        match self {
            Self::NobodyThere { .. } => "nobody_there",
            Self::TimedOut { .. } => "timed_out",
            Self::Answered { .. } => "answered",
            Self::Send { .. } => "send",
        }
    }
}

impl Bus {
    /// Asks, and waits at most `timeout` for one answer.
    pub async fn request(
        &self,
        subject: &Subject,
        payload: Bytes,
        timeout: Duration,
    ) -> Result<Reply, RequestError> {
        let span = trace::request_span(subject.as_str());
        let mut headers = Headers::new();
        {
            // Sending is all that this span covers: the far side is not waited for in it.
            let publish = span.in_scope(|| trace::publish_span(self, subject.as_str(), None));
            trace::inject(&publish, headers.map_mut());
        }
        let mut request = async_nats::Request::new().payload(payload).timeout(Some(timeout));
        if !headers.is_empty() {
            request = request.headers(headers.into_map());
        }
        let send = self.client.send_request(subject.to_string(), request).instrument(span.clone());
        let outcome = match tokio::time::timeout(timeout, send).await {
            Err(_) => Err(RequestError::TimedOut { subject: subject.to_string() }),
            Ok(answer) => answer.map_err(|error| request_error(subject, error)).and_then(|message| {
                let reply = Reply { payload: message.payload, headers: Headers::from_map(message.headers) };
                match ServiceError::in_reply(&reply.headers, &reply.payload) {
                    Some(error) => Err(RequestError::Answered { subject: subject.to_string(), error }),
                    None => Ok(reply),
                }
            }),
        };
        let failed = outcome.as_ref().err().map(RequestError::kind);
        if let Some(kind) = failed {
            trace::fail(&span, kind);
        }
        measure::asked(subject.as_str(), failed);
        outcome
    }

    /// A subject of our own on which answers arrive, e.g. for the header `Instance-Reply` of a command.
    pub async fn inbox(&self) -> Result<Inbox, BusError> {
        let subject = self.client.new_inbox();
        let messages = self
            .client
            .subscribe(subject.clone())
            .await
            .map_err(|error| BusError::failed("subscribe to", "an inbox", error))?;
        // A command sent right after this must not be answered before the server knows the subscription.
        self.flush().await?;
        Ok(Inbox { subject, messages })
    }
}

/// A subject of our own and what arrives there.
pub struct Inbox {
    subject: String,
    messages: Subscriber,
}

impl Inbox {
    pub fn subject(&self) -> &str {
        &self.subject
    }

    /// The next answer. `None` when the connection is closed. Cancel-safe.
    pub async fn next(&mut self) -> Option<Reply> {
        let message = self.messages.next().await?;
        Some(Reply { payload: message.payload, headers: Headers::from_map(message.headers) })
    }
}

fn request_error(subject: &Subject, error: async_nats::RequestError) -> RequestError {
    let subject = subject.to_string();
    match error.kind() {
        RequestErrorKind::NoResponders => RequestError::NobodyThere { subject },
        RequestErrorKind::TimedOut => RequestError::TimedOut { subject },
        _ => RequestError::Send { subject, source: Box::new(error) },
    }
}
