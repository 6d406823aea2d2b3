//! Trace context in headers (W3C `traceparent`, lower case), and the spans of sending and handling a message.
//!
//! Invariant: no span name and no attribute holds an inbox or a settlement subject; they differ on every message.

use std::sync::atomic::{AtomicBool, Ordering};

use async_nats::HeaderMap;
use instance_contract::TraceId;
use opentelemetry::{
    Context,
    propagation::{Extractor, Injector},
    trace::TraceContextExt as _,
};
use tracing::{Span, field::Empty};
use tracing_opentelemetry::OpenTelemetrySpanExt as _;

use crate::{Bus, Headers, template};

static TOLD_IN_FULL: AtomicBool = AtomicBool::new(true);

/// Whether each message gets spans of its own with all their attributes. Default: yes. Where no span is exported nobody
/// reads them: say no, and trace ids are made and passed on all the same, at a fraction of the work.
pub fn tell_in_full(yes: bool) {
    TOLD_IN_FULL.store(yes, Ordering::Relaxed);
}

static CREATION_IS_PARENT: AtomicBool = AtomicBool::new(true);

/// Whether handling a message is a child of the span that created it (and linked to it), so that an incident is one trace.
/// Default: yes. Where it is not, each handling begins a trace of its own, with the link alone.
pub fn continue_traces(yes: bool) {
    CREATION_IS_PARENT.store(yes, Ordering::Relaxed);
}

pub(crate) fn continues() -> bool {
    CREATION_IS_PARENT.load(Ordering::Relaxed)
}

fn is_told_in_full() -> bool {
    TOLD_IN_FULL.load(Ordering::Relaxed)
}

/// `traceparent` of the current span, to be kept in a record. `None` when nothing is traced.
pub fn current_traceparent() -> Option<String> {
    let context = Span::current().context();
    let span = context.span();
    let context = span.span_context();
    context.is_valid().then(|| {
        format!("00-{}-{}-{:02x}", context.trace_id(), context.span_id(), context.trace_flags().to_u8())
    })
}

/// Trace id of the current span. `None` when nothing is traced.
pub fn current_trace_id() -> Option<TraceId> {
    let context = Span::current().context();
    let span = context.span();
    let context = span.span_context();
    context.is_valid().then(|| TraceId::from_bytes(context.trace_id().to_bytes()))
}

/// Context that a kept `traceparent` names, as parent of a new span (`span.set_parent(...)` before it is entered).
/// An illegal one gives an empty context: a new trace, never an error.
pub fn parent_from(traceparent: &str) -> Context {
    let headers = Headers::new().with("traceparent", traceparent);
    extract(headers.map())
}

pub(crate) fn inject(span: &Span, headers: &mut HeaderMap) {
    let context = span.context();
    opentelemetry::global::get_text_map_propagator(|propagator| {
        propagator.inject_context(&context, &mut Carrier(headers));
    });
}

pub(crate) fn extract(headers: &HeaderMap) -> Context {
    opentelemetry::global::get_text_map_propagator(|propagator| {
        // Not `extract`: that one starts from whatever span happens to be current.
        propagator.extract_with_context(&Context::new(), &ReadCarrier(headers))
    })
}

/// PRODUCER span of one message. Its context belongs into the headers. Where spans are not told in full: the current
/// one, or one that is there for its trace id.
pub(crate) fn publish_span(bus: &Bus, subject: &str, message_id: Option<&str>) -> Span {
    if !is_told_in_full() {
        let current = Span::current();
        return if current.is_none() { tracing::info_span!("publish") } else { current };
    }
    let (name, template, destination) = destination("publish", subject);
    let temporary = destination.is_none().then_some(true);
    let (address, port) = server(bus);
    tracing::info_span!(
        "publish",
        otel.name = name,
        otel.kind = "producer",
        otel.status_code = Empty,
        messaging.system = "nats",
        messaging.operation.name = "publish",
        messaging.operation.type = "send",
        messaging.destination.template = template,
        messaging.destination.name = destination,
        messaging.destination.temporary = temporary,
        messaging.destination.anonymous = temporary,
        messaging.message.id = message_id,
        messaging.message.conversation_id = template::remediation_in(subject),
        messaging.client.id = bus.server.connection,
        server.address = address,
        server.port = port,
        error.type = Empty,
    )
}

/// INTERNAL span of a question and its answer. Where spans are not told in full: the current one.
pub(crate) fn request_span(subject: &str) -> Span {
    if !is_told_in_full() {
        return Span::current();
    }
    let name = match template::of(subject) {
        Some(template) => format!("request {template}"),
        None => "request".to_owned(),
    };
    tracing::info_span!(
        "request",
        otel.name = name,
        otel.kind = "internal",
        otel.status_code = Empty,
        error.type = Empty,
    )
}

/// What is known of a delivered message, beside its subject and headers.
pub(crate) struct Delivered<'a> {
    pub(crate) stream: &'a str,
    pub(crate) consumer: &'a str,
    pub(crate) sequence: u64,
    pub(crate) deliveries: u64,
}

