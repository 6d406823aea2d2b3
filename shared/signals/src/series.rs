//! The values of one metric, one for each combination of label values.

use std::sync::{Arc, PoisonError, RwLock};

/// Combinations of label values that are told apart for one metric; whatever comes beyond counts as `_OTHER`.
pub const MOST_SERIES: usize = 200;

/// The value of each label of what is not told apart any more.
const OTHER: &str = "_OTHER";

#[derive(Debug)]
pub struct Series<V> {
    pub labels: Box<[Box<str>]>,
    pub value: V,
}

impl<V> Series<V> {
    fn is_of(&self, labels: &[&str]) -> bool {
        self.labels.iter().map(AsRef::as_ref).eq(labels.iter().copied())
    }
}

/// All series of one metric, in the order in which they were first used.
#[derive(Debug)]
pub struct Family<V> {
    series: RwLock<Vec<Arc<Series<V>>>>,
}

impl<V> Family<V> {
    pub const fn new() -> Self {
        Self { series: RwLock::new(Vec::new()) }
    }

    /// Calls `then` with the series of these label values, made when it is missing.
    pub fn with<R>(&self, labels: &[&str], make: impl FnOnce() -> V, then: impl FnOnce(&V) -> R) -> R {
        {
            let series = self.series.read().unwrap_or_else(PoisonError::into_inner);
            if let Some(found) = series.iter().find(|series| series.is_of(labels)) {
                return then(&found.value);
            }
        }
        then(&self.made(labels, make).value)
    }

    /// All of them, as they stand.
    pub fn each(&self) -> Vec<Arc<Series<V>>> {
        self.series.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn made(&self, labels: &[&str], make: impl FnOnce() -> V) -> Arc<Series<V>> {
        let mut series = self.series.write().unwrap_or_else(PoisonError::into_inner);
        let beyond = vec![OTHER; labels.len()];
        let is_full = series.len() >= MOST_SERIES && !labels.is_empty();
        let labels = if is_full { &beyond[..] } else { labels };
        // Somebody else may have been quicker.
        if let Some(found) = series.iter().find(|series| series.is_of(labels)) {
            return Arc::clone(found);
        }
        let labels = labels.iter().map(|value| Box::from(*value)).collect();
        let fresh = Arc::new(Series { labels, value: make() });
        series.push(Arc::clone(&fresh));
        fresh
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU64, Ordering};

    use super::*;

    #[test]
    fn however_many_values_a_label_takes_the_series_are_bounded_and_nothing_is_lost() {
        let family = Family::<AtomicU64>::new();
        for number in 0..10_000 {
            family.with(&["a", &number.to_string()], AtomicU64::default, |value| {
                value.fetch_add(1, Ordering::Relaxed);
            });
        }
        let all = family.each();
        assert_eq!(all.len(), MOST_SERIES + 1);
        let counted: u64 = all.iter().map(|series| series.value.load(Ordering::Relaxed)).sum();
        assert_eq!(counted, 10_000);
        assert_eq!(all.last().unwrap().labels.iter().map(AsRef::as_ref).collect::<Vec<_>>(), ["_OTHER"; 2]);
    }
}
