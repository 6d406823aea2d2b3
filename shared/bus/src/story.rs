//! Continuing a trace that was begun elsewhere: from a message of the remediation log, or from a kept `traceparent`.

use opentelemetry::trace::TraceContextExt as _;
use tracing::Span;
use tracing_opentelemetry::OpenTelemetrySpanExt as _;

use crate::{Bus, LogMessage, trace};

impl Bus {
    /// CONSUMER span of handling a followed message, child of and linked to the span that published it.
    pub fn span_of(&self, message: &LogMessage) -> Span {
        trace::process_span(self, &message.subject, &message.headers, None)
    }
}

/// Makes a span that has not been entered yet a child of the one that a kept `traceparent` names. An illegal one
/// changes nothing.
pub fn continue_from(span: &Span, traceparent: &str) {
    let context = trace::parent_from(traceparent);
    if context.span().span_context().is_valid() {
        // Without a tracer there is nothing to set a parent on.
        let _ = span.set_parent(context);
    }
}
