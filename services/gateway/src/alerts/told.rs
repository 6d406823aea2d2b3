//! What this process has told before: a shortcut, and for escalations the whole memory.

use std::{
    collections::{HashSet, VecDeque},
    sync::{Mutex, MutexGuard, PoisonError},
};

/// More than a bad day's alerts. The oldest are forgotten.
const MOST: usize = 10_000;

/// The newest keys. Losing one means telling a thing again, never losing it.
#[derive(Default)]
pub(crate) struct Told(Mutex<Keys>);

#[derive(Default)]
struct Keys {
    held: HashSet<String>,
    order: VecDeque<String>,
}

impl Told {
    pub(super) fn holds(&self, key: &str) -> bool {
        self.keys().held.contains(key)
    }

    pub(super) fn note(&self, key: &str) {
        let mut keys = self.keys();
        if !keys.held.insert(key.to_owned()) {
            return;
        }
        keys.order.push_back(key.to_owned());
        if keys.order.len() > MOST
            && let Some(oldest) = keys.order.pop_front()
        {
            keys.held.remove(&oldest);
        }
    }

    fn keys(&self) -> MutexGuard<'_, Keys> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flood_of_alerts_is_remembered_within_bounds() {
        let told = Told::default();
        for key in 0..=MOST {
            told.note(&key.to_string());
            told.note(&key.to_string());
        }
        assert!(!told.holds("0"), "the oldest is forgotten");
        assert!(told.holds("1") && told.holds(&MOST.to_string()));
        assert_eq!(told.keys().order.len(), MOST);
    }
}
