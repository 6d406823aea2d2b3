//! What time it is for an instance: the host's, or one that runs as fast as its waits pass.

use std::time::Duration;

use instance_clock::{Clock, SystemClock};
use jiff::{SignedDuration, Timestamp};

/// The clock of one instance. All of its processes read the same time, also over a restart: it depends on the host's
/// clock and on settings that do not change.
#[derive(Debug, Clone, Copy)]
pub struct InstanceClock {
    /// When the two clocks showed the same, and how many times faster this one has run since; `None` for the host's.
    fast: Option<(Timestamp, f64)>,
}

impl InstanceClock {
    /// The host's time.
    pub fn of_the_host() -> Self {
        Self { fast: None }
    }

    /// The host's time at `since`, and `speed` seconds a second from then on.
    pub fn fast(since: Timestamp, speed: f64) -> Self {
        Self { fast: Some((since, speed)) }
    }

    fn shows(&self, host: Timestamp) -> Timestamp {
        let Some((since, speed)) = self.fast else { return host };
        // A host whose clock was set back lets this one stand still.
        let passed = Duration::try_from(host.duration_since(since)).unwrap_or_default();
        let passed = Duration::try_from_secs_f64(passed.as_secs_f64() * speed).ok();
        let passed = passed.and_then(|passed| SignedDuration::try_from(passed).ok());
        passed.and_then(|passed| since.checked_add(passed).ok()).unwrap_or(Timestamp::MAX)
    }
}

impl Clock for InstanceClock {
    fn now(&self) -> Timestamp {
        self.shows(SystemClock.now())
    }
}

#[cfg(test)]
mod tests {
    use super::InstanceClock;

    #[test]
    fn a_fast_clock_begins_with_the_hosts_and_never_goes_back() {
        let since = "2026-02-03T04:05:06Z".parse().unwrap();
        let clock = InstanceClock::fast(since, 80.0);
        let shows = |host: &str| clock.shows(host.parse().unwrap()).to_string();
        assert_eq!(shows("2026-02-03T04:05:06Z"), "2026-02-03T04:05:06Z");
        assert_eq!(shows("2026-02-03T04:06:06.5Z"), "2026-02-03T05:25:46Z");
        assert_eq!(shows("2026-02-03T04:00:00Z"), "2026-02-03T04:05:06Z", "set back, it stands still");
        assert_eq!(
            InstanceClock::fast(since, 1e12).shows("2027-01-01T00:00:00Z".parse().unwrap()),
            jiff::Timestamp::MAX
        );
        let host = InstanceClock::of_the_host();
        assert_eq!(host.shows(since), since);
    }
}
