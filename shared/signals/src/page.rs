//! `docs/telemetry.md`: the catalogue, for people.

use std::fmt::Write as _;

use crate::catalogue::{Attribute, Kind, Metric, SpanKind, Type, Values, attributes, spans};
use crate::instrument::{Instrument, all};
use crate::text::sample_names;

/// What stands before the tables.
const HEAD: &str = include_str!("head.md");

/// The whole page.
pub fn page() -> String {
    let mut page = HEAD.to_owned();
    page.push_str(
        "\n## Spans\n\n| name | kind | told by | what | parent and links |\n|---|---|---|---|---|\n",
    );
    for span in spans::ALL {
        let cells = [&ticks(span.name), kind_of_span(span.kind), span.told_by, span.help, span.relation];
        row(&mut page, &cells);
    }
    page.push_str("\nAttributes of each, those before the bar always, from the span's creation on; those behind it when known:\n\n");
    for span in spans::ALL {
        let (always, sometimes) = (names(span.always), names(span.sometimes));
        writeln!(page, "- {}: {always} \\| {sometimes}", ticks(span.name)).expect(NEVER);
    }
    page.push_str("\n## Metrics\n\n| OpenTelemetry | on `/metrics` | kind, unit | labels | what |\n|---|---|---|---|---|\n");
    for metric in all().map(Instrument::metric) {
        metric_row(&mut page, metric);
    }
    page.push_str(
        "\n`target_info` carries the resource attributes of the process. Bounds of histograms:\n\n",
    );
    for metric in all().map(Instrument::metric).filter(|metric| metric.kind == Kind::Histogram) {
        let bounds: Vec<String> = metric.buckets.iter().map(ToString::to_string).collect();
        writeln!(page, "- {}: {}", ticks(metric.name), bounds.join(", ")).expect(NEVER);
    }
    page.push_str("\n## Attributes\n\n| name | type | values | what |\n|---|---|---|---|\n");
    for attribute in attributes::ALL {
        let cells = [&ticks(attribute.name), type_of(attribute.of), &values(attribute), attribute.help];
        row(&mut page, &cells);
    }
    page
}

const NEVER: &str = "writing to a String does not fail";

fn row(page: &mut String, cells: &[&str]) {
    writeln!(page, "| {} |", cells.join(" | ")).expect(NEVER);
}

fn metric_row(page: &mut String, metric: &Metric) {
    let kind = match metric.kind {
        Kind::Counter => "counter",
        Kind::Gauge => "gauge",
        Kind::Histogram => "histogram",
    };
    let samples = sample_names(metric).first().cloned().unwrap_or_default();
    let samples = samples.trim_end_matches("_bucket");
    let fixed = metric.fixed.iter().map(|(attribute, value)| format!("`{}`=`{value}`", attribute.name));
    let own = metric.labels.iter().map(|attribute| ticks(attribute.name));
    let labels: Vec<String> = fixed.chain(own).collect();
    let cells = [
        &ticks(metric.name),
        &ticks(samples),
        &format!("{kind}, {}", ticks(metric.unit)),
        &labels.join(", "),
        metric.help,
    ];
    row(page, &cells.map(|cell: &str| cell));
}

fn names(attributes: &[&Attribute]) -> String {
    let names: Vec<String> = attributes.iter().map(|attribute| ticks(attribute.name)).collect();
    if names.is_empty() { "none".to_owned() } else { names.join(", ") }
}

fn values(attribute: &Attribute) -> String {
    match attribute.values {
        Values::Of(values) => values.iter().map(|value| ticks(value)).collect::<Vec<_>>().join(", "),
        Values::FewBy(why) => format!("few, by {why}"),
        Values::Any => "any; on spans only".to_owned(),
    }
}

const fn type_of(of: Type) -> &'static str {
    match of {
        Type::Text => "text",
        Type::Texts => "texts",
        Type::Integer => "integer",
        Type::Real => "real",
        Type::Truth => "truth",
    }
}

const fn kind_of_span(kind: SpanKind) -> &'static str {
    match kind {
        SpanKind::Internal => "INTERNAL",
        SpanKind::Server => "SERVER",
        SpanKind::Client => "CLIENT",
        SpanKind::Producer => "PRODUCER",
        SpanKind::Consumer => "CONSUMER",
    }
}

fn ticks(text: &str) -> String {
    format!("`{text}`")
}
