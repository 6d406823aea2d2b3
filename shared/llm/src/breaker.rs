//! A circuit breaker for each outside service: who does not answer is left alone for a while.
//!
//! Invariant: the lock is held for a few instructions, never across a call: parallel calls stay parallel.
//! Invariant: a result counts only in the state in which its call was let through.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use instance_clock::Clock;
use instance_signals::metrics::BREAKER_OPEN;
use jiff::Timestamp;
use serde::{Deserialize, Deserializer, Serialize, de::Error as _};

/// When a breaker opens and closes.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    /// False: every call is let through, and only counted. Default: true.
    pub enabled: bool,
    /// Opens after so many failures in a row. Default: 3.
    pub failures: u32,
    /// Stays open for so many seconds. Default: 30.
    pub open_seconds: u64,
    /// Then lets so many calls through at once, and closes when so many in a row went well. Default: 2.
    pub trials: u32,
}

impl Default for Settings {
    fn default() -> Self {
        Self { enabled: true, failures: 3, open_seconds: 30, trials: 2 }
    }
}

/// For `deserialize_with`: settings that can open and close a breaker.
///
/// # Errors
/// `failures` or `trials` outside of 1 to 100.
pub fn checked<'de, D: Deserializer<'de>>(from: D) -> Result<Settings, D::Error> {
    let settings = Settings::deserialize(from)?;
    for (key, value) in [("failures", settings.failures), ("trials", settings.trials)] {
        if !(1..=100).contains(&value) {
            return Err(D::Error::custom(format!("{key} = {value}: must be from 1 to 100")));
        }
    }
    Ok(settings)
}

/// The breaker of one outside service.
#[derive(Debug)]
pub struct Breaker {
    name: String,
    settings: Settings,
    clock: Arc<dyn Clock>,
    inner: Mutex<Inner>,
}

#[derive(Debug)]
struct Inner {
    state: State,
    since: Timestamp,
    /// Counts changes of state, so that a late result is known to be late.
    generation: u64,
    statistics: Statistics,
    last_failure: Option<String>,
}

#[derive(Debug, Clone, Copy)]
enum State {
    Closed { failures: u32 },
    Open,
    HalfOpen { running: u32, succeeded: u32 },
}

/// What has passed through a breaker since the process began.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Statistics {
    pub succeeded: u64,
    pub failed: u64,
    /// Given up by ourselves before the other side answered.
    pub abandoned: u64,
    /// Not let through.
    pub refused: u64,
    /// How often it opened.
    pub opened: u64,
}

/// Where a breaker stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Status {
    pub name: String,
    /// `closed`, `open` or `half_open`; `off` when breakers are switched off.
    pub state: String,
    pub since: Timestamp,
    /// When an open one lets trials through.
    pub open_until: Option<Timestamp>,
    /// Failures in a row, while closed.
    pub failures_in_row: u32,
    pub statistics: Statistics,
    /// Kind of the newest failure.
    pub last_failure: Option<String>,
}

/// The service is left alone.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the breaker of \"{name}\" is open until {until}")]
pub struct Open {
    pub name: String,
    pub until: Timestamp,
}

impl Breaker {
    pub fn new(name: &str, settings: Settings, clock: Arc<dyn Clock>) -> Self {
        let inner = Inner {
            state: State::Closed { failures: 0 },
            since: clock.now(),
            generation: 0,
            statistics: Statistics::default(),
            last_failure: None,
        };
        Self { name: name.to_owned(), settings, clock, inner: Mutex::new(inner) }
    }

    pub fn name(&self) -> &str {
        &self.name
    }

