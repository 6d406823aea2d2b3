//! NATS micro services: every process answers `$SRV.PING`, `INFO` and `STATS`, so `nats micro ls` finds it.

use std::{collections::HashMap, time::Duration};

use async_nats::{
    HeaderMap,
    service::{self, ServiceExt as _},
};
use bytes::Bytes;
use futures::{
    FutureExt as _, StreamExt as _,
    stream::{BoxStream, SelectAll},
};
use instance_contract::subject::Subject;
use serde::Deserialize;
use tokio::time::Instant;
use tracing::Span;

use crate::{Bus, BusError, Headers, trace};

const ERROR_TEXT: &str = "Nats-Service-Error";
const ERROR_CODE: &str = "Nats-Service-Error-Code";

/// An answer that says no.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{text} (code {code})")]
pub struct ServiceError {
    /// As in HTTP: 4xx the asker's fault, 5xx ours.
    pub code: u16,
    pub text: String,
    /// Details for a program, beside the text in the headers. Empty: none.
    pub body: Bytes,
}

impl ServiceError {
    pub fn new(code: u16, text: impl Into<String>) -> Self {
        Self { code, text: text.into(), body: Bytes::new() }
    }

    #[must_use]
    pub fn with_body(self, body: Bytes) -> Self {
        Self { body, ..self }
    }

    pub(crate) fn in_reply(headers: &Headers, body: &Bytes) -> Option<Self> {
        let code = headers.get(ERROR_CODE)?;
        Some(Self {
            code: code.parse().unwrap_or(500),
            text: headers.get(ERROR_TEXT).unwrap_or_default().to_owned(),
            body: body.clone(),
        })
    }
}

/// A service that is about to be announced.
pub struct ServiceBuilder {
    bus: Bus,
    name: String,
    version: String,
    description: String,
    metadata: HashMap<String, String>,
    endpoints: Vec<(String, String, HashMap<String, String>)>,
}

impl Bus {
    /// A service to announce: name `[A-Za-z0-9_-]+`, version as SemVer writes it.
    pub fn service(
        &self,
        name: &str,
        version: &str,
        description: &str,
        metadata: HashMap<String, String>,
    ) -> ServiceBuilder {
        ServiceBuilder {
            bus: self.clone(),
            name: name.to_owned(),
            version: version.to_owned(),
            description: description.to_owned(),
            metadata,
            endpoints: Vec::new(),
        }
    }

    /// Every service of that name (all services without one) that answers within `wait`.
    pub async fn find_services(
        &self,
        name: Option<&str>,
        wait: Duration,
    ) -> Result<Vec<FoundService>, BusError> {
        let failed =
            |error: Box<dyn std::error::Error + Send + Sync>| BusError::failed("look for", "services", error);
        let inbox = self.client.new_inbox();
        let mut answers =
            self.client.subscribe(inbox.clone()).await.map_err(|error| failed(Box::new(error)))?;
        let subject = name.map_or_else(|| "$SRV.INFO".to_owned(), |name| format!("$SRV.INFO.{name}"));
        self.client
            .publish_with_reply(subject, inbox, Bytes::new())
            .await
            .map_err(|error| failed(Box::new(error)))?;
        let deadline = Instant::now() + wait;
        let mut found = Vec::new();
        while let Ok(Some(answer)) = tokio::time::timeout_at(deadline, answers.next()).await {
            // "No responders" has no payload; what is not a service's answer is not a service.
            match serde_json::from_slice::<FoundService>(&answer.payload) {
                Ok(service) => found.push(service),
                Err(_) if answer.status.is_some() => break,
                Err(_) => {}
            }
        }
        found.sort_by(|a, b| (&a.name, &a.id).cmp(&(&b.name, &b.id)));
        Ok(found)
    }
}

impl ServiceBuilder {
    /// Adds a subject that this service answers.
    #[must_use]
    pub fn endpoint(mut self, name: &str, subject: &Subject, metadata: HashMap<String, String>) -> Self {
        self.endpoints.push((name.to_owned(), subject.to_string(), metadata));
        self
    }

