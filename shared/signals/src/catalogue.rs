//! Everything that is told: metrics, spans, attributes, each once.
//!
//! Names follow the semantic conventions of OpenTelemetry where there is one (messaging, generative AI, process); what is
//! ours alone begins with `instance.` or `messaging.nats.`.

pub mod attributes; // What is said beside a name.
pub mod metrics; // What is counted and measured.
pub mod spans; // What is traced.

/// Something that is said of a span or a measured value.
#[derive(Debug, PartialEq, Eq)]
pub struct Attribute {
    pub name: &'static str,
    pub of: Type,
    pub values: Values,
    pub help: &'static str,
}

/// The type of an attribute's value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Type {
    Text,
    /// A list of texts.
    Texts,
    Integer,
    Real,
    Truth,
}

/// Which values an attribute takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Values {
    /// These and no other.
    Of(&'static [&'static str]),
    /// Few, and what keeps them few: fit for a metric's label.
    FewBy(&'static str),
    /// Any number: on spans only.
    Any,
}

/// Something that is counted or measured.
#[derive(Debug)]
pub struct Metric {
    pub name: &'static str,
    pub kind: Kind,
    /// In UCUM, as OpenTelemetry writes it; what is counted stands in braces.
    pub unit: &'static str,
    pub help: &'static str,
    pub labels: &'static [&'static Attribute],
    /// Attributes that always have the same value.
    pub fixed: &'static [(&'static Attribute, &'static str)],
    /// Upper bounds, of a histogram only.
    pub buckets: &'static [f64],
    /// What one count is in `unit`.
    pub scale: f64,
}

/// A metric without labels.
pub const NO_LABELS: &[&Attribute] = &[];

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Counter,
    Gauge,
    Histogram,
}

/// A kind of span.
#[derive(Debug)]
pub struct Span {
    /// What is in braces stands for the value of that attribute.
    pub name: &'static str,
    pub kind: SpanKind,
    /// Who tells it, by service.
    pub told_by: &'static str,
    pub help: &'static str,
    /// Parent and links.
    pub relation: &'static str,
    /// Always there, from the span's creation on.
    pub always: &'static [&'static Attribute],
    /// There when known.
    pub sometimes: &'static [&'static Attribute],
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SpanKind {
    Internal,
    Server,
    Client,
    Producer,
    Consumer,
}

impl Metric {
    /// The family's name for Prometheus: dots become underscores, the unit stands at the end; what is counted has no unit.
    pub fn family(&self) -> String {
        let name = self.name.replace('.', "_");
        match self.unit_word() {
            Some(unit) if !name.ends_with(unit) => format!("{name}_{unit}"),
            _ => name,
        }
    }

    /// The unit in words, where it has one.
    pub fn unit_word(&self) -> Option<&'static str> {
        match self.unit {
            "s" => Some("seconds"),
            "By" => Some("bytes"),
            "USD" => Some("usd"),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_name_stands_once_and_every_label_is_bounded() {
        let metrics: Vec<_> = crate::all().map(crate::Instrument::metric).collect();
        let names: BTreeSet<_> = metrics.iter().map(|metric| metric.family()).collect();
        assert_eq!(names.len(), metrics.len());
        for metric in metrics {
            assert!(!metric.help.is_empty() && !metric.help.ends_with('.'), "{}", metric.name);
            assert_eq!(metric.kind == Kind::Histogram, !metric.buckets.is_empty(), "{}", metric.name);
            assert!(metric.buckets.is_sorted(), "{}", metric.name);
            for label in metric.labels {
                assert!(label.values != Values::Any, "{} of {} is not bounded", label.name, metric.name);
            }
        }
        let names: BTreeSet<_> = attributes::ALL.iter().map(|attribute| attribute.name).collect();
        assert_eq!(names.len(), attributes::ALL.len());
    }

    #[test]
    fn what_is_used_stands_in_the_table_of_attributes() {
        let known: BTreeSet<_> = attributes::ALL.iter().map(|attribute| attribute.name).collect();
        let of_metrics = crate::all().flat_map(|instrument| instrument.metric().labels.iter().copied());
        let of_spans = spans::ALL.iter().flat_map(|span| span.always.iter().chain(span.sometimes).copied());
        for attribute in of_metrics.chain(of_spans) {
            assert!(known.contains(attribute.name), "{}", attribute.name);
        }
    }
}
