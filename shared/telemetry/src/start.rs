//! Starting telemetry, and stopping it without losing the last spans.

use std::io::{self, IsTerminal as _, Write};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use instance_signals::Format;
use opentelemetry::metrics::{Meter, MeterProvider as _};
use opentelemetry::trace::TraceContextExt as _;
use opentelemetry::trace::TracerProvider as _;
use opentelemetry::{Context, InstrumentationScope, global};
use opentelemetry_otlp::ExporterBuildError;
use opentelemetry_sdk::error::{OTelSdkError, OTelSdkResult};
use tracing::level_filters::LevelFilter;
use tracing::{Dispatch, Level, Metadata};
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::layer::{Layer, SubscriberExt as _};
use tracing_subscriber::{Registry, filter};
use uuid::Uuid;

use crate::destinations::{Destinations, Lookup, Signal, value_of};
use crate::json_line::JsonLine;
use crate::propagation::propagator;
use crate::providers::Providers;
use crate::records::Records;
use crate::safe::Limits;
use crate::settings::{LogFormat, Settings};
use crate::{process, resource, tls, told_metrics};

/// The scope on everything this process exports.
fn scope() -> InstrumentationScope {
    InstrumentationScope::builder("instance")
        .with_version(env!("CARGO_PKG_VERSION"))
        // The semantic conventions whose names we use.
        .with_schema_url("https://opentelemetry.io/schemas/1.42.0")
        .build()
}

/// Code that works for the exporters. Exporting what it says would make more of it, for ever.
const EXPORTERS_OWN: [&str; 7] = ["opentelemetry", "reqwest", "hyper", "h2", "tower", "rustls", "mio"];

/// Who this process is.
#[derive(Debug, Clone, Copy)]
pub struct Service<'a> {
    /// The role, as in `config-agent`; exported as `instance-config-agent`.
    pub role: &'a str,
    pub version: &'a str,
    /// The machine it runs on.
    pub host: &'a str,
    /// Drawn anew at each start; tells two runs of one service apart.
    pub process_id: Uuid,
    /// The profile of the settings: development, staging, production or testing.
    pub profile: Option<&'a str>,
}

