//! What can go wrong on the bus, with the operation and the thing.

use std::error::Error as StdError;

/// An operation on the bus that did not work.
#[derive(Debug, thiserror::Error)]
pub enum BusError {
    #[error("could not connect to NATS at {servers}")]
    Connect {
        servers: String,
        /// True when nobody answered there; false when somebody did and refused us.
        unreachable: bool,
        #[source]
        source: Box<dyn StdError + Send + Sync>,
    },
    #[error("NATS server at {servers} is version {found}; Instance needs {oldest} or newer")]
    ServerTooOld { servers: String, found: String, oldest: &'static str },
    #[error("{thing} is missing; run `instance bus init`")]
    TopologyMissing { thing: String },
    #[error("{thing} differs in \"{field}\": expected {expected}, found {found} (server {server})")]
    TopologyMismatch { thing: String, field: String, expected: String, found: String, server: String },
    #[error("the bus has {current} shards and {requested} were asked for; {why}")]
    ShardsFixed { current: u16, requested: u16, why: String },
    #[error("could not {operation} {thing}: no answer in time")]
    NoAnswer { operation: &'static str, thing: String },
    #[error("could not {operation} {thing}")]
    Failed {
        operation: &'static str,
        thing: String,
        #[source]
        source: Box<dyn StdError + Send + Sync>,
    },
    #[error("could not {operation} {thing}: {reason}")]
    Refused { operation: &'static str, thing: String, reason: String },
    /// The server did not say that it has settled the delivery, so it may come again.
    #[error("{thing} was not confirmed as settled: {status}")]
    NotConfirmed { thing: String, status: String },
    #[error("could not read {thing}")]
    Unreadable {
        thing: String,
        #[source]
        source: serde_json::Error,
    },
    #[error("no dead letter has sequence {sequence}")]
    NoDeadLetter { sequence: u64 },
    #[error("dead letter {sequence} cannot be replayed: {why}")]
    NotReplayable { sequence: u64, why: String },
    #[error("could not publish")]
    Publish(#[from] crate::PublishError),
}

impl BusError {
    /// True when the bus itself is away, so that the same call may work when it is back.
    pub fn is_unreachable(&self) -> bool {
        match self {
            Self::Connect { unreachable, .. } => *unreachable,
            Self::NoAnswer { .. } => true,
            Self::NotConfirmed { status, .. } => status == NO_ANSWER,
            Self::Failed { source, .. } => is_link_failure(source.as_ref()),
            Self::Publish(error) => error.is_unreachable(),
            _ => false,
        }
    }

    pub(crate) fn failed(
        operation: &'static str,
        thing: impl Into<String>,
        source: impl Into<Box<dyn StdError + Send + Sync>>,
    ) -> Self {
        Self::Failed { operation, thing: thing.into(), source: source.into() }
    }

    pub(crate) fn refused(
        operation: &'static str,
        thing: impl Into<String>,
        reason: impl Into<String>,
    ) -> Self {
        Self::Refused { operation, thing: thing.into(), reason: reason.into() }
    }

    pub(crate) fn unreadable(thing: impl Into<String>, source: serde_json::Error) -> Self {
        Self::Unreadable { thing: thing.into(), source }
    }
}

/// Status text of a settlement that nobody answered.
pub(crate) const NO_ANSWER: &str = "no answer in time";

/// Looks through the causes for a link that is gone or silent.
fn is_link_failure(error: &(dyn StdError + 'static)) -> bool {
    let mut next = Some(error);
    while let Some(cause) = next {
        if let Some(request) = cause.downcast_ref::<async_nats::RequestError>() {
            return request.kind() == async_nats::RequestErrorKind::TimedOut;
        }
        if let Some(request) = cause.downcast_ref::<async_nats::jetstream::context::RequestError>() {
            return request.kind() == async_nats::jetstream::context::RequestErrorKind::TimedOut;
        }
        if cause.is::<std::io::Error>() || cause.is::<tokio::time::error::Elapsed>() {
            return true;
        }
        next = cause.source();
    }
    false
}
