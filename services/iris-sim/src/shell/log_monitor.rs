//! Which alerts reach alerts.log and `/api/monitor/alerts`: the Log Monitor falls silent about a process that floods it.
//!
//! Known of the real one: it looks every 10 s, writes `Process N generated 3 alerts in 10 seconds. Suspending alert
//! notifications for this process.`, and keeps silent about further entries of that process for about an hour.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

const WINDOW: Duration = Duration::from_secs(10);
const FLOOD: usize = 3;
const SILENCE: Duration = Duration::from_hours(1);

/// What it remembers of each process.
#[derive(Debug, Default)]
pub struct LogMonitor {
    processes: BTreeMap<u32, Seen>,
}

#[derive(Debug, Default)]
struct Seen {
    recent: Vec<Timestamp>,
    silent_until: Option<Timestamp>,
}

/// What becomes of an alert.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Notice {
    /// It is reported.
    Reported,
    /// It is reported, and nothing more of that process for a while.
    Last,
    /// Nobody hears of it but who reads messages.log.
    Suppressed,
}

impl LogMonitor {
    /// An alert of a process. Times pass `speed` times faster than on a real instance.
    pub fn hear(&mut self, at: Timestamp, pid: u32, speed: f64) -> Notice {
        let scaled =
            |wait: Duration| SignedDuration::try_from(wait.div_f64(speed)).unwrap_or(SignedDuration::MAX);
        let seen = self.processes.entry(pid).or_default();
        if seen.silent_until.is_some_and(|until| at < until) {
            return Notice::Suppressed;
        }
        seen.silent_until = None;
        seen.recent.retain(|before| at.duration_since(*before) < scaled(WINDOW));
        seen.recent.push(at);
        if seen.recent.len() < FLOOD {
            return Notice::Reported;
        }
        seen.recent.clear();
        seen.silent_until = at.checked_add(scaled(SILENCE)).ok();
        Notice::Last
    }
}

/// What it writes of the last one that it reports.
pub fn suspended(pid: u32) -> String {
    format!(
        "Process {pid} generated {FLOOD} alerts in 10 seconds. Suspending alert notifications for this process."
    )
}

#[cfg(test)]
mod tests {
    use jiff::{SignedDuration, Timestamp};

    use super::{LogMonitor, Notice};

    #[test]
    fn the_third_alert_within_ten_seconds_is_the_last_for_an_hour() {
        let mut monitor = LogMonitor::default();
        let begin: Timestamp = "2026-02-03T04:05:06Z".parse().unwrap();
        let mut hear = |seconds, pid| monitor.hear(begin + SignedDuration::from_secs(seconds), pid, 1.0);
        assert_eq!(
            [hear(0, 7), hear(11, 7), hear(15, 7)],
            [Notice::Reported; 3],
            "never three in ten seconds"
        );
        assert_eq!(hear(16, 8), Notice::Reported, "another process");
        assert_eq!(hear(17, 7), Notice::Last);
        assert_eq!([hear(18, 7), hear(3616, 7)], [Notice::Suppressed; 2]);
        assert_eq!(
            [hear(3617, 7), hear(3618, 7), hear(3619, 7)],
            [Notice::Reported, Notice::Reported, Notice::Last]
        );
        assert_eq!(hear(3619, 8), Notice::Reported);
    }

    #[test]
    fn its_times_pass_with_the_instances() {
        let mut monitor = LogMonitor::default();
        let begin: Timestamp = "2026-02-03T04:05:06Z".parse().unwrap();
        let mut hear = |ms| monitor.hear(begin + SignedDuration::from_millis(ms), 7, 80.0);
        assert_eq!([hear(0), hear(100), hear(200), hear(210)].last(), Some(&Notice::Last));
        assert_eq!([hear(300), hear(45_300)], [Notice::Suppressed, Notice::Reported]);
    }
}
