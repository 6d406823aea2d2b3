//! Counters, gauges and histograms: atomics behind the names of the catalogue.

use std::sync::Mutex;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};

use crate::catalogue::{Metric, metrics};
use crate::exemplar::{self, Exemplar};
use crate::mirror;
use crate::series::Family;

/// Something that only grows.
#[derive(Debug)]
pub struct Counter {
    pub metric: &'static Metric,
    family: Family<AtomicU64>,
}

/// Something that stands at a value.
#[derive(Debug)]
pub struct Gauge {
    pub metric: &'static Metric,
    family: Family<AtomicI64>,
}

/// How values are spread.
#[derive(Debug)]
pub struct Histogram {
    pub metric: &'static Metric,
    family: Family<Buckets>,
}

/// One instrument of any kind.
#[derive(Debug, Clone, Copy)]
pub enum Instrument {
    Counter(&'static Counter),
    Gauge(&'static Gauge),
    Histogram(&'static Histogram),
}

/// Every instrument, in the order of the catalogue.
pub fn all() -> impl Iterator<Item = Instrument> {
    metrics::ALL.iter().copied()
}

impl Instrument {
    pub const fn metric(self) -> &'static Metric {
        match self {
            Self::Counter(counter) => counter.metric,
            Self::Gauge(gauge) => gauge.metric,
            Self::Histogram(histogram) => histogram.metric,
        }
    }
}

impl Counter {
    pub(crate) const fn of(metric: &'static Metric) -> Self {
        Self { metric, family: Family::new() }
    }

    /// Counts. `labels` are the values of the metric's labels, in their order; an empty one is absent.
    pub fn add(&self, count: u64, labels: &[&str]) {
        debug_assert_eq!(labels.len(), self.metric.labels.len(), "{}", self.metric.name);
        self.family.with(labels, AtomicU64::default, |value| value.fetch_add(count, Ordering::Relaxed));
    }

    /// What somebody else has counted so far.
    pub fn stands_at(&self, count: u64, labels: &[&str]) {
        self.family.with(labels, AtomicU64::default, |value| value.fetch_max(count, Ordering::Relaxed));
    }

    /// Label values and value of each series, in the metric's unit.
    pub fn each(&self) -> Vec<(Vec<String>, f64)> {
        let each = self.family.each().into_iter();
        each.map(|series| {
            (owned(&series.labels), real(series.value.load(Ordering::Relaxed)) * self.metric.scale)
        })
        .collect()
    }
}

impl Gauge {
    pub(crate) const fn of(metric: &'static Metric) -> Self {
        Self { metric, family: Family::new() }
    }

    /// As [`Counter::add`] for `labels`.
    pub fn set(&self, value: i64, labels: &[&str]) {
        debug_assert_eq!(labels.len(), self.metric.labels.len(), "{}", self.metric.name);
        self.family.with(labels, AtomicI64::default, |kept| kept.store(value, Ordering::Relaxed));
    }

    /// Moves it up or down.
    pub fn shift(&self, by: i64, labels: &[&str]) {
        self.family.with(labels, AtomicI64::default, |kept| kept.fetch_add(by, Ordering::Relaxed));
    }

    /// Label values and value of each series, in the metric's unit.
    #[expect(clippy::cast_precision_loss, reason = "2^53 bytes are more than a process has")]
    pub fn each(&self) -> Vec<(Vec<String>, f64)> {
        let each = self.family.each().into_iter();
        each.map(|series| {
            (owned(&series.labels), series.value.load(Ordering::Relaxed) as f64 * self.metric.scale)
        })
        .collect()
    }
}

impl Histogram {
    pub(crate) const fn of(metric: &'static Metric) -> Self {
        Self { metric, family: Family::new() }
    }

    /// Takes a value in the metric's unit. `labels` as for [`Counter::add`].
    pub fn record(&self, value: f64, labels: &[&str]) {
        debug_assert_eq!(labels.len(), self.metric.labels.len(), "{}", self.metric.name);
        let buckets = self.metric.buckets;
        self.family.with(labels, || Buckets::new(buckets.len()), |kept| kept.add(value, buckets));
        mirror::measured(self.metric, value, labels);
    }

    /// Label values and what was measured, of each series.
    pub fn each(&self) -> Vec<(Vec<String>, Measured)> {
        let each = self.family.each().into_iter();
        each.map(|series| (owned(&series.labels), series.value.measured())).collect()
    }
}

/// What a histogram holds.
#[derive(Debug, Clone, PartialEq)]
pub struct Measured {
    /// How many values lie in each bucket, the one without a bound last; not cumulated.
    pub counts: Vec<u64>,
    pub sum: f64,
    /// A value of each bucket that belongs to a trace.
    pub exemplars: Vec<Option<Exemplar>>,
}

#[derive(Debug)]
struct Buckets {
    counts: Box<[AtomicU64]>,
    /// Bits of an f64.
    sum: AtomicU64,
    exemplars: Mutex<Box<[Option<Exemplar>]>>,
}

impl Buckets {
    fn new(bounds: usize) -> Self {
        Self {
            counts: (0..=bounds).map(|_| AtomicU64::new(0)).collect(),
            sum: AtomicU64::new(0.0_f64.to_bits()),
            exemplars: Mutex::new(vec![None; bounds + 1].into()),
        }
    }

    fn add(&self, value: f64, bounds: &[f64]) {
        let bucket = bounds.partition_point(|bound| *bound < value);
        self.counts[bucket].fetch_add(1, Ordering::Relaxed);
        let more = |sum: u64| Some((f64::from_bits(sum) + value).to_bits());
        // Never `Err`: there always is a next sum.
        let _ = self.sum.fetch_update(Ordering::Relaxed, Ordering::Relaxed, more);
        if let Some(exemplar) = exemplar::of_current_span(value)
            // Whoever is in the way has a newer one.
            && let Ok(mut exemplars) = self.exemplars.try_lock()
        {
            exemplars[bucket] = Some(exemplar);
        }
    }

    fn measured(&self) -> Measured {
        let exemplars = match self.exemplars.lock() {
            Ok(exemplars) => exemplars.to_vec(),
            Err(poisoned) => poisoned.into_inner().to_vec(),
        };
        Measured {
            counts: self.counts.iter().map(|count| count.load(Ordering::Relaxed)).collect(),
            sum: f64::from_bits(self.sum.load(Ordering::Relaxed)),
            exemplars,
        }
    }
}

fn owned(labels: &[Box<str>]) -> Vec<String> {
    labels.iter().map(ToString::to_string).collect()
}

#[expect(clippy::cast_precision_loss, reason = "a count above 2^53 is not reached in years")]
const fn real(count: u64) -> f64 {
    count as f64
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalogue::{Kind, NO_LABELS};

    static SECONDS: Metric = Metric {
        name: "test.seconds",
        kind: Kind::Histogram,
        unit: "s",
        help: "for the test",
        labels: NO_LABELS,
        buckets: &[0.1, 1.0],
        scale: 1.0,
        fixed: &[],
    };

    #[test]
    fn a_value_on_a_bound_belongs_below_it() {
        let histogram = Histogram::of(&SECONDS);
        for value in [0.1, 0.2, 1.0, 7.0] {
            histogram.record(value, &[]);
        }
        let each = histogram.each();
        assert_eq!(each[0].1.counts, [1, 2, 1]);
        assert!((each[0].1.sum - 8.3).abs() < 1e-9);
    }
}
