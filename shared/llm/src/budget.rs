//! What may be spent on models, and what was: a budget stops, it does not only warn.
//!
//! Invariant: no call is made before what it may cost at most is set aside, on disk and synced. A process that dies in
//! the middle of a call leaves that behind as spent.
//! Invariant: all processes of one host that share a folder share the count, under one lock.

mod ledger;
mod report;

use std::{
    collections::BTreeSet,
    fmt, io,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use instance_clock::Clock;
use jiff::{civil::Date, tz::TimeZone};
use serde::Deserialize;
use uuid::Uuid;

pub(crate) use self::ledger::private_folder;
use self::ledger::{Ledger, Line, State};
pub use self::report::{Amount, CostReport, DayCost, Limits, NamedCost};
use crate::provider::Usage;

/// What may be spent.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    /// Tokens for one call. Default: as many as the others leave.
    pub call_tokens: Option<u64>,
    /// Tokens for one remediation. Default: 5000.
    pub remediation_tokens: u64,
    /// Tokens for one session: one run of a process, unless it says otherwise. Default: 50000.
    pub session_tokens: u64,
    /// Tokens for one day (UTC), over all processes that share the folder. Default: 500000.
    pub day_tokens: u64,
    /// US dollars for one remediation. Default: 0.50.
    pub remediation_usd: f64,
    /// A warning is given at so many percent of each of them. Default: 80.
    pub warn_percent: u64,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            call_tokens: None,
            remediation_tokens: 5_000,
            session_tokens: 50_000,
            day_tokens: 500_000,
            remediation_usd: 0.5,
            warn_percent: 80,
        }
    }
}

/// On whose account a question is asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Account {
    pub session: String,
    /// Also the conversation in traces. `None`: on no remediation's account.
    pub remediation: Option<String>,
}

/// One of the budgets.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Limit {
    CallTokens,
    RemediationTokens,
    SessionTokens,
    DayTokens,
    RemediationMicroUsd,
}

impl fmt::Display for Limit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::CallTokens => "tokens of this call",
            Self::RemediationTokens => "tokens of this remediation",
            Self::SessionTokens => "tokens of this session",
            Self::DayTokens => "tokens of this day",
            Self::RemediationMicroUsd => "micro-dollars of this remediation",
        })
    }
}

/// Why nothing may be spent.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("the budget of {limit} is spent: {used} of {of} used, and the call may need {wanted}")]
    Spent { limit: Limit, used: u64, of: u64, wanted: u64 },
    #[error("could not {operation} the record of what models cost in \"{path}\"")]
    Record {
        operation: &'static str,
        path: PathBuf,
        #[source]
        source: io::Error,
    },
}

/// What was spent according to a folder, with the limits of these settings. Blocks on the disk.
pub fn read(settings: &Settings, folder: &Path, clock: Arc<dyn Clock>) -> Result<CostReport, Error> {
    Budget::open(settings.clone(), folder, clock)?.report()
}

/// What was set aside for one call.
#[derive(Debug, Clone)]
pub(crate) struct Reservation {
    line: Line,
    day: Date,
}

/// Who is called, for the report.
#[derive(Debug, Clone)]
pub(crate) struct Purpose {
    pub provider: String,
    pub model: String,
    /// Name and version of the prompt.
    pub prompt: String,
}

#[derive(Debug)]
pub(crate) struct Budget {
    settings: Settings,
    clock: Arc<dyn Clock>,
    inner: Mutex<Inner>,
}

#[derive(Debug)]
struct Inner {
    ledger: Ledger,
    /// What was warned of, so that it is said once.
    warned: BTreeSet<(Limit, String)>,
}

impl Budget {
    pub fn open(settings: Settings, folder: &Path, clock: Arc<dyn Clock>) -> Result<Self, Error> {
        let ledger = Ledger::open(&folder.join("spent"))?;
        Ok(Self { settings, clock, inner: Mutex::new(Inner { ledger, warned: BTreeSet::new() }) })
    }

