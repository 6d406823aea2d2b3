//! An endpoint outside that is told of what a person has to look at.

use std::fmt;
use std::time::Duration;

use bytes::Bytes;
use instance_contract::TraceId;
use reqwest::{Client, StatusCode, Url};

use crate::http::{client, innermost, settled};
use crate::transport::SendError;

/// Takes JSON documents by HTTP POST. Nothing of its URL but the origin is ever told: the path of a webhook is often
/// its secret.
#[derive(Clone)]
pub struct Webhook {
    client: Client,
    url: Url,
    token: Option<String>,
    name: String,
}

/// A URL that is no webhook.
#[derive(Debug, thiserror::Error)]
pub enum InvalidWebhook {
    #[error("a webhook must be written http://host:port/path")]
    Form,
    #[error(
        "the webhook at {0} asks for TLS, which is not spoken here; let a proxy beside this process do it, and name it \
         with http://"
    )]
    Tls(String),
    #[error("could not make an HTTP client: {0}")]
    Client(String),
}

impl Webhook {
    /// The endpoint at a URL; `timeout` is for each try, `token` goes along as `Authorization: Bearer`.
    pub fn new(url: &str, timeout: Duration, token: Option<String>) -> Result<Self, InvalidWebhook> {
        let url = Url::parse(url).map_err(|_| InvalidWebhook::Form)?;
        let name = url.origin().ascii_serialization();
        match (url.scheme(), url.has_host()) {
            ("http", true) => {}
            ("https", true) => return Err(InvalidWebhook::Tls(name)),
            _ => return Err(InvalidWebhook::Form),
        }
        let client = client(&url, timeout).map_err(|error| InvalidWebhook::Client(innermost(&error)))?;
        if let Some(token) = &token {
            instance_redaction::learn(token);
        }
        Ok(Self { client, url, token, name })
    }

    /// Where it is, for people: without path and password.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Posts one document. The same `key` on every try lets the endpoint recognise a repetition.
    pub async fn post(
        &self,
        key: &str,
        schema: &str,
        trace_id: &TraceId,
        payload: Bytes,
    ) -> Result<(), SendError> {
        let mut request = self
            .client
            .post(self.url.clone())
            .header("Content-Type", "application/json")
            .header("Idempotency-Key", key)
            .header("Instance-Trace-Id", trace_id.as_str())
            .header("Instance-Schema", schema)
            .body(payload);
        if let Some(token) = &self.token {
            request = request.bearer_auth(token);
        }
        settled(request, &self.name, is_final).await
    }
}

/// A 4xx will be the same tomorrow; being slow (408) or asked too often (429) will not.
fn is_final(status: StatusCode) -> bool {
    let passing = [StatusCode::REQUEST_TIMEOUT, StatusCode::TOO_MANY_REQUESTS];
    status.is_client_error() && !passing.contains(&status)
}

impl fmt::Debug for Webhook {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Webhook").field("name", &self.name).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn what_is_no_webhook_is_refused_and_its_secret_is_not_repeated() {
        for bad in
            ["", "hook", "ftp://h/x", "file:///tmp/x", "http://", "https://chat.example/hooks/T0PSECRET"]
        {
            let told = Webhook::new(bad, SECOND, None).unwrap_err().to_string();
            assert!(!told.contains("T0PSECRET"), "{told}");
        }
        let webhook =
            Webhook::new("http://me:pass@127.0.0.1:9/hooks/T0PSECRET", SECOND, Some("k3y".to_owned()));
        let shown = format!("{:?} {}", webhook.as_ref().unwrap(), webhook.as_ref().unwrap().name());
        assert!(shown.contains("http://127.0.0.1:9"), "{shown}");
        assert!(!["T0PSECRET", "pass", "k3y"].iter().any(|secret| shown.contains(secret)), "{shown}");
    }

    #[test]
    fn only_what_cannot_pass_is_final() {
        for (status, expected) in [
            (400, true),
            (401, true),
            (404, true),
            (410, true),
            (408, false),
            (429, false),
            (500, false),
            (302, false),
        ] {
            assert_eq!(is_final(StatusCode::from_u16(status).unwrap()), expected, "{status}");
        }
    }
}
