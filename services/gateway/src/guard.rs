//! What every request passes: its trace, its limits, its credential.

use std::{sync::Arc, time::Duration};

use axum::{
    body::{Body, Bytes, HttpBody as _},
    extract::{MatchedPath, Request, State},
    http::{HeaderMap, Method, StatusCode, header, request::Parts},
    middleware::Next,
    response::{IntoResponse as _, Response},
};
use futures::StreamExt as _;
use instance_signals::metrics::HTTP_DURATION;
use tokio::time::Instant;
use tracing::Instrument as _;

use crate::{
    Gateway,
    auth::{self, Caller},
    config::Right,
    problem::Problem,
    strangers::Peer,
};

/// So many times the limit of a body that is too large are read before the answer,
const TAKEN_IN: usize = 4;
/// within this time.
const TAKING_IN: Duration = Duration::from_secs(1);

/// What a route asks of its callers.
#[derive(Clone)]
pub(crate) struct Gate {
    pub(crate) gateway: Arc<Gateway>,
    /// None: no credential is needed.
    pub(crate) right: Option<Right>,
    /// Whether the limit of what needs no credential counts: not for health, or a flood would have it found dead.
    pub(crate) limited: bool,
    /// Largest body, in bytes.
    pub(crate) body: usize,
}

/// Who asks, for the handlers.
#[derive(Clone)]
pub(crate) struct Asker(pub(crate) String);

/// Lets a request in, or says why not; one span for all that it does.
pub(crate) async fn guard(State(gate): State<Gate>, request: Request, next: Next) -> Response {
    let route = request.extensions().get::<MatchedPath>().map_or("", MatchedPath::as_str).to_owned();
    let method = request.method().as_str().to_owned();
    let span = tracing::info_span!(
        "http",
        otel.name = format!("{method} {route}"),
        otel.kind = "server",
        http.request.method = method,
        http.route = route,
        http.response.status_code = tracing::field::Empty,
        otel.status_code = tracing::field::Empty,
        error.type = tracing::field::Empty,
        instance.caller = tracing::field::Empty,
    );
    if let Some(traceparent) = request.headers().get("traceparent").and_then(|value| value.to_str().ok()) {
        instance_bus::continue_from(&span, traceparent);
    }
    let began = Instant::now();
    let mut caller = None;
    let outcome = admit(&gate, request, next, &mut caller).instrument(span.clone()).await;
    let response = outcome.unwrap_or_else(Problem::into_response);
    let status = response.status();
    // Signed: what is unsigned would be exported as a text.
    span.record("http.response.status_code", i64::from(status.as_u16()));
    // A server fails by 5xx alone: what a caller did wrong is no failure of ours. (As the conventions for HTTP want it.)
    let failed = if status.is_server_error() { status.as_str() } else { "" };
    if !failed.is_empty() {
        span.record("otel.status_code", "ERROR");
        span.record("error.type", failed);
    }
    let labels = [&method, &route, status.as_str(), failed];
    // Measured inside the span, so that the value can name its trace.
    span.in_scope(|| HTTP_DURATION.record(began.elapsed().as_secs_f64(), &labels));
    gate.gateway.decisions.answered(&gate.gateway, caller.as_deref(), &method, &route, &response);
    response
}

async fn admit(
    gate: &Gate,
    request: Request,
    next: Next,
    caller: &mut Option<String>,
) -> Result<Response, Problem> {
    let (mut parts, body) = request.into_parts();
    let patience = Duration::from_secs(gate.gateway.config.limits.request_seconds.into());
    let bytes = if let Some(right) = gate.right {
        let (known, bytes) = known(gate, &parts, body, patience).await?;
        tracing::Span::current().record("instance.caller", &known.name);
        *caller = Some(known.name.clone());
        let bytes = may_ask(gate, known, right, &parts, bytes, patience).await?;
        parts.extensions.insert(Asker(known.name.clone()));
        bytes
    } else {
        if gate.limited && !gate.gateway.open.allows() {
            return Err(too_many());
        }
        Bytes::new()
    };
    let answering = next.run(Request::from_parts(parts, Body::from(bytes)));
    tokio::time::timeout(patience, answering).await.map_err(|_| {
        Problem::later(
            StatusCode::SERVICE_UNAVAILABLE,
            "it took too long; it may have been done, so look first",
        )
    })
}