/// Why telemetry could not be started, or not be brought home.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("environment variable {name} is {value:?}, and must be {rule}")]
    Variable { name: String, value: String, rule: &'static str },
    #[error("could not make a TLS client for OTLP")]
    Tls(#[source] Box<dyn std::error::Error + Send + Sync>),
    #[error("could not build the OTLP exporter for {signal}")]
    Exporter { signal: Signal, source: ExporterBuildError },
    #[error("telemetry was started before in this process")]
    StartedTwice,
    #[error("could not send the last {signal} before the end")]
    Flush { signal: Signal, source: OTelSdkError },
    #[error("the last telemetry was not sent within {0:?}")]
    FlushTimeout(Duration),
}

/// Running telemetry. Call [`Telemetry::shutdown`] last of all, or the newest spans are lost.
#[must_use = "spans still in memory are sent by `shutdown`"]
pub struct Telemetry {
    providers: Providers,
    resource: Vec<(String, String)>,
}

/// Says whether [`start`] could do what the settings and the environment ask for, without doing it.
///
/// # Errors
/// A standard variable that asks for what this build cannot do.
pub fn check(settings: &Settings, lookup: Lookup<'_>) -> Result<(), Error> {
    Limits::read(lookup)?;
    propagator(lookup)?;
    let Destinations { traces, logs, metrics } = Destinations::decide(settings, lookup)?;
    let mut trusts =
        [traces, logs, metrics].into_iter().flatten().filter_map(|destination| destination.trust);
    trusts.try_for_each(|trust| tls::config(&trust).map(drop))
}

/// Installs the log subscriber, the trace layer and the propagator (W3C trace context) for the whole process.
///
/// `lookup` reads an environment variable; `OTEL_EXPORTER_OTLP_*` beyond endpoint and protocol (headers, timeouts),
/// `OTEL_BSP_*`, `OTEL_BLRP_*`, `OTEL_TRACES_SAMPLER` and `OTEL_METRIC_EXPORT_INTERVAL` are read by the SDK itself.
///
/// # Errors
/// A standard variable that asks for what this build cannot do, an exporter that cannot be built, or a second start.
pub fn start(service: &Service<'_>, settings: &Settings, lookup: Lookup<'_>) -> Result<Telemetry, Error> {
    let (dispatch, telemetry) = build(service, settings, lookup, std::io::stderr)?;
    tracing::dispatcher::set_global_default(dispatch).map_err(|_| Error::StartedTwice)?;
    global::set_text_map_propagator(propagator(lookup)?);
    global::set_tracer_provider(telemetry.providers.tracer.clone());
    global::set_meter_provider(telemetry.providers.meter.clone());
    if telemetry.providers.exports_metrics {
        told_metrics::tell(&telemetry.meter());
    }
    if telemetry.exports_traces() {
        instance_signals::tell_exemplars(exported_span);
    }
    Ok(telemetry)
}

impl Telemetry {
    /// Makes counters and histograms; they go nowhere when no metrics endpoint is set.
    pub fn meter(&self) -> Meter {
        self.providers.meter.meter_with_scope(scope())
    }

    /// True when spans go somewhere; else they are only there for their ids.
    pub fn exports_traces(&self) -> bool {
        self.providers.exports_traces
    }

    /// What is true of the whole process, by name.
    pub fn resource(&self) -> &[(String, String)] {
        &self.resource
    }

    /// Sends what is still in memory. Blocks, at most for `timeout`; call it outside the async runtime.
    ///
    /// # Errors
    /// The first signal that could not be sent; the others are tried all the same.
    pub fn shutdown(self, timeout: Duration) -> Result<(), Error> {
        let (report, reported) = mpsc::channel();
        // On a thread, because an exporter in the middle of its retries does not look at the time.
        thread::spawn(move || report.send(flush(&self.providers, timeout)));
        reported.recv_timeout(timeout).unwrap_or(Err(Error::FlushTimeout(timeout)))
    }
}

/// What a scrape reads now.
pub fn scrape(format: Format, resource: &[(String, String)]) -> String {
    process::look();
    let page = instance_signals::scrape(format, resource.iter().map(|(name, value)| (&**name, &**value)));
    instance_redaction::redacted(page)
}

/// Trace and span id of the current span, when it is one that is exported.
fn exported_span() -> Option<([u8; 16], [u8; 8])> {
    Context::map_current(|context| {
        let span = context.span();
        let ids = span.span_context();
        ids.is_sampled().then(|| (ids.trace_id().to_bytes(), ids.span_id().to_bytes()))
    })
}

fn flush(providers: &Providers, timeout: Duration) -> Result<(), Error> {
    let told = |signal: Signal, result: OTelSdkResult| match result {
        Ok(()) | Err(OTelSdkError::AlreadyShutdown) => Ok(()),
        Err(source) => Err(Error::Flush { signal, source }),
    };
    let traces = told(Signal::Traces, providers.tracer.shutdown_with_timeout(timeout));
    let logs = providers.logger.as_ref().map_or(Ok(()), |logger| logger.shutdown_with_timeout(timeout));
    let metrics = providers.meter.shutdown_with_timeout(timeout);
    traces.and(told(Signal::Logs, logs)).and(told(Signal::Metrics, metrics))
}

type Layers = Vec<Box<dyn Layer<Registry> + Send + Sync>>;

/// Everything but what is global to the process, so that tests can have several.
fn build<W>(
    service: &Service<'_>,
    settings: &Settings,
    lookup: Lookup<'_>,
    stderr: W,
) -> Result<(Dispatch, Telemetry), Error>
where
    W: for<'a> MakeWriter<'a> + Send + Sync + 'static,
{
    let destinations = Destinations::decide(settings, lookup)?;
    let attributes = resource::attributes(service, lookup);
    let name = resource::service_name(&attributes);
    let limits = Limits::read(lookup)?;
    let told: Vec<(String, String)> =
        attributes.iter().map(|(name, value)| (name.clone(), value.clone())).collect();
    let providers = Providers::build(destinations, &resource::resource(attributes), limits.spans)?;

    // The trace layer stands first: it makes a span's context current before anybody logs inside it.
    let mut layers: Layers = vec![spans(&providers), lines(settings, name, lookup, stderr)];
    if let Some(logger) = &providers.logger {
        let records = Records::new(logger, scope(), limits.records);
        let wanted = settings.log_filter.to_env_filter();
        layers.push(records.with_filter(filter::filter_fn(is_ours)).with_filter(wanted).boxed());
    }
    Ok((Dispatch::new(Registry::default().with(layers)), Telemetry { providers, resource: told }))
}

/// Spans at info and above, whatever the log filter says: a quiet log must not cost the trace id. Events stay in the
/// log, where the conventions want them, and are not copied into spans.
fn spans(providers: &Providers) -> Box<dyn Layer<Registry> + Send + Sync> {
    tracing_opentelemetry::layer()
        .with_tracer(providers.tracer.tracer_with_scope(scope()))
        .with_error_fields_to_exceptions(false)
        .with_error_records_to_exceptions(false)
        .with_location(false)
        .with_threads(false)
        .with_target(false)
        .with_tracked_inactivity(false)
        // One filter and not two: each is asked again whenever a span is entered or left.
        .with_filter(
            filter::filter_fn(|metadata| {
                metadata.is_span() && *metadata.level() <= Level::INFO && is_ours(metadata)
            })
            .with_max_level_hint(LevelFilter::INFO),
        )
        .boxed()
}

fn lines<W>(
    settings: &Settings,
    service: String,
    lookup: Lookup<'_>,
    stderr: W,
) -> Box<dyn Layer<Registry> + Send + Sync>
where
    W: for<'a> MakeWriter<'a> + Send + Sync + 'static,
{
    let wanted = settings.log_filter.to_env_filter();
    // The SDK greets at info whenever something is set up; only who names it in the filter wants to hear that.
    let sdk_is_named = settings.log_filter.as_str().contains("opentelemetry");
    // A JSON line takes its ids from the trace layer, so nobody reads the fields of spans here.
    let spans_are_told = settings.log_format == LogFormat::Text;
    let heard = filter::filter_fn(move |metadata| {
        if metadata.is_span() && !spans_are_told {
            return false;
        }
        sdk_is_named || *metadata.level() <= Level::WARN || !metadata.target().starts_with("opentelemetry")
    });
    let layer = tracing_subscriber::fmt::layer();
    match settings.log_format {
        LogFormat::Json => {
            let layer = layer.with_writer(stderr);
            layer.event_format(JsonLine { service }).with_filter(heard).with_filter(wanted).boxed()
        }
        LogFormat::Text => {
            let colour = std::io::stderr().is_terminal() && value_of(lookup, "NO_COLOR").is_none();
            let layer = layer.with_writer(SafeLines(stderr));
            layer.with_ansi(colour).compact().with_filter(heard).with_filter(wanted).boxed()
        }
    }
}

/// Lines for people, each looked at as a whole before it is written.
struct SafeLines<W>(W);

impl<'a, W: MakeWriter<'a>> MakeWriter<'a> for SafeLines<W> {
    type Writer = SafeLine<W::Writer>;

    fn make_writer(&'a self) -> Self::Writer {
        SafeLine(self.0.make_writer())
    }
}

struct SafeLine<W>(W);

impl<W: Write> Write for SafeLine<W> {
    /// A line comes in one piece.
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let line = String::from_utf8_lossy(bytes);
        self.0.write_all(instance_redaction::redact(&line).as_bytes())?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

fn is_ours(metadata: &Metadata<'_>) -> bool {
    !EXPORTERS_OWN.iter().any(|target| metadata.target().starts_with(target))
}

#[cfg(test)]
mod tests;
