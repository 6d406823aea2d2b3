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

use crate::{Gateway, auth, config::Right, problem::Problem};

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
        instance.caller = tracing::field::Empty,
    );
    if let Some(traceparent) = request.headers().get("traceparent").and_then(|value| value.to_str().ok()) {
        instance_bus::continue_from(&span, traceparent);
    }
    let began = Instant::now();
    let outcome = admit(&gate, request, next).instrument(span.clone()).await;
    let response = outcome.unwrap_or_else(Problem::into_response);
    let status = response.status();
    // Signed: what is unsigned would be exported as a text.
    span.record("http.response.status_code", i64::from(status.as_u16()));
    HTTP_DURATION.record(began.elapsed().as_secs_f64(), &[&method, &route, status.as_str()]);
    response
}

async fn admit(gate: &Gate, request: Request, next: Next) -> Result<Response, Problem> {
    let (mut parts, body) = request.into_parts();
    let patience = Duration::from_secs(gate.gateway.config.limits.request_seconds.into());
    let bytes = if let Some(right) = gate.right {
        let (name, bytes) = known(gate, right, &parts, body, patience).await?;
        tracing::Span::current().record("instance.caller", &name);
        parts.extensions.insert(Asker(name));
        bytes
    } else {
        if !gate.gateway.open.allows() {
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

/// The caller's name and the whole body.
async fn known(
    gate: &Gate,
    right: Right,
    parts: &Parts,
    body: Body,
    patience: Duration,
) -> Result<(String, Bytes), Problem> {
    let gateway = &gate.gateway;
    let (caller, bytes) = if parts.headers.contains_key(auth::SIGNATURE) {
        // A signature is over the body, so that is read first; nothing of it is looked at before.
        let bytes = read(gate, &parts.headers, body, patience).await?;
        let asked = auth::Asked::of(&parts.method, &parts.uri);
        (gateway.callers.by_signature(&parts.headers, &asked, &bytes, gateway.clock.now()), Ok(bytes))
    } else {
        (gateway.callers.by_token(&parts.headers), Err(body))
    };
    let Some(caller) = caller else {
        if gateway.refusals.allows() {
            tracing::warn!("a request without a credential that is known was refused");
        }
        return Err(Problem::new(StatusCode::UNAUTHORIZED, "a known token or signature is needed"));
    };
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
    Ok((caller.name.clone(), bytes))
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

fn too_many() -> Problem {
    Problem::later(StatusCode::TOO_MANY_REQUESTS, "too many requests; the setting \"limits\" says how many")
}
