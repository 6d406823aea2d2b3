//! Spans on their way out: each text is looked at once more, on the exporter's own thread.

use std::time::Duration;

use opentelemetry::trace::Status;
use opentelemetry::{Array, KeyValue, StringValue, Value};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::trace::{SpanData, SpanExporter};

use crate::safe::Limit;

/// Hands spans on without what looks like a secret.
#[derive(Debug)]
pub(crate) struct SafeSpans<E> {
    pub inner: E,
    pub limit: Limit,
}

impl<E: SpanExporter> SpanExporter for SafeSpans<E> {
    async fn export(&self, mut batch: Vec<SpanData>) -> OTelSdkResult {
        for span in &mut batch {
            self.make_safe(span);
        }
        self.inner.export(batch).await
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.inner.shutdown_with_timeout(timeout)
    }

    fn force_flush(&self) -> OTelSdkResult {
        self.inner.force_flush()
    }

    fn set_resource(&mut self, resource: &Resource) {
        self.inner.set_resource(resource);
    }
}

impl<E> SafeSpans<E> {
    fn make_safe(&self, span: &mut SpanData) {
        // A name has no limit of its own, and is never cut.
        if let Some(name) = Limit::default().changed(&span.name) {
            span.name = name.into();
        }
        let events = span.events.events.iter_mut().flat_map(|event| &mut event.attributes);
        let links = span.links.links.iter_mut().flat_map(|link| &mut link.attributes);
        for attribute in span.attributes.iter_mut().chain(events).chain(links) {
            self.make_attribute_safe(attribute);
        }
        if let Status::Error { description } = &span.status
            && let Some(changed) = self.limit.changed(description)
        {
            span.status = Status::error(changed);
        }
    }

    fn make_attribute_safe(&self, attribute: &mut KeyValue) {
        match &mut attribute.value {
            Value::String(text) => {
                if let Some(changed) = self.limit.changed(text.as_str()) {
                    *text = changed.into();
                }
            }
            Value::Array(Array::String(texts)) => {
                for text in texts {
                    if let Some(changed) = self.limit.changed(text.as_str()) {
                        *text = StringValue::from(changed);
                    }
                }
            }
            _ => {}
        }
    }
}
