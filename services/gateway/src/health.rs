//! Is it alive, and can it do its work? As every process of ours answers it, here for whoever reaches only this address.

use std::sync::Arc;

use axum::{
    extract::{RawQuery, State},
    http::StatusCode,
    response::{IntoResponse as _, Response},
};

use crate::Gateway;

/// The process turns; the bus may be away.
pub(crate) async fn livez() -> &'static str {
    "ok\n"
}

/// 200 while it takes work and the bus answers with its streams there, else 503. `?verbose` says what was looked at.
pub(crate) async fn readyz(State(gateway): State<Arc<Gateway>>, RawQuery(query): RawQuery) -> Response {
    let (ready, page) = gateway.readiness.answer(&query.unwrap_or_default()).await;
    let status = if ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    (status, page).into_response()
}
