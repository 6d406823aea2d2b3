//! Starting telemetry, and stopping it without losing the last spans.

use std::io::IsTerminal as _;
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use opentelemetry::global;
use opentelemetry::metrics::{Meter, MeterProvider as _};
use opentelemetry::trace::TracerProvider as _;
use opentelemetry_appender_tracing::layer::OpenTelemetryTracingBridge;
use opentelemetry_otlp::ExporterBuildError;
use opentelemetry_sdk::error::{OTelSdkError, OTelSdkResult};
use opentelemetry_sdk::propagation::TraceContextPropagator;
use tracing::level_filters::LevelFilter;
use tracing::{Dispatch, Level, Metadata};
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::layer::{Layer, SubscriberExt as _};
use tracing_subscriber::{Registry, filter};
use uuid::Uuid;

use crate::destinations::{Destinations, Lookup, Signal, value_of};
use crate::json_line::JsonLine;
use crate::providers::Providers;
use crate::resource;
use crate::settings::{LogFormat, Settings};

/// The scope name on everything this process exports.
const SCOPE: &str = "instance";

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
}

/// Why telemetry could not be started, or not be brought home.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("environment variable {name} is {value:?}, and must be {rule}")]
    Variable { name: String, value: String, rule: &'static str },
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
}

/// Says whether [`start`] could do what the settings and the environment ask for, without doing it.
///
/// # Errors
/// A standard variable that asks for what this build cannot do.
pub fn check(settings: &Settings, lookup: Lookup<'_>) -> Result<(), Error> {
    Destinations::decide(settings, lookup).map(drop)
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
    global::set_text_map_propagator(TraceContextPropagator::new());
    global::set_tracer_provider(telemetry.providers.tracer.clone());
    global::set_meter_provider(telemetry.providers.meter.clone());
    Ok(telemetry)
}

impl Telemetry {
    /// Makes counters and histograms; they go nowhere when no metrics endpoint is set.
    pub fn meter(&self) -> Meter {
        self.providers.meter.meter(SCOPE)
    }

    /// True when spans go somewhere; else they are only there for their ids.
    pub fn exports_traces(&self) -> bool {
        self.providers.exports_traces
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
    let providers = Providers::build(destinations, &resource::resource(attributes))?;

    // The trace layer stands first: it makes a span's context current before anybody logs inside it.
    let mut layers: Layers = vec![spans(&providers), lines(settings, name, lookup, stderr)];
    if let Some(logger) = &providers.logger {
        let records = OpenTelemetryTracingBridge::new(logger);
        let wanted = settings.log_filter.to_env_filter();
        layers.push(records.with_filter(filter::filter_fn(is_ours)).with_filter(wanted).boxed());
    }
    Ok((Dispatch::new(Registry::default().with(layers)), Telemetry { providers }))
}

/// Spans at info and above, whatever the log filter says: a quiet log must not cost the trace id. Events stay in the
/// log, where the conventions want them, and are not copied into spans.
fn spans(providers: &Providers) -> Box<dyn Layer<Registry> + Send + Sync> {
    tracing_opentelemetry::layer()
        .with_tracer(providers.tracer.tracer(SCOPE))
        .with_error_fields_to_exceptions(false)
        .with_error_records_to_exceptions(false)
        .with_location(false)
        .with_threads(false)
        .with_tracked_inactivity(false)
        .with_filter(filter::filter_fn(|metadata| metadata.is_span() && is_ours(metadata)))
        .with_filter(LevelFilter::INFO)
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
    let layer = tracing_subscriber::fmt::layer().with_writer(stderr);
    match settings.log_format {
        LogFormat::Json => {
            layer.event_format(JsonLine { service }).with_filter(heard).with_filter(wanted).boxed()
        }
        LogFormat::Text => {
            let colour = std::io::stderr().is_terminal() && value_of(lookup, "NO_COLOR").is_none();
            layer.with_ansi(colour).compact().with_filter(heard).with_filter(wanted).boxed()
        }
    }
}

fn is_ours(metadata: &Metadata<'_>) -> bool {
    !EXPORTERS_OWN.iter().any(|target| metadata.target().starts_with(target))
}

#[cfg(test)]
mod tests;
