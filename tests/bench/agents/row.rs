//! One line of the result.

use std::{
    fmt,
    time::{Duration, Instant},
};

use anyhow::Result;

/// How far from its limit work may end, in percent.
const OFF_AT_MOST: f64 = 5.0;

/// What was measured, and its bound.
pub enum Row {
    /// The median of the agent's way at most so many times that of the bare one.
    Ratio { what: String, ours: Times, bare: Times, bound: f64 },
    /// The 95th percentile at most so long.
    Limit { what: String, times: Times, bound: Duration },
    /// Work that hangs, ended with its limit: within a twentieth of it.
    End { what: String, took: Duration, limit: Duration },
}

/// How long each round took, sorted.
pub struct Times(Vec<Duration>);

impl Times {
    fn of(mut rounds: Vec<Duration>) -> Self {
        rounds.sort_unstable();
        Self(rounds)
    }

    /// `share` from 0 to 100.
    fn percentile(&self, share: usize) -> Duration {
        let place = (self.0.len() * share / 100).min(self.0.len().saturating_sub(1));
        self.0.get(place).copied().unwrap_or_default()
    }
}

impl Row {
    /// Does both, turn about, and compares them.
    pub fn compare(
        what: &str,
        bound: f64,
        rounds: usize,
        mut ours: impl FnMut(usize) -> Result<()>,
        mut bare: impl FnMut(usize) -> Result<()>,
    ) -> Result<Self> {
        let (mut of_ours, mut of_bare) = (Vec::new(), Vec::new());
        for round in 0..rounds {
            of_ours.push(time(|| ours(round))?);
            of_bare.push(time(|| bare(round))?);
        }
        let (ours, bare) = (Times::of(of_ours), Times::of(of_bare));
        Ok(Self::Ratio { what: what.to_owned(), ours, bare, bound })
    }

    pub fn within(
        what: &str,
        bound: Duration,
        rounds: usize,
        mut act: impl FnMut() -> Result<()>,
    ) -> Result<Self> {
        let times = (0..rounds).map(|_| time(&mut act)).collect::<Result<Vec<_>>>()?;
        Ok(Self::Limit { what: what.to_owned(), times: Times::of(times), bound })
    }

    pub fn is_held(&self) -> bool {
        match self {
            Self::Ratio { bound, .. } => self.ratio() <= *bound,
            Self::Limit { times, bound, .. } => times.percentile(95) <= *bound,
            Self::End { .. } => self.off().abs() <= OFF_AT_MOST,
        }
    }

    /// How far from its limit work was ended, in percent; negative when before it.
    fn off(&self) -> f64 {
        match self {
            Self::End { took, limit, .. } => (took.as_secs_f64() / limit.as_secs_f64() - 1.0) * 100.0,
            Self::Ratio { .. } | Self::Limit { .. } => 0.0,
        }
    }

    fn ratio(&self) -> f64 {
        match self {
            Self::Ratio { ours, bare, .. } => {
                ours.percentile(50).as_secs_f64() / bare.percentile(50).as_secs_f64()
            }
            Self::Limit { .. } | Self::End { .. } => 0.0,
        }
    }
}

impl fmt::Display for Row {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let verdict = if self.is_held() { "held" } else { "BEYOND" };
        match self {
            Self::Ratio { what, ours, bare, bound } => write!(
                f,
                "{what}: p50 {:?}, p95 {:?}; bare p50 {:?}, p95 {:?}; ratio {:.2}, bound {bound:.1}: {verdict}",
                ours.percentile(50),
                ours.percentile(95),
                bare.percentile(50),
                bare.percentile(95),
                self.ratio(),
            ),
            Self::Limit { what, times, bound } => write!(
                f,
                "{what}: p50 {:?}, p95 {:?}; bound {bound:?}: {verdict}",
                times.percentile(50),
                times.percentile(95),
            ),
            Self::End { what, took, limit } => write!(
                f,
                "{what}: ended after {took:?} of {limit:?}, {:+.1} %; bound {OFF_AT_MOST} %: {verdict}",
                self.off(),
            ),
        }
    }
}

fn time(act: impl FnOnce() -> Result<()>) -> Result<Duration> {
    let began = Instant::now();
    act()?;
    Ok(began.elapsed())
}