    /// Sets aside what a call may cost at most. Blocks on the disk.
    pub fn reserve(
        &self,
        account: &Account,
        purpose: &Purpose,
        most: Usage,
        micro_usd: u64,
    ) -> Result<Reservation, Error> {
        let wanted = most.total();
        if let Some(of) = self.settings.call_tokens.filter(|of| wanted > *of) {
            return Err(Error::Spent { limit: Limit::CallTokens, used: 0, of, wanted });
        }
        let now = self.clock.now();
        let day = now.to_zoned(TimeZone::UTC).date();
        let mut inner = self.inner();
        let _lock = inner.ledger.lock()?;
        inner.ledger.read(day)?;
        let counts = self.counts(&inner.ledger, account, day);
        for count in &counts {
            let wanted = if count.limit == Limit::RemediationMicroUsd { micro_usd } else { most.total() };
            // A call that costs nothing is not stopped by a budget of dollars.
            if count.used.saturating_add(wanted) > count.of && wanted > 0 {
                return Err(Error::Spent { limit: count.limit, used: count.used, of: count.of, wanted });
            }
        }
        let line = Line {
            id: Uuid::new_v4(),
            at: now,
            state: State::Reserved,
            session: account.session.clone(),
            remediation: account.remediation.clone(),
            provider: purpose.provider.clone(),
            model: purpose.model.clone(),
            prompt: purpose.prompt.clone(),
            input_tokens: most.input_tokens,
            output_tokens: most.output_tokens,
            micro_usd,
        };
        inner.ledger.append(day, &line)?;
        Ok(Reservation { line, day })
    }

    /// Puts what a call really cost in the place of what was set aside. Nothing spent: it never happened. Blocks on the
    /// disk.
    pub fn settle(&self, reservation: Reservation, usage: Usage, micro_usd: u64) -> Result<(), Error> {
        let Reservation { mut line, day } = reservation;
        line.state = if usage.total() == 0 { State::Released } else { State::Spent };
        (line.input_tokens, line.output_tokens) = (usage.input_tokens, usage.output_tokens);
        line.micro_usd = micro_usd;
        let account = Account { session: line.session.clone(), remediation: line.remediation.clone() };
        let mut inner = self.inner();
        let _lock = inner.ledger.lock()?;
        inner.ledger.append(day, &line)?;
        for count in self.counts(&inner.ledger, &account, day) {
            if count.used.saturating_mul(100) >= count.of.saturating_mul(self.settings.warn_percent)
                && inner.warned.insert((count.limit, count.whose.clone()))
            {
                tracing::warn!(used = count.used, of = count.of, whose = %count.whose, "a model budget is nearly spent: {}", count.limit);
            }
        }
        Ok(())
    }

    /// What was spent, on disk up to this moment. Blocks on the disk.
    pub fn report(&self) -> Result<CostReport, Error> {
        let day = self.clock.now().to_zoned(TimeZone::UTC).date();
        let mut inner = self.inner();
        let _lock = inner.ledger.lock()?;
        inner.ledger.read(day)?;
        report::of(&inner.ledger, &self.settings, day)
    }

    fn counts(&self, ledger: &Ledger, account: &Account, day: Date) -> Vec<Count> {
        let settings = &self.settings;
        let mut counts = vec![
            Count {
                limit: Limit::DayTokens,
                whose: day.to_string(),
                used: ledger.of_day(day).map(Line::tokens).fold(0, u64::saturating_add),
                of: settings.day_tokens,
            },
            Count {
                limit: Limit::SessionTokens,
                whose: account.session.clone(),
                used: ledger
                    .all()
                    .filter(|line| line.session == account.session)
                    .map(Line::tokens)
                    .fold(0, u64::saturating_add),
                of: settings.session_tokens,
            },
        ];
        if let Some(remediation) = &account.remediation {
            let of_it = || ledger.all().filter(|line| line.remediation.as_ref() == Some(remediation));
            counts.push(Count {
                limit: Limit::RemediationTokens,
                whose: remediation.clone(),
                used: of_it().map(Line::tokens).fold(0, u64::saturating_add),
                of: settings.remediation_tokens,
            });
            counts.push(Count {
                limit: Limit::RemediationMicroUsd,
                whose: remediation.clone(),
                used: of_it().map(|line| line.micro_usd).fold(0, u64::saturating_add),
                of: micro_usd(settings.remediation_usd * 1_000_000.0),
            });
        }
        counts
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

struct Count {
    limit: Limit,
    whose: String,
    used: u64,
    of: u64,
}

/// Dollars for a million tokens are millionths of a dollar for one. Rounded up.
pub(crate) fn cost(usage: Usage, input_usd_per_million: f64, output_usd_per_million: f64) -> u64 {
    #[expect(clippy::cast_precision_loss, reason = "no call has 2^53 tokens")]
    let exact = usage.input_tokens as f64 * input_usd_per_million
        + usage.output_tokens as f64 * output_usd_per_million;
    micro_usd(exact.ceil())
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "negative is 0, too much is the most"
)]
fn micro_usd(exact: f64) -> u64 {
    exact as u64
}

#[cfg(test)]
mod tests;
