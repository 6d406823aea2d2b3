//! What an instance is doing, as far as the `iris` program, its log and its processes tell.

use std::{
    fmt, io,
    time::{Duration, Instant},
};

use instance_agent::{
    InstanceSettings,
    evidence::{Health, LogMark, Qlist, QlistError, StateWord},
};
use instance_clock::Clock;
use instance_iris::messages_log::{Entry, Severity};
use instance_knowledge::Matcher;
use serde::{Deserialize, Serialize};

use crate::{
    config::Config,
    error::RestartError,
    host::{Host, Local},
};

/// `iris qlist` takes milliseconds; a host that is short of memory takes longer.
const QLIST_LIMIT: Duration = Duration::from_secs(10);

/// A look at the end of a part (a stop, a start) may take so long, where the step itself has the time.
const QLIST_OF_PART: Duration = Duration::from_secs(3);

/// What is left of a time limit may be less than an ordinary answer takes. This much more is a twentieth of the shortest
/// step that there is, which has 10 s.
const QLIST_LEAST: Duration = Duration::from_millis(500);

/// A wait for it that is longer than this is told of in the agent's own log.
pub const UNUSUAL: Duration = Duration::from_secs(10);

/// How often the state is asked for, while it is waited for.
pub const LOOK_AGAIN: Duration = Duration::from_millis(200);

/// One instance: where it is, and how it is asked.
pub struct Site<'a> {
    pub config: &'a Config,
    pub instance: &'a InstanceSettings,
    pub host: Box<dyn Host + 'a>,
    pub clock: &'a dyn Clock,
    /// Where a step is being done: its end.
    until: Option<Instant>,
}

/// The state of an instance in one word.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum State {
    Running,
    /// Running, and `iris qlist` calls its health `hung`.
    Hung,
    Down,
    /// Starting, stopping, sign-on inhibited: as printed.
    Other(String),
}

/// What `iris qlist` says.
#[derive(Debug, Clone)]
pub struct Observed {
    pub state: State,
    pub qlist: Qlist,
}

/// One run of an instance, told from the run before it and the run after it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Run {
    /// Of the host: process ids start afresh with it.
    pub boot_id: Option<String>,
    /// As `iris qlist` prints it, to the second; `None` when the instance was not running.
    pub since: Option<String>,
    /// Its oldest process, where one was found: id and start in clock ticks since the boot.
    pub process: Option<(u32, u64)>,
}

/// The end of `messages.log` at one moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogEnd {
    pub inode: u64,
    pub size: u64,
}

impl<'a> Site<'a> {
    pub fn new(config: &'a Config, instance: &'a InstanceSettings, clock: &'a dyn Clock) -> Self {
        Self { config, instance, host: Box::new(Local { config, instance }), clock, until: None }
    }

    /// Whatever is waited for ends with the time that is left.
    #[must_use]
    pub fn within(self, left: Duration) -> Self {
        Self { until: Some(Instant::now() + left), ..self }
    }

    /// So much of `limit` is left for one wait.
    pub fn left_of(&self, limit: Duration) -> Duration {
        self.until.map_or(limit, |until| limit.min(until.saturating_duration_since(Instant::now())))
    }

    pub fn observe(&self) -> Result<Observed, RestartError> {
        self.observe_within(QLIST_LIMIT)
    }

    /// Asks for the state, at most for `limit` and the time that is left, but long enough for an ordinary answer.
    pub fn observe_within(&self, limit: Duration) -> Result<Observed, RestartError> {
        let name = &self.instance.name;
        let limit = self.left_of(limit.clamp(QLIST_OF_PART, QLIST_LIMIT)).max(QLIST_LEAST);
        let finished = self.host.iris(&["qlist", name.as_str()], limit);
        let finished = finished.map_err(|source| QlistError::Run { instance: name.clone(), source })?;
        let qlist = Qlist::read(&finished, name, limit)?;
        let state = match (&qlist.state, qlist.health) {
            (StateWord::Running, Health::Hung) => State::Hung,
            (StateWord::Running, _) => State::Running,
            (StateWord::Down, _) => State::Down,
            (other, _) => State::Other(other.to_string()),
        };
        Ok(Observed { state, qlist })
    }

    /// Waits until the instance is up or down, at most for `limit`: one on its way is left to whoever sent it.
    pub fn settled(&self, limit: Duration) -> Result<Observed, RestartError> {
        let began = Instant::now();
        let mut told = false;
        loop {
            let observed = self.observe()?;
            if began.elapsed() >= UNUSUAL && !std::mem::replace(&mut told, true) {
                tracing::info!(instance = %self.instance.name, state = %observed.state, "waiting until it is up or down");
            }
            let left = self.left_of(limit).min(limit.saturating_sub(began.elapsed()));
            match &observed.state {
                State::Running | State::Hung | State::Down => return Ok(observed),
                State::Other(word) if left.is_zero() => {
                    return Err(RestartError::Unsettled { state: word.clone() });
                }
                State::Other(_) => std::thread::sleep(LOOK_AGAIN.min(left)),
            }
        }
    }