    /// Announces the service and takes requests from now on.
    pub async fn start(self) -> Result<Service, BusError> {
        let failed = |source| BusError::Failed {
            operation: "announce",
            thing: format!("service \"{}\"", self.name),
            source,
        };
        let service = self
            .bus
            .client
            .service_builder()
            .description(&self.description)
            .metadata(self.metadata.clone())
            .start(&self.name, &self.version)
            .await
            .map_err(failed)?;
        let mut requests: SelectAll<BoxStream<'static, Request>> = SelectAll::new();
        for (name, subject, metadata) in &self.endpoints {
            let endpoint = service
                .endpoint_builder()
                .name(name)
                .metadata(metadata.clone())
                .add(subject)
                .await
                .map_err(failed)?;
            let (bus, name) = (self.bus.clone(), name.clone());
            requests.push(
                endpoint
                    .map(move |request| Request { bus: bus.clone(), endpoint: name.clone(), inner: request })
                    .boxed(),
            );
        }
        // Whoever is told that the service runs must be able to find it.
        self.bus.flush().await?;
        Ok(Service { service: Some(service), requests })
    }
}

/// An announced service. Dropping it takes it off the bus.
pub struct Service {
    service: Option<service::Service>,
    requests: SelectAll<BoxStream<'static, Request>>,
}

impl Service {
    /// The next request. Cancel-safe. A service without endpoints waits for ever; `None` when the connection is closed.
    pub async fn next(&mut self) -> Option<Request> {
        if self.requests.is_empty() {
            return std::future::pending().await;
        }
        self.requests.next().await
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        // Stopping waits for nothing; it is async in name only.
        if let Some(service) = self.service.take()
            && !matches!(service.stop().now_or_never(), Some(Ok(())))
        {
            tracing::warn!("a service could not be taken off the bus");
        }
    }
}

/// A question to a service.
pub struct Request {
    bus: Bus,
    endpoint: String,
    inner: service::Request,
}

impl Request {
    /// Name of the endpoint that it came to.
    pub fn endpoint(&self) -> &str {
        &self.endpoint
    }

    pub fn subject(&self) -> &str {
        self.inner.message.subject.as_str()
    }

    pub const fn payload(&self) -> &Bytes {
        &self.inner.message.payload
    }

    pub fn header(&self, name: &str) -> Option<String> {
        self.headers().get(name).map(str::to_owned)
    }

    /// CONSUMER span of answering, child of and linked to the asker's.
    pub fn span(&self) -> Span {
        trace::process_span(&self.bus, self.subject(), &self.headers(), None)
    }

    /// Answers. The service's statistics count it, and an error without a body as an error.
    pub async fn respond(self, answer: Result<Bytes, ServiceError>) -> Result<(), BusError> {
        let failed = |error| BusError::failed("answer on", format!("endpoint {}", self.endpoint), error);
        let answered = match answer {
            Err(error) if !error.body.is_empty() => {
                // The library sends errors with an empty body; the protocol allows one.
                let mut headers = HeaderMap::new();
                headers.insert(ERROR_TEXT, error.text.replace(['\r', '\n'], " "));
                headers.insert(ERROR_CODE, error.code.to_string());
                self.inner.respond_with_headers(Ok(error.body), headers).await
            }
            Err(error) => {
                let status = error.text.replace(['\r', '\n'], " ");
                self.inner.respond(Err(service::error::Error { status, code: usize::from(error.code) })).await
            }
            Ok(body) => self.inner.respond(Ok(body)).await,
        };
        answered.map_err(failed)
    }

    fn headers(&self) -> Headers {
        Headers::from_map(self.inner.message.headers.clone())
    }
}

/// A service that answered.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct FoundService {
    pub name: String,
    pub id: String,
    pub version: String,
    #[serde(default)]
    pub description: String,
    #[serde(default)]
    pub metadata: HashMap<String, String>,
    #[serde(default)]
    pub endpoints: Vec<FoundEndpoint>,
}

/// One subject that a service answers.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct FoundEndpoint {
    pub name: String,
    pub subject: String,
    #[serde(default)]
    pub metadata: HashMap<String, String>,
}
