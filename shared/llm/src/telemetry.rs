//! Spans and metrics of calls, as OpenTelemetry names them for generative AI. Contents only where they were asked for.

use std::time::Duration;

use instance_signals::metrics::{
    AI_DURATION, AI_FIRST_CHUNK, MODEL_CACHE, MODEL_CALLS, MODEL_COST, TOKEN_USAGE,
};
use opentelemetry::{
    Array, KeyValue, StringValue, Value,
    metrics::{Counter, Histogram, Meter},
};
use tracing::Span;
use tracing_opentelemetry::OpenTelemetrySpanExt as _;

use crate::{
    provider::{Reply, Request, Usage},
    settings::Provider,
    untrusted::Excerpt,
};

/// What an endpoint says about itself is cut to this.
const LONGEST_WORD: usize = 128;

/// The instruments.
#[derive(Debug, Clone)]
pub(crate) struct Meters {
    tokens: Histogram<u64>,
    duration: Histogram<f64>,
    first_piece: Histogram<f64>,
    lookups: Counter<u64>,
}

impl Meters {
    pub fn new(meter: &Meter) -> Self {
        let powers_of_four = std::iter::successors(Some(1.0), |bound| Some(bound * 4.0)).take(14).collect();
        let seconds = || std::iter::successors(Some(0.01), |bound| Some(bound * 2.0)).take(14).collect();
        Self {
            tokens: meter
                .u64_histogram("gen_ai.client.token.usage")
                .with_unit("{token}")
                .with_boundaries(powers_of_four)
                .build(),
            duration: meter
                .f64_histogram("gen_ai.client.operation.duration")
                .with_unit("s")
                .with_boundaries(seconds())
                .build(),
            first_piece: meter
                .f64_histogram("gen_ai.client.operation.time_to_first_chunk")
                .with_unit("s")
                .with_boundaries(seconds())
                .build(),
            lookups: meter.u64_counter("instance.model.cache.lookups").with_unit("{lookup}").build(),
        }
    }

    /// A look into the cache.
    pub fn looked_up(&self, hit: bool) {
        let result = if hit { "hit" } else { "miss" };
        MODEL_CACHE.add(1, &[result]);
        self.lookups.add(1, &[KeyValue::new("instance.model.cache.result", result)]);
    }

    /// One operation: all tries of one question at one provider.
    pub fn operation(
        &self,
        provider: &Provider,
        took: Duration,
        usage: Usage,
        first_piece: Option<Duration>,
        error: Option<&str>,
    ) {
        let mut attributes = vec![
            KeyValue::new("gen_ai.operation.name", "chat"),
            KeyValue::new("gen_ai.provider.name", provider.system.clone()),
            KeyValue::new("gen_ai.request.model", provider.model.clone()),
        ];
        if let Some(error) = error {
            attributes.push(KeyValue::new("error.type", error.to_owned()));
        }
        let labels = ["chat", &provider.system, &provider.model, error.unwrap_or_default()];
        self.duration.record(took.as_secs_f64(), &attributes);
        AI_DURATION.record(took.as_secs_f64(), &labels);
        if let Some(first) = first_piece {
            self.first_piece.record(first.as_secs_f64(), &attributes);
            AI_FIRST_CHUNK.record(first.as_secs_f64(), &labels);
        }
        for (kind, count) in [("input", usage.input_tokens), ("output", usage.output_tokens)] {
            if count > 0 {
                let of_kind = [&attributes[..], &[KeyValue::new("gen_ai.token.type", kind)]].concat();
                self.tokens.record(count, &of_kind);
                let [operation, system, model, error] = labels;
                TOKEN_USAGE.record(real(count), &[operation, system, model, kind, error]);
            }
        }
    }
}

/// One call to an endpoint, what it cost, and how it failed.
pub(crate) fn called(provider: &Provider, micro_usd: u64, failed: Option<&str>) {
    MODEL_CALLS.add(1, &[&provider.system, &provider.model, failed.unwrap_or_default()]);
    MODEL_COST.add(micro_usd, &[&provider.system, &provider.model]);
}

