//! The SDK's providers: always there, so that ids exist; with an exporter only where a destination says so.

use opentelemetry_otlp::{
    LogExporter, MetricExporter, Protocol, SpanExporter, WithExportConfig, WithHttpConfig,
};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::logs::SdkLoggerProvider;
use opentelemetry_sdk::metrics::SdkMeterProvider;
use opentelemetry_sdk::trace::SdkTracerProvider;

use crate::destinations::{Destination, Destinations, Signal};
use crate::safe::Limit;
use crate::safe_spans::SafeSpans;
use crate::start::Error;
use crate::tls;

/// One provider a signal. Each exporter works on a thread of its own and needs no async runtime.
pub(crate) struct Providers {
    pub tracer: SdkTracerProvider,
    pub exports_traces: bool,
    pub exports_metrics: bool,
    /// None when log records go to stderr alone.
    pub logger: Option<SdkLoggerProvider>,
    pub meter: SdkMeterProvider,
}

impl Providers {
    pub fn build(destinations: Destinations, resource: &Resource, limit: Limit) -> Result<Self, Error> {
        Ok(Self {
            exports_traces: destinations.traces.is_some(),
            exports_metrics: destinations.metrics.is_some(),
            tracer: tracer(destinations.traces, resource.clone(), limit)?,
            logger: destinations.logs.map(|to| logger(to, resource.clone())).transpose()?,
            meter: meter(destinations.metrics, resource.clone())?,
        })
    }
}

/// The sampler is the SDK's own default, parent-based and always on, which `OTEL_TRACES_SAMPLER` may change; a span that
/// is not sampled still has its ids.
fn tracer(
    destination: Option<Destination>,
    resource: Resource,
    limit: Limit,
) -> Result<SdkTracerProvider, Error> {
    let builder = SdkTracerProvider::builder().with_resource(resource);
    let Some(destination) = destination else { return Ok(builder.build()) };
    let exporter = sent_to(SpanExporter::builder().with_http(), destination, Signal::Traces)?
        .build()
        .map_err(|source| Error::Exporter { signal: Signal::Traces, source })?;
    Ok(builder.with_batch_exporter(SafeSpans { inner: exporter, limit }).build())
}

fn logger(destination: Destination, resource: Resource) -> Result<SdkLoggerProvider, Error> {
    let exporter = sent_to(LogExporter::builder().with_http(), destination, Signal::Logs)?
        .build()
        .map_err(|source| Error::Exporter { signal: Signal::Logs, source })?;
    Ok(SdkLoggerProvider::builder().with_resource(resource).with_batch_exporter(exporter).build())
}

fn meter(destination: Option<Destination>, resource: Resource) -> Result<SdkMeterProvider, Error> {
    let builder = SdkMeterProvider::builder().with_resource(resource);
    let Some(destination) = destination else { return Ok(builder.build()) };
    let exporter = sent_to(MetricExporter::builder().with_http(), destination, Signal::Metrics)?
        .build()
        .map_err(|source| Error::Exporter { signal: Signal::Metrics, source })?;
    Ok(builder.with_periodic_exporter(exporter).build())
}

fn sent_to<B: WithExportConfig + WithHttpConfig>(
    builder: B,
    destination: Destination,
    signal: Signal,
) -> Result<B, Error> {
    let builder = builder.with_protocol(Protocol::HttpBinary).with_endpoint(destination.address);
    Ok(match &destination.trust {
        Some(trust) => builder.with_http_client(tls::Client::new(signal, trust)?),
        // The SDK's own one.
        None => builder,
    })
}
