//! Where no span is exported, trace ids are made and passed on as ever.
#![expect(clippy::unwrap_used, reason = "a test ends at the first surprise")]

use std::time::Duration;

use instance_bus::{Bus, Delivery, Headers};
use instance_contract::{AgentKind, Attempt, HostName, RemediationId, Shard, subject};
use instance_testkit::NatsServer;
use opentelemetry::trace::TracerProvider as _;
use opentelemetry_sdk::{propagation::TraceContextPropagator, trace::SdkTracerProvider};
use serde_json::json;
use tracing::Instrument as _;
use tracing_subscriber::layer::SubscriberExt as _;

fn host() -> HostName {
    "db1".parse().unwrap()
}

async fn send(bus: &Bus) {
    let id = RemediationId::from_uuid(uuid::Uuid::new_v4());
    let step = "config".parse().unwrap();
    let subject = subject::step(Shard(0), id, AgentKind::Config, &host(), &step, Attempt(1));
    bus.publish_once(&subject, &json!({}), Headers::new()).await.unwrap();
}

fn trace_id_of(delivery: &Delivery) -> String {
    let traceparent = delivery.header("traceparent").unwrap();
    traceparent.split('-').nth(1).unwrap().to_owned()
}

#[tokio::test]
async fn a_trace_goes_from_publisher_to_handler_without_spans_of_its_own() {
    instance_bus::tell_in_full(false);
    let provider = SdkTracerProvider::builder().build();
    opentelemetry::global::set_text_map_propagator(TraceContextPropagator::new());
    let layer = tracing_opentelemetry::layer().with_tracer(provider.tracer("test"));
    let _default = tracing::subscriber::set_default(tracing_subscriber::registry().with(layer));

    let server = NatsServer::start();
    let bus = instance_testkit::bus(&server).await;
    let mut steps = bus.steps(AgentKind::Config, &host()).await.unwrap();
    let mut next = async || {
        let next = tokio::time::timeout(Duration::from_secs(20), steps.next());
        next.await.unwrap().unwrap().unwrap()
    };

    let sender = tracing::info_span!("sender");
    let trace_id = sender.in_scope(|| instance_bus::current_trace_id().unwrap()).to_string();
    send(&bus).instrument(sender).await;
    let delivery = next().await;
    assert_eq!(trace_id_of(&delivery), trace_id);
    assert!(delivery.header("traceparent").unwrap().ends_with("-01"), "others may record it");
    let span = delivery.span();
    assert_eq!(span.in_scope(|| instance_bus::current_trace_id().unwrap()).to_string(), trace_id);
    // What the handler writes goes on with the trace.
    send(&bus).instrument(span).await;
    delivery.done().await.unwrap();
    let delivery = next().await;
    assert_eq!(trace_id_of(&delivery), trace_id);

    // Outside of any trace a new one begins.
    send(&bus).await;
    delivery.done().await.unwrap();
    let delivery = next().await;
    let fresh = trace_id_of(&delivery);
    assert!(fresh != trace_id && fresh.len() == 32 && fresh.bytes().any(|byte| byte != b'0'), "{fresh}");
    delivery.done().await.unwrap();
}
