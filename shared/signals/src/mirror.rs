//! Who wants to hear each value of a histogram as it is measured: an exporter whose own histograms cannot be filled later.

use std::sync::OnceLock;

use crate::catalogue::Metric;

/// Somebody who keeps histograms of their own.
pub trait Mirror: Send + Sync {
    /// `labels` are the values of the metric's labels, in their order; an empty one is absent.
    fn measured(&self, metric: &'static Metric, value: f64, labels: &[&str]);
}

static MIRROR: OnceLock<Box<dyn Mirror>> = OnceLock::new();

/// From now on every measured value is told on. The first one stays.
pub fn mirror_to(mirror: Box<dyn Mirror>) {
    let _ = MIRROR.set(mirror);
}

pub fn measured(metric: &'static Metric, value: f64, labels: &[&str]) {
    if let Some(mirror) = MIRROR.get() {
        mirror.measured(metric, value, labels);
    }
}
