//! The metrics of the catalogue on their way to OTLP: counters and gauges are read when a collection is due, histograms
//! are filled as their values come.

use std::collections::HashMap;

use instance_redaction::redact;
use instance_signals::catalogue::{Attribute, Metric, Type};
use instance_signals::metrics::CPU;
use instance_signals::{Instrument, Mirror, all, mirror_to};
use opentelemetry::metrics::{Histogram, Meter};
use opentelemetry::{KeyValue, Value};

use crate::process;

/// From now on the meter tells what is counted. For the whole process, so the first meter stays.
pub(crate) fn tell(meter: &Meter) {
    let mut histograms = HashMap::new();
    for instrument in all() {
        let metric = instrument.metric();
        match instrument {
            Instrument::Counter(counter) => {
                let observed = meter.f64_observable_counter(metric.name).with_unit(metric.unit);
                observed
                    .with_description(metric.help)
                    .with_callback(move |observer| {
                        // Once a collection, before what it brings up to date is read.
                        if metric.name == CPU.metric.name {
                            process::look();
                        }
                        for (labels, value) in counter.each() {
                            observer.observe(value, &attributes(metric, &labels));
                        }
                    })
                    .build();
            }
            Instrument::Gauge(gauge) => {
                let observed = meter.f64_observable_gauge(metric.name).with_unit(metric.unit);
                observed
                    .with_description(metric.help)
                    .with_callback(move |observer| {
                        for (labels, value) in gauge.each() {
                            observer.observe(value, &attributes(metric, &labels));
                        }
                    })
                    .build();
            }
            Instrument::Histogram(_) => {
                let histogram = meter.f64_histogram(metric.name).with_unit(metric.unit);
                let histogram =
                    histogram.with_description(metric.help).with_boundaries(metric.buckets.to_vec());
                histograms.insert(metric.name, histogram.build());
            }
        }
    }
    mirror_to(Box::new(Histograms(histograms)));
}

struct Histograms(HashMap<&'static str, Histogram<f64>>);

impl Mirror for Histograms {
    fn measured(&self, metric: &'static Metric, value: f64, labels: &[&str]) {
        if let Some(histogram) = self.0.get(metric.name) {
            histogram.record(value, &attributes(metric, labels));
        }
    }
}

fn attributes(metric: &'static Metric, labels: &[impl AsRef<str>]) -> Vec<KeyValue> {
    let fixed = metric.fixed.iter().map(|(attribute, value)| KeyValue::new(attribute.name, *value));
    let own = metric.labels.iter().zip(labels).filter(|(_, value)| !value.as_ref().is_empty());
    let own = own.map(|(attribute, value)| KeyValue::new(attribute.name, typed(attribute, value.as_ref())));
    fixed.chain(own).collect()
}

/// Labels are texts where they are counted; here they get the type of the catalogue.
fn typed(attribute: &Attribute, label: &str) -> Value {
    match label.parse::<i64>() {
        Ok(number) if attribute.of == Type::Integer => number.into(),
        _ => redact(label).into_owned().into(),
    }
}
