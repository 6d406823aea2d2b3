//! What a scrape reads: the text format of Prometheus, or OpenMetrics with exemplars.

use std::fmt::Write as _;

use crate::catalogue::{Kind, Metric};
use crate::exemplar::Exemplar;
use crate::instrument::{Instrument, Measured, all};

/// How the text is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// Prometheus text 0.0.4.
    Prometheus,
    /// OpenMetrics 1.0: with units, exemplars and an end.
    OpenMetrics,
}

impl Format {
    /// The one that a scraper asks for in its `Accept` header.
    pub fn asked_for(accept: &str) -> Self {
        if accept.contains("application/openmetrics-text") { Self::OpenMetrics } else { Self::Prometheus }
    }

    pub const fn content_type(self) -> &'static str {
        match self {
            Self::Prometheus => "text/plain; version=0.0.4; charset=utf-8",
            Self::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
        }
    }
}

/// Every metric as it stands. `resource` is what is true of the whole process, told as `target_info`.
pub fn scrape<'a>(format: Format, resource: impl Iterator<Item = (&'a str, &'a str)>) -> String {
    let mut page = Page { text: String::with_capacity(16 * 1024), format };
    page.target_info(resource);
    for instrument in all() {
        page.instrument(instrument);
    }
    if format == Format::OpenMetrics {
        page.text.push_str("# EOF\n");
    }
    page.text
}

/// The names of the samples that a scrape holds for a metric.
pub fn sample_names(metric: &Metric) -> Vec<String> {
    let family = metric.family();
    match metric.kind {
        Kind::Counter => vec![format!("{family}_total")],
        Kind::Gauge => vec![family],
        Kind::Histogram => ["_bucket", "_sum", "_count"].iter().map(|end| format!("{family}{end}")).collect(),
    }
}

struct Page {
    text: String,
    format: Format,
}

impl Page {
    fn line(&mut self, line: std::fmt::Arguments<'_>) {
        writeln!(self.text, "{line}").expect("writing to a String does not fail");
    }

    fn target_info<'a>(&mut self, resource: impl Iterator<Item = (&'a str, &'a str)>) {
        let name = match self.format {
            Format::Prometheus => "target_info",
            Format::OpenMetrics => "target",
        };
        let kind = if self.format == Format::OpenMetrics { "info" } else { "gauge" };
        self.line(format_args!("# HELP {name} What is true of the whole process"));
        self.line(format_args!("# TYPE {name} {kind}"));
        let labels: Vec<String> = resource.map(|(name, value)| label(name, value)).collect();
        self.line(format_args!("target_info{{{}}} 1", labels.join(",")));
    }

    fn instrument(&mut self, instrument: Instrument) {
        let metric = instrument.metric();
        self.head(metric);
        let family = metric.family();
        match instrument {
            Instrument::Counter(counter) => {
                for (values, value) in counter.each() {
                    self.line(format_args!("{family}_total{} {value}", braced(&labels(metric, &values))));
                }
            }
            Instrument::Gauge(gauge) => {
                for (values, value) in gauge.each() {
                    self.line(format_args!("{family}{} {value}", braced(&labels(metric, &values))));
                }
            }
            Instrument::Histogram(histogram) => {
                for (values, measured) in histogram.each() {
                    self.histogram(metric, &family, &labels(metric, &values), &measured);
                }
            }
        }
    }

    fn head(&mut self, metric: &Metric) {
        let family = metric.family();
        // In the older format a counter's family carries the suffix of its samples.
        let name = match (self.format, metric.kind) {
            (Format::Prometheus, Kind::Counter) => format!("{family}_total"),
            _ => family,
        };
        let kind = match metric.kind {
            Kind::Counter => "counter",
            Kind::Gauge => "gauge",
            Kind::Histogram => "histogram",
        };
        self.line(format_args!("# HELP {name} {}", metric.help));
        self.line(format_args!("# TYPE {name} {kind}"));
        if let (Format::OpenMetrics, Some(unit)) = (self.format, metric.unit_word()) {
            self.line(format_args!("# UNIT {name} {unit}"));
        }
    }

    fn histogram(&mut self, metric: &Metric, family: &str, labels: &[String], measured: &Measured) {
        let mut so_far = 0;
        for (place, count) in measured.counts.iter().enumerate() {
            so_far += count;
            let bound =
                metric.buckets.get(place).map_or_else(|| "+Inf".to_owned(), |bound| format!("{bound:?}"));
            let with_bound = [labels, &[format!("le=\"{bound}\"")]].concat();
            let exemplar = match (self.format, measured.exemplars.get(place)) {
                (Format::OpenMetrics, Some(Some(exemplar))) => told(exemplar),
                _ => String::new(),
            };
            self.line(format_args!("{family}_bucket{} {so_far}{exemplar}", braced(&with_bound)));
        }
        self.line(format_args!("{family}_sum{} {}", braced(labels), measured.sum));
        self.line(format_args!("{family}_count{} {so_far}", braced(labels)));
    }
}