    /// Asks to make a call. Tell the permit how the call went; one that is dropped counts as abandoned.
    pub fn admit(&self) -> Result<Permit<'_>, Open> {
        let now = self.clock.now();
        let mut inner = self.inner();
        let until = self.look(&mut inner, now);
        let admitted = match &mut inner.state {
            State::Closed { .. } => true,
            State::Open => !self.settings.enabled,
            State::HalfOpen { running, succeeded } => {
                // Those that went well need no second look.
                let free = *running + *succeeded < self.settings.trials;
                *running += u32::from(free);
                free || !self.settings.enabled
            }
        };
        if !admitted {
            inner.statistics.refused += 1;
            return Err(Open { name: self.name.clone(), until });
        }
        Ok(Permit { breaker: self, generation: inner.generation, told: false })
    }

    /// Closes it, whatever was; its statistics stay.
    pub fn reset(&self) {
        self.inner().enter(State::Closed { failures: 0 }, self.clock.now());
    }

    pub fn status(&self) -> Status {
        let now = self.clock.now();
        let mut inner = self.inner();
        let until = self.look(&mut inner, now);
        let (state, failures_in_row) = match inner.state {
            State::Closed { failures } => ("closed", failures),
            State::Open => ("open", 0),
            State::HalfOpen { .. } => ("half_open", 0),
        };
        Status {
            name: self.name.clone(),
            state: if self.settings.enabled { state } else { "off" }.to_owned(),
            since: inner.since,
            open_until: matches!(inner.state, State::Open).then_some(until),
            failures_in_row,
            statistics: inner.statistics,
            last_failure: inner.last_failure.clone(),
        }
    }

    /// Lets time pass: an open one whose time is over becomes half-open. Gives the end of an open one's time.
    fn look(&self, inner: &mut Inner, now: Timestamp) -> Timestamp {
        if matches!(inner.state, State::Open) {
            // A clock that was set back must not keep it open.
            inner.since = inner.since.min(now);
        }
        let until = inner
            .since
            .saturating_add(Duration::from_secs(self.settings.open_seconds))
            .unwrap_or(Timestamp::MAX);
        if matches!(inner.state, State::Open) && now >= until {
            inner.enter(State::HalfOpen { running: 0, succeeded: 0 }, now);
        }
        self.count(inner);
        until
    }

    fn settle(&self, generation: u64, outcome: Outcome<'_>) {
        let now = self.clock.now();
        let mut inner = self.inner();
        match outcome {
            Outcome::Succeeded => inner.statistics.succeeded += 1,
            Outcome::Abandoned => inner.statistics.abandoned += 1,
            Outcome::Failed(kind) => {
                inner.statistics.failed += 1;
                inner.last_failure = Some(kind.to_owned());
            }
        }
        if generation != inner.generation || !self.settings.enabled {
            return;
        }
        match (inner.state, outcome) {
            (State::Closed { .. }, Outcome::Succeeded) => inner.state = State::Closed { failures: 0 },
            (State::Closed { failures }, Outcome::Failed(_)) if failures + 1 < self.settings.failures => {
                inner.state = State::Closed { failures: failures + 1 };
            }
            (State::Closed { .. } | State::HalfOpen { .. }, Outcome::Failed(_)) => {
                inner.statistics.opened += 1;
                inner.enter(State::Open, now);
            }
            (State::HalfOpen { succeeded, .. }, Outcome::Succeeded)
                if succeeded + 1 >= self.settings.trials =>
            {
                inner.enter(State::Closed { failures: 0 }, now);
            }
            (State::HalfOpen { running, succeeded }, outcome) => {
                let succeeded = succeeded + u32::from(matches!(outcome, Outcome::Succeeded));
                inner.state = State::HalfOpen { running: running.saturating_sub(1), succeeded };
            }
            (State::Open, _) | (State::Closed { .. }, Outcome::Abandoned) => {}
        }
        self.count(&inner);
    }

    fn count(&self, inner: &Inner) {
        BREAKER_OPEN.set(i64::from(matches!(inner.state, State::Open)), &[&self.name]);
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inner {
    fn enter(&mut self, state: State, now: Timestamp) {
        self.state = state;
        self.since = now;
        self.generation += 1;
    }
}

#[derive(Clone, Copy)]
enum Outcome<'a> {
    Succeeded,
    Failed(&'a str),
    Abandoned,
}

/// The right to make one call.
#[derive(Debug)]
#[must_use = "say how the call went"]
pub struct Permit<'a> {
    breaker: &'a Breaker,
    generation: u64,
    told: bool,
}

impl Permit<'_> {
    pub fn succeeded(mut self) {
        self.tell(Outcome::Succeeded);
    }

    /// `kind` is one word for what happened, without anything from outside in it.
    pub fn failed(mut self, kind: &str) {
        self.tell(Outcome::Failed(kind));
    }

    fn tell(&mut self, outcome: Outcome<'_>) {
        self.told = true;
        self.breaker.settle(self.generation, outcome);
    }
}

impl Drop for Permit<'_> {
    fn drop(&mut self) {
        if !self.told {
            self.tell(Outcome::Abandoned);
        }
    }
}

#[cfg(test)]
mod tests;