    /// The run that is going on, if one is.
    pub fn run(&self, observed: &Observed) -> Run {
        let up = observed.state != State::Down;
        let oldest = || {
            let process = self.host.processes().ok()?.into_iter().next()?;
            Some((process.id, process.started))
        };
        Run {
            boot_id: self.host.boot_id(),
            since: up.then(|| observed.qlist.since.clone()),
            process: if up { oldest() } else { None },
        }
    }

    pub fn log_end(&self) -> Result<LogEnd, RestartError> {
        let mark = self.host.log_end().map_err(|source| self.log_error(source))?;
        Ok(LogEnd { inode: mark.inode, size: mark.size })
    }

    /// The entries of the log after a place.
    pub fn log_since(&self, end: LogEnd) -> Result<Vec<Entry>, RestartError> {
        let mark = LogMark { inode: end.inode, size: end.size };
        self.host.log_since(mark).map_err(|source| self.log_error(source))
    }

    /// The entries of the log since the last start.
    pub fn log_of_this_run(&self) -> Result<Vec<Entry>, RestartError> {
        self.host.log_of_this_run().map_err(|source| self.log_error(source))
    }

    fn log_error(&self, source: io::Error) -> RestartError {
        RestartError::Log { path: self.instance.messages_log.display().to_string(), source }
    }
}

impl Observed {
    pub fn is_primary(&self) -> bool {
        self.qlist.mirror_status.eq_ignore_ascii_case("primary")
    }
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Running => "running",
            Self::Hung => "hung",
            Self::Down => "down",
            Self::Other(word) => word,
        })
    }
}

impl Run {
    /// Is `now` another run than this one? What is not known on either side tells nothing.
    pub fn is_over(&self, now: &Self) -> bool {
        fn differ<T: PartialEq>(before: Option<&T>, after: Option<&T>) -> bool {
            before.zip(after).is_some_and(|(before, after)| before != after)
        }
        differ(self.boot_id.as_ref(), now.boot_id.as_ref())
            || differ(self.process.as_ref(), now.process.as_ref())
            || differ(self.since.as_ref(), now.since.as_ref())
            || (self.since.is_none() && now.since.is_some())
    }
}

/// Has a start been finished in these entries? qlist says "running" before logons are enabled; this line is the sign.
pub fn logons_enabled(entries: &[Entry]) -> bool {
    entries.iter().any(|entry| entry.message_text().contains("Enabling logons"))
}

/// What the instance itself says is wrong: severe entries, and those that the catalogue calls severe or never cured by a
/// start, whatever severity IRIS wrote them with.
pub fn complaints(entries: &[Entry]) -> Vec<String> {
    let matcher = Matcher::in_force();
    let severe = |entry: &&Entry| {
        let severity = entry.header.as_ref().and_then(|header| header.severity);
        severity >= Some(Severity::Severe)
            || matcher
                .classify(&entry.message_text())
                .is_some_and(|row| row.at_least >= Severity::Severe as u8 || row.must_not_restart)
    };
    let line = |entry: &Entry| entry.message_text().trim().lines().next().unwrap_or_default().to_owned();
    let mut lines: Vec<_> = entries.iter().filter(severe).map(line).collect();
    lines.dedup();
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(boot: &str, since: Option<&str>, process: Option<(u32, u64)>) -> Run {
        Run { boot_id: Some(boot.to_owned()), since: since.map(str::to_owned), process }
    }

    #[test]
    fn what_the_catalogue_calls_severe_is_a_complaint_however_iris_wrote_it() {
        let single_user = &instance_knowledge::condition("single-user-mode").unwrap().wordings[0].example;
        let harmless =
            &instance_knowledge::condition("daemon-stopped-by-signal").unwrap().wordings[0].example;
        let line = |severity: u8, text: &str| {
            format!("11/14/25-09:45:55:657 (507) {severity} [Utility.Event] {text}\n")
        };
        let log = [line(0, harmless), line(0, single_user), line(1, "a warning"), line(2, "nobody knows it")];
        let entries = instance_iris::messages_log::parse(log.concat().as_bytes());
        assert_eq!(complaints(&entries), [single_user.as_str(), "nobody knows it"]);
    }

    #[test]
    fn a_run_is_over_when_anything_known_of_it_has_changed() {
        let before = run("a", Some("since x"), Some((100, 5000)));
        for (now, over) in [
            (run("a", Some("since x"), Some((100, 5000))), false),
            (run("a", Some("since x"), None), false),
            (run("a", None, None), false),
            (run("a", Some("since y"), None), true),
            // The same process id again, started at another time.
            (run("a", Some("since x"), Some((100, 9000))), true),
            (run("b", Some("since x"), Some((100, 5000))), true),
        ] {
            assert_eq!(before.is_over(&now), over, "{now:?}");
        }
        let down = run("a", None, None);
        assert!(down.is_over(&before) && !down.is_over(&down));
    }
}
