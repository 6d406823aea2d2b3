//! A consumer that takes messages by HTTP POST.

use std::error::Error as _;
use std::time::Duration;

use futures::future::BoxFuture;
use instance_contract::IrisMessage;
use reqwest::{Client, RequestBuilder, StatusCode, Url, redirect};

use crate::destination::InvalidDestination;
use crate::transport::{Outgoing, SendError, Transport};

/// How long a consumer may take to answer, unless told otherwise.
pub const DEFAULT_TIMEOUT: Duration = Duration::from_secs(10);
/// Of an answer, so much is told.
const LONGEST_ANSWER: usize = 300;

/// Posts each message as JSON. The headers tell what a consumer needs to recognise and to order it: `Idempotency-Key`
/// (the message id), `Instance-Sequence`, `Instance-Trace-Id`, `Instance-Schema` and `traceparent`.
#[derive(Debug, Clone)]
pub struct Http {
    client: Client,
    url: Url,
    name: String,
}

impl Http {
    /// A consumer at a URL; `timeout` is for each try.
    pub fn new(url: &Url, timeout: Duration) -> Result<Self, InvalidDestination> {
        let client = client(url, timeout).map_err(|source| InvalidDestination::Client { source })?;
        Ok(Self { client, url: url.clone(), name: without_password(url) })
    }

    async fn post(&self, message: &Outgoing) -> Result<(), SendError> {
        let IrisMessage { message_id, trace_id, schema, .. } = &message.message;
        let request = self
            .client
            .post(self.url.clone())
            .header("Content-Type", "application/json")
            .header("Idempotency-Key", message_id.to_string())
            .header("Instance-Sequence", message.order)
            .header("Instance-Trace-Id", trace_id.as_str())
            .header("Instance-Schema", schema)
            .header("traceparent", message.traceparent())
            .body(message.payload.clone());
        settled(request, &self.name, is_about_the_message).await
    }
}

/// The message itself is what is wrong.
const fn is_about_the_message(status: StatusCode) -> bool {
    matches!(
        status,
        StatusCode::BAD_REQUEST
            | StatusCode::PAYLOAD_TOO_LARGE
            | StatusCode::UNSUPPORTED_MEDIA_TYPE
            | StatusCode::UNPROCESSABLE_ENTITY
    )
}

/// Sends once, and tells the three answers apart; `never` says which status no later try can change.
pub(crate) async fn settled(
    request: RequestBuilder,
    name: &str,
    never: fn(StatusCode) -> bool,
) -> Result<(), SendError> {
    let mut answer = request.send().await.map_err(|error| SendError::away(name, innermost(&error)))?;
    let status = answer.status();
    if status.is_success() {
        return Ok(());
    }
    // No more than is told on: a consumer's error page may be of any size. A character has four bytes at most.
    let mut body = Vec::new();
    while body.len() < 4 * LONGEST_ANSWER
        && let Ok(Some(chunk)) = answer.chunk().await
    {
        body.extend_from_slice(&chunk);
    }
    let text: String = String::from_utf8_lossy(&body).chars().take(LONGEST_ANSWER).collect();
    let told = format!("{status}: {text}");
    if never(status) {
        return Err(SendError::Refused { destination: name.to_owned(), answer: told });
    }
    Err(SendError::away(name, told))
}

impl Transport for Http {
    fn send<'a>(&'a self, message: &'a Outgoing) -> BoxFuture<'a, Result<(), SendError>> {
        Box::pin(self.post(message))
    }

    fn destination(&self) -> &str {
        &self.name
    }
}

/// A client that follows nothing and asks no proxy on the way to this very machine.
pub(crate) fn client(url: &Url, timeout: Duration) -> reqwest::Result<Client> {
    let local = matches!(url.host_str(), Some("localhost" | "127.0.0.1" | "[::1]"));
    let builder = Client::builder().timeout(timeout).redirect(redirect::Policy::none());
    if local { builder.no_proxy() } else { builder }.build()
}

/// The cause that a person can do something about.
pub(crate) fn innermost(error: &reqwest::Error) -> String {
    let mut told = error.to_string();
    let mut cause = error.source();
    while let Some(inner) = cause {
        told = inner.to_string();
        cause = inner.source();
    }
    if error.is_timeout() { "no answer in time".to_owned() } else { told }
}

pub(crate) fn without_password(url: &Url) -> String {
    let mut url = url.clone();
    // A URL that can hold none needs none taken out.
    let _ = url.set_password(None);
    url.to_string()
}
