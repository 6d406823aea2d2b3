//! Log records for OTLP: what an event says, without secrets; the SDK adds the ids of the span that it is in.

use std::error::Error;
use std::fmt;

use opentelemetry::InstrumentationScope;
use opentelemetry::logs::{AnyValue, LogRecord as _, Logger as _, LoggerProvider as _, Severity};
use opentelemetry_sdk::logs::{SdkLogRecord, SdkLogger, SdkLoggerProvider};
use tracing::field::{Field, Visit};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::layer::{Context, Layer};

use crate::error_chain::error_chain;
use crate::safe::Limit;

/// The field in which our log lines tell an error.
const ERROR: &str = "error";
/// What the conventions call it.
const EXCEPTION: &str = "exception.message";
/// Event name of a record that tells an error.
const EXCEPTION_EVENT: &str = "instance.exception";

/// Makes a log record of each event.
pub(crate) struct Records {
    logger: SdkLogger,
    limit: Limit,
}

impl Records {
    pub fn new(provider: &SdkLoggerProvider, scope: InstrumentationScope, limit: Limit) -> Self {
        Self { logger: provider.logger_with_scope(scope), limit }
    }
}

impl<S: Subscriber> Layer<S> for Records {
    fn on_event(&self, event: &Event<'_>, _context: Context<'_, S>) {
        let mut record = self.logger.create_log_record();
        let level = *event.metadata().level();
        record.set_severity_number(severity(level));
        record.set_severity_text(level.as_str());
        record.set_target(event.metadata().target());
        event.record(&mut Told { record: &mut record, limit: self.limit });
        self.logger.emit(record);
    }
}

const fn severity(level: Level) -> Severity {
    match level {
        Level::ERROR => Severity::Error,
        Level::WARN => Severity::Warn,
        Level::INFO => Severity::Info,
        Level::DEBUG => Severity::Debug,
        Level::TRACE => Severity::Trace,
    }
}

struct Told<'a> {
    record: &'a mut SdkLogRecord,
    limit: Limit,
}

impl Told<'_> {
    fn put(&mut self, field: &Field, value: impl Into<AnyValue>) {
        self.record.add_attribute(field.name(), value);
    }

    fn put_text(&mut self, field: &Field, text: &str) {
        match field.name() {
            "message" => {
                // The body is no attribute: it has no limit.
                self.record.set_body(Limit::default().safe(text).into_owned().into());
            }
            ERROR => {
                self.record.set_event_name(EXCEPTION_EVENT);
                self.record.add_attribute(EXCEPTION, self.limit.safe(text).into_owned());
            }
            name => {
                let text = self.limit.safe(text).into_owned();
                self.record.add_attribute(name, text);
            }
        }
    }
}

impl Visit for Told<'_> {
    fn record_f64(&mut self, field: &Field, value: f64) {
        self.put(field, value);
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.put(field, value);
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        match i64::try_from(value) {
            Ok(value) => self.put(field, value),
            Err(_) => self.put(field, value.to_string()),
        }
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.put(field, value);
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.put_text(field, value);
    }

    fn record_error(&mut self, field: &Field, value: &(dyn Error + 'static)) {
        self.put_text(field, &error_chain(value));
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.put_text(field, &format!("{value:?}"));
    }
}
