//! OTLP over TLS: the HTTP client under an exporter whose address is `https://`.
//!
//! Our own one, so that the tree has one crypto provider (ring) and the client of plain HTTP stays as it is. It works on the
//! exporter's thread, so whatever a receiver does with it, no work waits.

use std::error::Error as StdError;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use std::{fmt, fs};

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::{self, connect::HttpConnector};
use hyper_util::rt::TokioExecutor;
use opentelemetry_http::{HttpClient, HttpError};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ClientConfig, RootCertStore, crypto::ring};
use tokio::runtime::{self, Runtime};
use tokio::time::timeout;

use crate::destinations::{Named, Signal, Trust};
use crate::error_chain::error_chain;
use crate::start::Error;

/// No receiver answers with more.
const LONGEST_ANSWER: usize = 4 * 1024 * 1024;

/// Sends one signal.
pub(crate) struct Client {
    signal: Signal,
    http: legacy::Client<HttpsConnector<HttpConnector>, Full<Bytes>>,
    limit: Duration,
    /// `None` only while it is dropped.
    runtime: Option<Runtime>,
    /// The receiver cannot be spoken to, and that was told.
    told: AtomicBool,
}

impl Client {
    pub fn new(signal: Signal, trust: &Trust) -> Result<Self, Error> {
        let connector =
            HttpsConnectorBuilder::new().with_tls_config(config(trust)?).https_only().enable_http1().build();
        let runtime = runtime::Builder::new_current_thread().enable_all().build();
        Ok(Self {
            signal,
            http: legacy::Client::builder(TokioExecutor::new()).build(connector),
            limit: trust.limit,
            runtime: Some(runtime.map_err(|error| Error::Tls(Box::new(error)))?),
            told: AtomicBool::new(false),
        })
    }

    async fn answer(&self, request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
        let (head, body) = self.http.request(request.map(Full::new)).await?.into_parts();
        let body = Limited::new(body, LONGEST_ANSWER).collect().await?.to_bytes();
        Ok(Response::from_parts(head, body))
    }

    /// The first failure after a success is told with its cause; the SDK tells the rest in its own words.
    fn note(&self, failure: Option<&(dyn StdError + 'static)>) {
        let told = self.told.swap(failure.is_some(), Ordering::Relaxed);
        let signal = self.signal;
        match failure {
            Some(error) if !told => tracing::warn!(
                error = error_chain(error),
                %signal,
                "no TLS connection to the OTLP receiver: what is told is dropped until there is one"
            ),
            None if told => tracing::info!(%signal, "the OTLP receiver can be reached again"),
            _ => {}
        }
    }
}

#[async_trait::async_trait]
impl HttpClient for Client {
    /// Blocks: an exporter has a thread of its own, outside any async runtime.
    async fn send_bytes(&self, request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
        let runtime = self.runtime.as_ref().expect("it is there until the client is dropped");
        let answer = runtime.block_on(async {
            match timeout(self.limit, self.answer(request)).await {
                Ok(answer) => answer,
                Err(elapsed) => Err(elapsed.into()),
            }
        });
        self.note(answer.as_ref().err().map(|error| &**error as &(dyn StdError + 'static)));
        answer
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Client").field("signal", &self.signal).finish_non_exhaustive()
    }
}

impl Drop for Client {
    /// Also inside an async runtime, which must not wait for another one.
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

/// What is trusted and shown, read from the files now.
pub(crate) fn config(trust: &Trust) -> Result<ClientConfig, Error> {
    let mut roots = RootCertStore::empty();
    match &trust.authorities {
        Some(file) => {
            for certificate in certificates(file)? {
                roots.add(certificate).map_err(|_| refused(file))?;
            }
        }
        None => {
            roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        }
    }
    let builder = ClientConfig::builder_with_provider(ring::default_provider().into())
        .with_safe_default_protocol_versions()
        .expect("ring offers what the default versions need")
        .with_root_certificates(roots);
    let Some((certificate, key)) = &trust.own else { return Ok(builder.with_no_client_auth()) };
    let text = fs::read(&key.value).map_err(|_| unread(key))?;
    let own = PrivateKeyDer::from_pem_slice(&text).map_err(|_| Error::Variable {
        name: key.name.clone(),
        value: key.value.clone(),
        rule: "a file with a private key in PEM",
    })?;
    builder
        .with_client_auth_cert(certificates(certificate)?, own)
        .map_err(|error| Error::Tls(Box::new(error)))
}

fn certificates(file: &Named) -> Result<Vec<CertificateDer<'static>>, Error> {
    let text = fs::read(&file.value).map_err(|_| unread(file))?;
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&text).collect();
    found.ok().filter(|found| !found.is_empty()).ok_or_else(|| refused(file))
}

fn unread(file: &Named) -> Error {
    Error::Variable {
        name: file.name.clone(),
        value: file.value.clone(),
        rule: "a file that this process may read",
    }
}

fn refused(file: &Named) -> Error {
    Error::Variable {
        name: file.name.clone(),
        value: file.value.clone(),
        rule: "a file of certificates in PEM",
    }
}