#[expect(clippy::cast_precision_loss, reason = "nobody counts 2^53 tokens")]
const fn real(tokens: u64) -> f64 {
    tokens as f64
}

/// The CLIENT span of one operation.
pub(crate) fn span(provider: &Provider, request: &Request, conversation: Option<&str>) -> Span {
    let (address, port) = server(&provider.base_url);
    let span = tracing::info_span!(
        "chat",
        otel.name = format!("chat {}", provider.model),
        otel.kind = "client",
        otel.status_code = tracing::field::Empty,
        error.type = tracing::field::Empty,
        gen_ai.operation.name = "chat",
        gen_ai.provider.name = provider.system,
        gen_ai.request.model = provider.model,
        gen_ai.request.temperature = request.temperature,
        gen_ai.request.seed = i64::from(request.seed),
        gen_ai.request.max_tokens = i64::from(request.longest_answer(provider)),
        gen_ai.request.stream = provider.stream,
        gen_ai.output.type = "json",
        openai.api.type = "chat_completions",
        server.address = address,
        server.port = i64::from(port),
    );
    if let Some(conversation) = conversation {
        span.set_attribute("gen_ai.conversation.id", conversation.to_owned());
    }
    span
}

/// What came back in the end.
pub(crate) fn answered(span: &Span, reply: &Reply, usage: Usage) {
    let word = |name: &'static str, text: &Option<String>| {
        if let Some(text) = text {
            span.set_attribute(name, Excerpt::at_most(text, LONGEST_WORD).as_str().to_owned());
        }
    };
    word("gen_ai.response.id", &reply.id);
    word("gen_ai.response.model", &reply.model);
    word("openai.response.system_fingerprint", &reply.fingerprint);
    if let Some(finish) = &reply.finish {
        let finish = StringValue::from(Excerpt::at_most(finish, LONGEST_WORD).as_str().to_owned());
        span.set_attribute("gen_ai.response.finish_reasons", Value::Array(Array::String(vec![finish])));
    }
    let count = |tokens: u64| i64::try_from(tokens).unwrap_or(i64::MAX);
    span.set_attribute("gen_ai.usage.input_tokens", count(usage.input_tokens));
    span.set_attribute("gen_ai.usage.output_tokens", count(usage.output_tokens));
}

pub(crate) fn failed(span: &Span, kind: &str) {
    span.record("otel.status_code", "ERROR");
    span.record("error.type", kind);
}

/// Question and answer, for whoever asked to see them.
pub(crate) fn contents(span: &Span, request: &Request, reply: &Reply) {
    let message = |role: &str, text: &str| serde_json::json!([{"role": role, "parts": [{"type": "text", "content": text}]}]);
    span.set_attribute("gen_ai.system_instructions", request.system.clone());
    span.set_attribute("gen_ai.input.messages", message("user", &request.user).to_string());
    span.set_attribute("gen_ai.output.messages", message("assistant", &reply.text).to_string());
}

/// Host and port of a base URL.
fn server(url: &str) -> (&str, u16) {
    let (rest, usual) = match url.strip_prefix("https://") {
        Some(rest) => (rest, 443),
        None => (url.strip_prefix("http://").unwrap_or(url), 80),
    };
    let authority = rest.split('/').next().unwrap_or_default();
    match authority.rsplit_once(':').map(|(host, port)| (host, port.parse())) {
        Some((host, Ok(port))) => (host, port),
        _ => (authority, usual),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn host_and_port_are_read_from_the_address() {
        assert_eq!(server("https://models.example/v1"), ("models.example", 443));
        assert_eq!(server("http://127.0.0.1:8080/v1"), ("127.0.0.1", 8080));
        assert_eq!(server("http://[::1]/v1"), ("[::1]", 80));
    }
}
