//! Spans and metrics: complete, and without contents unless they were asked for.

use std::{
    io,
    sync::{Arc, Mutex},
};

use instance_signals::{Format, scrape};
use instance_testkit::{ModelAnswer, ModelServer};
use opentelemetry::trace::TracerProvider as _;
use opentelemetry_sdk::trace::{InMemorySpanExporter, SdkTracerProvider};
use tracing::instrument::WithSubscriber as _;
use tracing_subscriber::layer::SubscriberExt as _;

use crate::desk::{Desk, right};

/// Asks once and gives all that was told, as text: spans, and of the metrics, which are the whole process's, those of that model.
async fn told(desk: &mut Desk, name: &str) -> (String, String) {
    name.clone_into(&mut desk.provider().model);
    // Whether a span is listened to is decided at its first use. That must be over before we begin to listen, and other tests
    // use the same ones beside us.
    let first = ModelServer::start();
    first.expect(right());
    let warm = Desk::new(&first);
    warm.model().ask(&warm.question()).await.unwrap();

    let spans = InMemorySpanExporter::default();
    let tracer = SdkTracerProvider::builder().with_simple_exporter(spans.clone()).build();
    let subscriber = tracing_subscriber::registry()
        .with(tracing_opentelemetry::layer().with_tracer(tracer.tracer("test")));
    let model = desk.model();
    let question = desk.question();
    let _ = model.ask(&question).with_subscriber(subscriber).await;
    let page = scrape(Format::Prometheus, std::iter::empty());
    let of_it = format!("gen_ai_request_model=\"{name}\"");
    let metrics: Vec<&str> = page.lines().filter(|line| line.contains(&of_it)).collect();
    (format!("{:?}", spans.get_finished_spans().unwrap()), metrics.join("\n"))
}

#[tokio::test]
async fn a_call_has_a_span_with_the_usual_names_and_no_contents() {
    let server = ModelServer::start();
    server.expect(right());
    let (spans, metrics) = told(&mut Desk::new(&server), "told-1").await;
    for attribute in [
        "chat told-1",
        "Client",
        "gen_ai.operation.name",
        "gen_ai.provider.name",
        "gen_ai.request.model",
        "gen_ai.request.seed",
        "gen_ai.request.temperature",
        "gen_ai.request.max_tokens",
        "gen_ai.output.type",
        "gen_ai.conversation.id",
        "gen_ai.response.id",
        "gen_ai.response.model",
        "gen_ai.response.finish_reasons",
        "gen_ai.usage.input_tokens",
        "gen_ai.usage.output_tokens",
        "openai.response.system_fingerprint",
        "server.address",
        "server.port",
    ] {
        assert!(spans.contains(attribute), "{attribute} is missing in {spans}");
    }
    // One operation is counted once, and so are its tokens: 100 in, 50 out.
    for (sample, value) in [
        ("gen_ai_client_operation_duration_seconds_count", "1"),
        ("gen_ai_client_token_usage_sum", "100"),
        ("gen_ai_client_token_usage_sum", "50"),
    ] {
        let is_it = |line: &str| line.starts_with(sample) && line.ends_with(&format!(" {value}"));
        assert!(metrics.lines().any(is_it), "{sample} {value} is missing in {metrics}");
    }
    for content in ["WRTDMN", "journal full", "messages", "Judge the entry", "gen_ai.system\""] {
        assert!(!spans.contains(content) && !metrics.contains(content), "{content} is told");
    }
    assert!(!spans.contains("error.type"));
}

#[tokio::test]
async fn a_failure_is_told_in_one_word_on_span_and_metric() {
    let server = ModelServer::start();
    server.expect(ModelAnswer::status(401));
    let (spans, metrics) = told(&mut Desk::new(&server), "told-2").await;
    for (exported, name) in [(&spans, "error.type"), (&metrics, "error_type")] {
        assert!(exported.contains(name) && exported.contains("401"), "{exported}");
    }
    assert!(spans.contains("Error"));
}

#[tokio::test]
async fn contents_are_there_when_they_were_asked_for() {
    let server = ModelServer::start();
    server.expect(right());
    let mut desk = Desk::new(&server);
    desk.settings.trace_contents = true;
    let (spans, _) = told(&mut desk, "told-3").await;
    for content in ["gen_ai.input.messages", "WRTDMN", "gen_ai.output.messages", "journal full"] {
        assert!(spans.contains(content), "{content} is missing in {spans}");
    }
}

/// Everything that is logged, at every level.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[tokio::test]
async fn what_an_endpoint_says_reaches_no_log() {
    let log = Log::default();
    let writer = log.clone();
    let subscriber = tracing_subscriber::fmt()
        .with_max_level(tracing::Level::TRACE)
        .with_writer(move || writer.clone())
        .finish();
    // The library reads streams in a task of its own, which only the default of the whole process reaches.
    tracing::subscriber::set_global_default(subscriber).unwrap();
    let server = ModelServer::start();
    for nonsense in ["planted", "{\"planted\": ", "[\"planted\"]"] {
        server.expect(ModelAnswer::raw(nonsense));
        let mut desk = Desk::new(&server);
        desk.settings.tries = 1;
        assert!(desk.model().ask(&desk.question()).await.is_err());
        server.expect(ModelAnswer::raw_stream(format!("data: {nonsense}\n\n")));
        desk.provider().stream = true;
        assert!(desk.model().ask(&desk.question()).await.is_err());
    }
    let text = String::from_utf8_lossy(&log.0.lock().unwrap()).into_owned();
    assert!(text.contains("a model gave no answer"), "the log is listened to");
    assert!(!text.contains("planted") && !text.contains("WRTDMN"), "{text}");
}
