//! The time, handed in.
//!
//! Invariant: [`SystemClock`] is the only place in the tree that reads the machine's clock; everything else takes a
//! `&dyn Clock`, so a test or a replay decides what time it is.
//! Invariant: this is the wall clock. How long something took is measured with `std::time::Instant`.
//!
//! May be imported by bus, llm, chassis, agent, services, cli, testkit and tests. Imports none of ours.

use std::{
    fmt,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use jiff::Timestamp;

/// What time it is.
pub trait Clock: Send + Sync + fmt::Debug {
    fn now(&self) -> Timestamp;
}

/// The machine's clock.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    #[expect(clippy::disallowed_methods, reason = "the one place that may read the machine's clock")]
    fn now(&self) -> Timestamp {
        Timestamp::now()
    }
}

/// A clock that stands still until it is moved.
#[derive(Debug)]
pub struct MockClock(Mutex<Timestamp>);

impl MockClock {
    pub const fn new(start: Timestamp) -> Self {
        Self(Mutex::new(start))
    }

    /// Jumps to an instant, forwards or backwards.
    pub fn set(&self, to: Timestamp) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = to;
    }

    /// Moves on. Stops at the last instant that a timestamp can hold.
    pub fn advance(&self, by: Duration) {
        let mut now = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        *now = now.saturating_add(by).unwrap_or(Timestamp::MAX);
    }
}

impl Clock for MockClock {
    fn now(&self) -> Timestamp {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mock_clock_stands_still_until_it_is_moved() {
        let start: Timestamp = "2026-09-01T10:00:00Z".parse().unwrap();
        let clock = MockClock::new(start);
        assert_eq!((clock.now(), clock.now()), (start, start));
        clock.advance(Duration::from_millis(1500));
        assert_eq!(clock.now().to_string(), "2026-09-01T10:00:01.5Z");
        clock.set(start);
        assert_eq!(clock.now(), start);
        clock.advance(Duration::MAX);
        assert_eq!(clock.now(), Timestamp::MAX);
    }

    #[test]
    fn the_system_clock_does_not_stand_in_the_past() {
        let built: Timestamp = "2025-01-01T00:00:00Z".parse().unwrap();
        assert!(SystemClock.now() > built);
    }
}