/// Who asks, and the body as far as it was needed to know that.
async fn known<'a>(
    gate: &'a Gate,
    parts: &Parts,
    body: Body,
    patience: Duration,
) -> Result<(&'a Caller, Result<Bytes, Body>), Problem> {
    let gateway = &gate.gateway;
    let peer = parts.extensions.get::<Peer>().copied();
    let spent = || peer.is_some_and(|peer| gateway.strangers.is_spent(peer, Instant::now()));
    let (caller, bytes) = if parts.headers.contains_key(auth::SIGNATURE) {
        // A signature is over the body, so that is read first; nothing of it is looked at before. Not from a peer that has
        // been wrong too often, nor for what could be no signature of today.
        if spent() {
            return Err(strangers());
        }
        let now = gateway.clock.now();
        let bytes = if auth::may_be_signed(&parts.headers, now) {
            read(gate, &parts.headers, body, patience).await?
        } else {
            Bytes::new()
        };
        let asked = auth::Asked::of(&parts.method, &parts.uri);
        (gateway.callers.by_signature(&parts.headers, &asked, &bytes, now), Ok(bytes))
    } else {
        (gateway.callers.by_token(&parts.headers), Err(body))
    };
    if let Some(caller) = caller {
        return Ok((caller, bytes));
    }
    if spent() {
        return Err(strangers());
    }
    if let Some(peer) = peer {
        gateway.strangers.was_wrong(peer, Instant::now());
    }
    if gateway.refusals.allows() {
        tracing::warn!("a request without a credential that is known was refused");
    }
    Err(Problem::new(StatusCode::UNAUTHORIZED, "a known token or signature is needed"))
}

/// The whole body, of a caller who may ask for this, now, in this form.
async fn may_ask(
    gate: &Gate,
    caller: &Caller,
    right: Right,
    parts: &Parts,
    bytes: Result<Bytes, Body>,
    patience: Duration,
) -> Result<Bytes, Problem> {
    if !caller.limit.allows() {
        return Err(too_many());
    }
    if !caller.may(right) {
        let word = format!("{right:?}").to_lowercase();
        let title = format!("the setting \"may\" of caller \"{}\" does not hold \"{word}\"", caller.name);
        return Err(Problem::new(StatusCode::FORBIDDEN, title));
    }
    let bytes = match bytes {
        Ok(bytes) => bytes,
        Err(body) => read(gate, &parts.headers, body, patience).await?,
    };
    if parts.method == Method::POST && !is_json(&parts.headers) {
        return Err(Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "the body must be application/json"));
    }
    Ok(bytes)
}

async fn read(gate: &Gate, headers: &HeaderMap, body: Body, patience: Duration) -> Result<Bytes, Problem> {
    let too_large = || {
        let title = format!("the body may have {} bytes at most", gate.body);
        Problem::new(StatusCode::PAYLOAD_TOO_LARGE, title)
    };
    if headers.contains_key(header::CONTENT_ENCODING) {
        return Err(Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "the body must not be compressed"));
    }
    if body.size_hint().lower() > gate.body as u64 {
        take_in(body, gate.body).await;
        return Err(too_large());
    }
    match tokio::time::timeout(patience, axum::body::to_bytes(body, gate.body)).await {
        Ok(Ok(bytes)) => Ok(bytes),
        // Beside the limit only a connection that broke off, and then nobody reads this.
        Ok(Err(_)) => Err(too_large()),
        Err(_) => Err(Problem::new(StatusCode::REQUEST_TIMEOUT, "the body did not come in time")),
    }
}

/// Takes in what a sender is sending, within bounds: closed over unread bytes, the connection would be reset, and the
/// sender would never read why.
async fn take_in(body: Body, limit: usize) {
    let all = async {
        let (mut pieces, mut left) = (body.into_data_stream(), limit.saturating_mul(TAKEN_IN));
        while let Some(Ok(piece)) = pieces.next().await {
            left = left.saturating_sub(piece.len());
            if left == 0 {
                break;
            }
        }
    };
    // Whoever is slower is told what can still be told.
    let _ = tokio::time::timeout(TAKING_IN, all).await;
}

fn is_json(headers: &HeaderMap) -> bool {
    let value = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let kind = value.split(';').next().unwrap_or_default().trim();
    kind.eq_ignore_ascii_case("application/json")
}

/// The body of such a request is not read.
fn strangers() -> Problem {
    Problem::later(
        StatusCode::TOO_MANY_REQUESTS,
        "too many requests without a known token or signature have come from this address",
    )
}

fn too_many() -> Problem {
    Problem::later(StatusCode::TOO_MANY_REQUESTS, "too many requests; the setting \"limits\" says how many")
}