fn told(exemplar: &Exemplar) -> String {
    let trace_id = u128::from_be_bytes(exemplar.trace_id);
    let span_id = u64::from_be_bytes(exemplar.span_id);
    format!(" # {{trace_id=\"{trace_id:032x}\",span_id=\"{span_id:016x}\"}} {}", exemplar.value)
}

fn labels(metric: &Metric, values: &[String]) -> Vec<String> {
    let fixed = metric.fixed.iter().map(|(attribute, value)| label(attribute.name, value));
    let own = metric.labels.iter().zip(values).filter(|(_, value)| !value.is_empty());
    fixed.chain(own.map(|(attribute, value)| label(attribute.name, value))).collect()
}

fn braced(labels: &[String]) -> String {
    if labels.is_empty() { String::new() } else { format!("{{{}}}", labels.join(",")) }
}

/// `name="value"`, with dots as underscores and the value escaped.
fn label(name: &str, value: &str) -> String {
    let name = name.replace(['.', '-'], "_");
    let value = value.replace('\\', "\\\\").replace('\n', "\\n").replace('"', "\\\"");
    format!("{name}=\"{value}\"")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::{LEDGER_SYNC, MEMORY, OPERATION_DURATION, REMEDIATIONS};

    fn page(format: Format) -> String {
        scrape(format, [("service.name", "instance-\"x\"")].into_iter())
    }

    #[test]
    fn a_page_of_each_format_reads_as_the_format_says() {
        REMEDIATIONS.add(2, &["success"]);
        MEMORY.set(1024, &[]);
        LEDGER_SYNC.record(0.000_3, &[]);
        OPERATION_DURATION.record(0.02, &["publish", "instance.v1.command.{instance}", ""]);

        let old = page(Format::Prometheus);
        assert!(old.contains("# TYPE instance_remediation_count_total counter\n"), "{old}");
        assert!(
            old.contains("instance_remediation_count_total{instance_remediation_status=\"success\"} 2\n")
        );
        assert!(old.contains("process_memory_usage_bytes 1024\n"), "{old}");
        assert!(old.contains("target_info{service_name=\"instance-\\\"x\\\"\"} 1\n"), "{old}");
        assert!(!old.contains("EOF") && !old.contains("# UNIT"));

        let new = page(Format::OpenMetrics);
        assert!(new.contains("# TYPE instance_remediation_count counter\n"), "{new}");
        assert!(new.contains("# UNIT instance_ledger_sync_duration_seconds seconds\n"));
        assert!(new.contains("instance_ledger_sync_duration_seconds_bucket{le=\"0.00025\"} 0\n"), "{new}");
        assert!(new.contains("instance_ledger_sync_duration_seconds_bucket{le=\"0.0005\"} 1\n"));
        assert!(new.contains("instance_ledger_sync_duration_seconds_bucket{le=\"+Inf\"} 1\n"));
        assert!(new.contains(
            "messaging_client_operation_duration_seconds_count{messaging_system=\"nats\",\
             messaging_operation_name=\"publish\",\
             messaging_destination_template=\"instance.v1.command.{instance}\"} 1\n"
        ));
        assert!(new.ends_with("# EOF\n"));
    }

    #[test]
    fn an_exemplar_names_its_trace() {
        let exemplar = Exemplar { trace_id: [0xab; 16], span_id: [1; 8], value: 0.25 };
        assert_eq!(
            told(&exemplar),
            format!(" # {{trace_id=\"{}\",span_id=\"0101010101010101\"}} 0.25", "ab".repeat(16))
        );
    }

    #[test]
    fn a_scraper_gets_the_format_that_it_asks_for() {
        let asked = "application/openmetrics-text;version=1.0.0,text/plain;version=0.0.4;q=0.3";
        assert_eq!(Format::asked_for(asked), Format::OpenMetrics);
        assert_eq!(Format::asked_for("*/*"), Format::Prometheus);
    }
}
