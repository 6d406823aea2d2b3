//! Continuing a trace that was begun elsewhere: from a message of the remediation log, or from a kept `traceparent`.

use instance_contract::TraceId;
use opentelemetry::{
    Context,
    trace::{SpanContext, SpanId, TraceContextExt as _, TraceFlags, TraceState},
};
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

/// Is the current span in another trace than this one? No where nothing is traced, and where each handling of a message is
/// meant to begin a trace of its own.
pub fn is_elsewhere(trace_id: &TraceId) -> bool {
    trace::continues() && trace::current_trace_id().is_some_and(|current| current != *trace_id)
}

/// Makes a span that has not been entered yet part of the trace that a payload names, linked to the current span, which
/// belongs to another one. Whether it is sampled, the current span says.
pub fn begin_in(span: &Span, trace_id: &TraceId) {
    let cause = Span::current().context().span().span_context().clone();
    let flags = if cause.is_valid() { cause.trace_flags() } else { TraceFlags::SAMPLED };
    // The span that began that trace is its sender's, who did not name it.
    let sender = SpanId::from_bytes(rand::random::<u64>().max(1).to_be_bytes());
    let Ok(trace_id) = opentelemetry::TraceId::from_hex(&trace_id.to_string()) else { return };
    let parent = SpanContext::new(trace_id, sender, flags, true, TraceState::NONE);
    // Without a tracer there is nothing to set a parent on.
    let _ = span.set_parent(Context::new().with_remote_span_context(parent));
    if cause.is_valid() {
        span.add_link(cause);
    }
}
