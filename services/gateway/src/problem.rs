//! What a request is told that cannot be done: one form for all of them (RFC 9457).

use axum::{
    Json,
    http::{HeaderName, HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use instance_bus::{BusError, PublishError};
use instance_contract::{Fault, Faults};
use instance_redaction::redacted;
use schemars::JsonSchema;
use serde::Serialize;

/// Why a request was not done.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct Problem {
    #[serde(serialize_with = "number")]
    #[schemars(with = "u16")]
    pub(crate) status: StatusCode,
    /// In one sentence, for people.
    pub(crate) title: String,
    /// What is wrong with the input: field, value and rule of each.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) faults: Vec<Fault>,
    /// Try again after so many seconds; also in the header `Retry-After`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) retry_after: Option<u32>,
    /// Another record of the audit trail says so: that of who has refused it.
    #[serde(skip)]
    pub(crate) told_elsewhere: bool,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands over a reference")]
fn number<S: serde::Serializer>(status: &StatusCode, to: S) -> Result<S::Ok, S::Error> {
    to.serialize_u16(status.as_u16())
}

impl Problem {
    pub(crate) fn new(status: StatusCode, title: impl Into<String>) -> Self {
        Self { status, title: title.into(), faults: Vec::new(), retry_after: None, told_elsewhere: false }
    }

    /// The input breaks rules.
    pub(crate) fn faulty(title: impl Into<String>, faults: Faults) -> Self {
        Self { faults: faults.0, ..Self::new(StatusCode::UNPROCESSABLE_ENTITY, title) }
    }

    /// Everything here is a dry run, and what was asked for is not.
    pub(crate) fn dry_run() -> Self {
        Self::new(
            StatusCode::FORBIDDEN,
            "this gateway runs dry (setting \"dry_run\"): nothing was sent that changes anything",
        )
    }

    /// Not now.
    pub(crate) fn later(status: StatusCode, title: impl Into<String>) -> Self {
        Self { retry_after: Some(1), ..Self::new(status, title) }
    }

    /// What is not this request's fault: told in the log in full, and here in one sentence.
    fn of_the_bus(error: &(dyn std::error::Error + 'static), unreachable: bool) -> Self {
        let error = instance_chassis::error_chain(error);
        if unreachable {
            tracing::warn!(error, "a request was put off: the bus does not answer");
            Self::later(StatusCode::SERVICE_UNAVAILABLE, "the bus does not answer now")
        } else {
            tracing::error!(error, "a request failed");
            Self::new(
                StatusCode::INTERNAL_SERVER_ERROR,
                "the bus refused it; the log of the gateway says why",
            )
        }
    }
}

impl From<BusError> for Problem {
    fn from(error: BusError) -> Self {
        let later = error.is_unreachable() || matches!(error, BusError::TopologyMissing { .. });
        Self::of_the_bus(&error, later)
    }
}

impl From<PublishError> for Problem {
    fn from(error: PublishError) -> Self {
        Self::of_the_bus(&error, error.is_unreachable())
    }
}

/// Why, for the record: it goes with the answer, not into it.
#[derive(Clone)]
pub(crate) struct Told(pub(crate) String);

/// There is a record already.
#[derive(Clone)]
pub(crate) struct ToldElsewhere;

impl IntoResponse for Problem {
    /// What a caller sent comes back to it without what looks like a secret: answers are logged by many a proxy.
    fn into_response(mut self) -> Response {
        let (status, retry_after, told_elsewhere) = (self.status, self.retry_after, self.told_elsewhere);
        self.title = redacted(self.title);
        for fault in &mut self.faults {
            for text in [&mut fault.field, &mut fault.value, &mut fault.rule] {
                *text = redacted(std::mem::take(text));
            }
        }
        let told = match self.faults.as_slice() {
            [] => self.title.clone(),
            faults => format!("{}: {}", self.title, Faults(faults.to_vec())),
        };
        let mut response = (status, Json(self)).into_response();
        response.extensions_mut().insert(Told(told));
        if told_elsewhere {
            response.extensions_mut().insert(ToldElsewhere);
        }
        let headers = response.headers_mut();
        let mut set = |name: HeaderName, value: HeaderValue| headers.insert(name, value);
        set(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        if let Some(seconds) = retry_after {
            set(header::RETRY_AFTER, seconds.into());
        }
        if status == StatusCode::UNAUTHORIZED {
            set(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        response
    }
}
