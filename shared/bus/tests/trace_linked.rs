//! Where handling a message is only linked to its creation. In a program of its own: the switch is the process's.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use instance_bus::Headers;
use instance_contract::{AgentKind, Attempt, RemediationId, Shard, subject};
use instance_testkit::NatsServer;
use opentelemetry::trace::TracerProvider as _;
use opentelemetry_sdk::{
    error::OTelSdkResult,
    propagation::TraceContextPropagator,
    trace::{SdkTracerProvider, SpanData, SpanExporter},
};
use serde_json::json;
use tracing_subscriber::layer::SubscriberExt as _;

#[derive(Debug, Clone, Default)]
struct Kept(Arc<Mutex<Vec<SpanData>>>);

impl SpanExporter for Kept {
    async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
        self.0.lock().expect("no test panics while it holds the spans").extend(batch);
        Ok(())
    }
}

impl Kept {
    fn named(&self, name: &str) -> SpanData {
        let spans = self.0.lock().expect("no test panics while it holds the spans");
        let found = spans.iter().rfind(|span| span.name == name).cloned();
        found.unwrap_or_else(|| {
            panic!("{name} is not among {:?}", spans.iter().map(|s| &s.name).collect::<Vec<_>>())
        })
    }
}

#[tokio::test]
async fn where_handling_is_only_linked_it_is_a_trace_of_its_own() {
    let kept = Kept::default();
    let provider = SdkTracerProvider::builder().with_simple_exporter(kept.clone()).build();
    opentelemetry::global::set_text_map_propagator(TraceContextPropagator::new());
    let layer = tracing_opentelemetry::layer().with_tracer(provider.tracer("test"));
    let _default = tracing::subscriber::set_default(tracing_subscriber::registry().with(layer));
    let server = NatsServer::start();
    let bus = instance_testkit::bus(&server).await;
    let host = "db1".parse().unwrap();
    let mut steps = bus.steps(AgentKind::Config, &host).await.unwrap();
    let id = RemediationId::from_uuid(uuid::Uuid::new_v4());
    let step = "config".parse().unwrap();
    let order = subject::step(Shard(0), id, AgentKind::Config, &host, &step, Attempt(1));
    bus.publish_once(&order, &json!({}), Headers::new()).await.unwrap();
    let next = tokio::time::timeout(Duration::from_secs(30), steps.next()).await;
    let delivery = next.unwrap().unwrap().unwrap();
    instance_bus::continue_traces(false);
    drop(delivery.span());
    delivery.done().await.unwrap();
    let template = "instance.v1.remediation.{shard}.{id}.step.{agent}.{host}.{step}.{attempt}";
    let (publish, process) =
        (kept.named(&format!("publish {template}")), kept.named(&format!("process {template}")));
    assert_ne!(process.span_context.trace_id(), publish.span_context.trace_id());
    assert_eq!(process.links[0].span_context.span_id(), publish.span_context.span_id());
}
