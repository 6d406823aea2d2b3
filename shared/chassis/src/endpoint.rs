//! A small HTTP endpoint beside the work, where the settings name an address: `/livez`, `/readyz`, `/metrics`.
//!
//! It runs on the loop that does the work, so that an answer shows that the loop turns. It is bounded: a few connections at
//! a time, each with one question and little time; the rest wait in the queue of the socket.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::header::{ACCEPT, ALLOW, CONTENT_TYPE, HeaderValue};
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use instance_telemetry::Format;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio_util::task::TaskTracker;

use crate::readiness::Readiness;

/// Connections that are answered at the same time.
const AT_ONCE: usize = 8;
/// For a question to come, and its answer to go.
const LONGEST: Duration = Duration::from_secs(10);
/// After an error of the socket, e.g. no more file descriptors.
const PAUSE: Duration = Duration::from_millis(200);
const TEXT: &str = "text/plain; charset=utf-8";

/// What is answered from.
pub(crate) struct Endpoint {
    pub readiness: Readiness,
    /// What is true of the whole process, by name.
    pub resource: Vec<(String, String)>,
}

/// Opens the address, so that one that is taken is told before the work begins.
pub(crate) async fn open(address: SocketAddr) -> std::io::Result<TcpListener> {
    let listener = TcpListener::bind(address).await?;
    let address = listener.local_addr()?;
    tracing::info!(%address, "answers /livez, /readyz and /metrics");
    Ok(listener)
}

/// Answers for as long as it is polled.
pub(crate) async fn serve(listener: TcpListener, endpoint: Arc<Endpoint>) -> Infallible {
    let (places, connections) = (Arc::new(Semaphore::new(AT_ONCE)), TaskTracker::new());
    loop {
        let place = Arc::clone(&places).acquire_owned().await.expect("nobody closes it");
        match listener.accept().await {
            Ok((stream, _)) => {
                let endpoint = Arc::clone(&endpoint);
                connections.spawn(async move {
                    // A scraper that is slow or goes away is its own misfortune.
                    let _ = tokio::time::timeout(LONGEST, attend(stream, &endpoint)).await;
                    drop(place);
                });
            }
            Err(error) => {
                tracing::warn!(%error, "the health endpoint cannot take a connection");
                tokio::time::sleep(PAUSE).await;
            }
        }
    }
}

async fn attend(stream: TcpStream, endpoint: &Endpoint) -> Result<(), hyper::Error> {
    let answer =
        service_fn(async |request: Request<Incoming>| Ok::<_, Infallible>(endpoint.answer(&request).await));
    hyper::server::conn::http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(LONGEST)
        // One question a connection: an idle scraper keeps nobody's place.
        .keep_alive(false)
        .max_buf_size(16 * 1024)
        .serve_connection(TokioIo::new(stream), answer)
        .await
}

impl Endpoint {
    async fn answer<B>(&self, request: &Request<B>) -> Response<Full<Bytes>> {
        if *request.method() != Method::GET && *request.method() != Method::HEAD {
            let mut answer = response(StatusCode::METHOD_NOT_ALLOWED, TEXT, "only GET\n".to_owned());
            answer.headers_mut().insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
            return answer;
        }
        match request.uri().path() {
            // That anything is answered at all says it.
            "/livez" => response(StatusCode::OK, TEXT, "ok\n".to_owned()),
            "/readyz" => {
                let (ready, page) = self.readiness.answer(request.uri().query().unwrap_or_default()).await;
                let status = if ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
                response(status, TEXT, page)
            }
            "/metrics" => {
                let accept = request.headers().get(ACCEPT).and_then(|value| value.to_str().ok());
                let format = Format::asked_for(accept.unwrap_or_default());
                self.readiness.look().await;
                let page = instance_telemetry::scrape(format, &self.resource);
                response(StatusCode::OK, format.content_type(), page)
            }
            _ => {
                response(StatusCode::NOT_FOUND, TEXT, "try /livez, /readyz?verbose or /metrics\n".to_owned())
            }
        }
    }
}

fn response(status: StatusCode, content_type: &'static str, body: String) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(Bytes::from(body)));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    response
}
