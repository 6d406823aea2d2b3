//! What can be asked, and what each of it needs.

use std::sync::Arc;

use axum::{
    Router,
    http::StatusCode,
    middleware::from_fn_with_state,
    routing::{MethodRouter, get, post},
};
use instance_contract::decode::MAX_COMMAND_BYTES;

use crate::{
    Gateway, alerts, approvals, assert, commands,
    config::Right,
    events,
    guard::{Gate, guard},
    health, openapi,
    problem::Problem,
    remediations,
};

/// Largest body of an approval, in bytes.
const APPROVAL: usize = 4 * 1024;

/// Every route with its right, its method and the largest body that it takes. The OpenAPI document tells the same; a test
/// compares.
pub(crate) fn router(gateway: &Arc<Gateway>) -> Router {
    let gate = |right, limited, body| Gate { gateway: Arc::clone(gateway), right, limited, body };
    // Whoever asks whether it lives must not be kept from it by others.
    let health = |route| gated(gate(None, false, 0), route);
    let open = |route| gated(gate(None, true, 0), route);
    let by = |right, body, route| gated(gate(Some(right), true, body), route);
    Router::new()
        .route("/livez", health(get(health::livez)))
        .route("/readyz", health(get(health::readyz)))
        .route("/v1/openapi.json", open(get(openapi::show)))
        .route("/v1/alerts/alertmanager", by(Right::Alert, alerts::LARGEST, post(alerts::take)))
        .route("/v1/commands", by(Right::Command, MAX_COMMAND_BYTES, post(commands::take)))
        .route("/v1/remediations", by(Right::Read, 0, get(remediations::list)))
        .route("/v1/remediations/{id}", by(Right::Read, 0, get(remediations::one)))
        .route("/v1/remediations/{id}/approvals", by(Right::Approve, APPROVAL, post(approvals::answer)))
        .route("/v1/events", by(Right::Read, 0, get(events::stream)))
        .route("/v1/assert", by(Right::Read, 0, get(assert::verdict)))
        .fallback(async || {
            Problem::new(StatusCode::NOT_FOUND, "there is no such thing; see /v1/openapi.json")
        })
        .method_not_allowed_fallback(async || {
            Problem::new(StatusCode::METHOD_NOT_ALLOWED, "not by this method; see /v1/openapi.json")
        })
        .with_state(Arc::clone(gateway))
}

type Route = MethodRouter<Arc<Gateway>>;

fn gated(gate: Gate, route: Route) -> Route {
    route.route_layer(from_fn_with_state(gate, guard))
}
