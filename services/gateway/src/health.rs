//! Is it alive, and can it do its work?

use std::{sync::Arc, time::Duration};

use axum::{
    Json,
    extract::{RawQuery, State},
    http::StatusCode,
    response::{IntoResponse as _, Response},
};
use schemars::JsonSchema;
use serde::Serialize;

use crate::Gateway;

/// A bus that has not answered by then counts as away.
const PATIENCE: Duration = Duration::from_secs(2);

/// What the gateway needs for its work.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct Readiness {
    pub(crate) ready: bool,
    /// Each need by its name, and what is wrong with it; null when nothing is.
    pub(crate) checks: std::collections::BTreeMap<&'static str, Option<String>>,
}

/// The process turns; the bus may be away.
pub(crate) async fn livez() -> &'static str {
    "ok"
}

/// 200 while it takes work and the bus answers with its streams there, else 503. `?verbose` says what was looked at.
pub(crate) async fn readyz(State(gateway): State<Arc<Gateway>>, RawQuery(query): RawQuery) -> Response {
    let draining = gateway.drain.is_requested().then(|| "a drain was asked for".to_owned());
    // Within half of what the whole request has, so that the answer says what is wrong, and not that it came late.
    let whole = Duration::from_secs(gateway.config.limits.request_seconds.into());
    let bus = match tokio::time::timeout(PATIENCE.min(whole / 2), gateway.bus.topology()).await {
        Ok(Ok(_)) => None,
        Ok(Err(error)) => Some(instance_chassis::error_chain(&error)),
        Err(_) => Some("no answer in time".to_owned()),
    };
    let ready = draining.is_none() && bus.is_none();
    let status = if ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    let verbose = query.unwrap_or_default().split('&').any(|word| matches!(word, "verbose" | "verbose=true"));
    if verbose {
        let checks = [("bus", bus), ("draining", draining)].into_iter().collect();
        (status, Json(Readiness { ready, checks })).into_response()
    } else {
        (status, if ready { "ok" } else { "not ready; ?verbose says why" }).into_response()
    }
}
