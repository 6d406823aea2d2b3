//! The spans that a test makes, kept for it to look at.

use std::sync::{Arc, Mutex};

use opentelemetry::trace::TracerProvider as _;
use opentelemetry_sdk::{
    error::OTelSdkResult,
    propagation::TraceContextPropagator,
    trace::{SdkTracerProvider, SpanData, SpanExporter},
};
use tracing_subscriber::layer::SubscriberExt as _;

/// Every span that has ended, oldest first. Clones are the same one.
#[derive(Debug, Clone, Default)]
pub struct Kept(Arc<Mutex<Vec<SpanData>>>);

impl SpanExporter for Kept {
    async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
        self.0.lock().expect("no test panics while it holds the spans").extend(batch);
        Ok(())
    }
}

impl Kept {
    /// Keeps the spans of this thread until the guard is dropped; contexts travel as W3C writes them.
    pub fn of_this_thread() -> (Self, tracing::subscriber::DefaultGuard) {
        let kept = Self::default();
        let provider = SdkTracerProvider::builder().with_simple_exporter(kept.clone()).build();
        opentelemetry::global::set_text_map_propagator(TraceContextPropagator::new());
        let layer = tracing_opentelemetry::layer().with_tracer(provider.tracer("test"));
        let guard = tracing::subscriber::set_default(tracing_subscriber::registry().with(layer));
        (kept, guard)
    }

    pub fn all(&self) -> Vec<SpanData> {
        self.0.lock().expect("no test panics while it holds the spans").clone()
    }

    /// The newest one of that name.
    pub fn named(&self, name: &str) -> SpanData {
        let spans = self.all();
        let found = spans.iter().rfind(|span| span.name == name).cloned();
        found.unwrap_or_else(|| {
            panic!("{name} is not among {:?}", spans.iter().map(|s| &s.name).collect::<Vec<_>>())
        })
    }
}