/// CONSUMER span of handling one message: the context that created the message is its parent and its link.
pub(crate) fn process_span(
    bus: &Bus,
    subject: &str,
    headers: &Headers,
    delivered: Option<&Delivered<'_>>,
) -> Span {
    if !is_told_in_full() {
        let span = tracing::info_span!(parent: None, "process");
        let _ = span.set_parent(extract(headers.map()));
        return span;
    }
    let (name, template, destination) = destination("process", subject);
    let (address, port) = server(bus);
    let subscription = delivered.map(|message| format!("{}/{}", message.stream, message.consumer));
    let span = tracing::info_span!(
        parent: None,
        "process",
        otel.name = name,
        otel.kind = "consumer",
        otel.status_code = Empty,
        messaging.system = "nats",
        messaging.operation.name = "process",
        messaging.operation.type = "process",
        messaging.destination.template = template,
        messaging.destination.name = destination,
        messaging.destination.subscription.name = subscription,
        messaging.consumer.group.name = delivered.map(|message| message.consumer),
        messaging.message.id = headers.get(crate::headers::MESSAGE_ID),
        messaging.message.conversation_id = template::remediation_in(subject),
        messaging.client.id = bus.server.connection,
        messaging.nats.stream = delivered.map(|message| message.stream),
        messaging.nats.sequence = delivered.map(|message| signed(message.sequence)),
        messaging.nats.delivery_count = delivered.map(|message| signed(message.deliveries)),
        server.address = address,
        server.port = port,
        error.type = Empty,
    );
    let creation = extract(headers.map());
    let creation_span = creation.span().span_context().clone();
    if creation_span.is_valid() {
        if continues() {
            // Without a tracer there is nothing to set a parent on; handling the message goes on all the same.
            let _ = span.set_parent(creation);
        }
        span.add_link(creation_span);
    }
    span
}

/// CLIENT span of settling one delivery (`ack`, `nak` or `term`) where the answer is waited for. Below what is under way, else
/// below the span that created the message; linked to that.
pub(crate) fn settle_span(
    bus: &Bus,
    operation: &'static str,
    subject: &str,
    headers: &Headers,
    delivered: &Delivered<'_>,
) -> Span {
    let told = is_told_in_full().then(|| destination(operation, subject));
    // Where it is settled has no template, and is nobody's to read: the stored subject is what is settled.
    let Some((name, Some(template), destination)) = told else { return Span::none() };
    let (address, port) = server(bus);
    let ambient = !Span::current().is_none();
    let span = tracing::info_span!(
        "settle",
        otel.name = name,
        otel.kind = "client",
        otel.status_code = Empty,
        messaging.system = "nats",
        messaging.operation.name = operation,
        messaging.operation.type = "settle",
        messaging.destination.template = template,
        messaging.destination.name = destination,
        messaging.destination.subscription.name = format!("{}/{}", delivered.stream, delivered.consumer),
        messaging.consumer.group.name = delivered.consumer,
        messaging.message.conversation_id = template::remediation_in(subject),
        messaging.client.id = bus.server.connection,
        messaging.nats.stream = delivered.stream,
        messaging.nats.sequence = signed(delivered.sequence),
        messaging.nats.delivery_count = signed(delivered.deliveries),
        server.address = address,
        server.port = port,
        error.type = Empty,
    );
    if !ambient && continues() {
        let _ = span.set_parent(extract(headers.map()));
    }
    link(&span, headers);
    span
}

/// Links a span to the one that created a message, without becoming part of its trace.
pub(crate) fn link(span: &Span, headers: &Headers) {
    let creation = extract(headers.map());
    let creation_span = creation.span().span_context().clone();
    if creation_span.is_valid() {
        span.add_link(creation_span);
    }
}

/// Marks a span as failed, with a word of low cardinality.
pub(crate) fn fail(span: &Span, kind: &'static str) {
    if !is_told_in_full() {
        return;
    }
    span.record("otel.status_code", "ERROR");
    span.record("error.type", kind);
}

/// Name, template and concrete subject; the last two only for subjects that are ours.
fn destination<'a>(
    operation: &'static str,
    subject: &'a str,
) -> (String, Option<&'static str>, Option<&'a str>) {
    match template::of(subject) {
        Some(template) => (format!("{operation} {template}"), Some(template), Some(subject)),
        None => (operation.to_owned(), None, None),
    }
}

/// Numbers are signed in spans: the conventions want integers, and the trace layer makes texts of unsigned ones.
fn signed(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

fn server(bus: &Bus) -> (Option<&str>, Option<i64>) {
    match &bus.server.only {
        Some((address, port)) => (Some(address), Some(i64::from(*port))),
        None => (None, None),
    }
}

struct Carrier<'a>(&'a mut HeaderMap);

impl Injector for Carrier<'_> {
    fn set(&mut self, key: &str, value: String) {
        // A propagator that found nothing to say writes empty text; a header without value helps nobody.
        if !value.is_empty() {
            self.0.insert(key.to_ascii_lowercase(), value.replace(['\r', '\n'], " "));
        }
    }
}

struct ReadCarrier<'a>(&'a HeaderMap);

impl Extractor for ReadCarrier<'_> {
    fn get(&self, key: &str) -> Option<&str> {
        self.0.get(key).map(async_nats::HeaderValue::as_str)
    }

    fn keys(&self) -> Vec<&str> {
        self.0.iter().map(|(name, _)| name.as_ref()).collect()
    }
}
