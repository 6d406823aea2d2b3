//! Is it alive, and can it do its work? As every process of ours answers it, here for whoever reaches only this address.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
};

use axum::{
    extract::{RawQuery, State},
    http::StatusCode,
    response::{IntoResponse as _, Response},
};

use crate::Gateway;

/// What `/readyz` has answered last, in short and in full: for those who ask more often than the bus is asked.
#[derive(Default)]
pub(crate) struct Answered(Mutex<BTreeMap<bool, (bool, String)>>);

/// The process turns; the bus may be away.
pub(crate) async fn livez() -> &'static str {
    "ok\n"
}

/// 200 while it takes work and the bus answers with its streams there, else 503. `?verbose` says what was looked at.
/// Everybody is answered: in a flood with what was found an instant ago.
pub(crate) async fn readyz(State(gateway): State<Arc<Gateway>>, RawQuery(query): RawQuery) -> Response {
    let query = query.unwrap_or_default();
    let verbose = query.contains("verbose");
    let before = if gateway.open.allows() { None } else { gateway.answered.last(verbose) };
    let (ready, page) = if let Some(before) = before {
        before
    } else {
        let found = gateway.readiness.answer(&query).await;
        gateway.answered.note(verbose, &found);
        found
    };
    let status = if ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    (status, page).into_response()
}

impl Answered {
    fn last(&self, verbose: bool) -> Option<(bool, String)> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get(&verbose).cloned()
    }

    fn note(&self, verbose: bool, found: &(bool, String)) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(verbose, found.clone());
    }
}
