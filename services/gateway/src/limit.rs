//! How often something may be done.

use std::num::NonZeroU32;

use governor::{DefaultDirectRateLimiter, Quota, RateLimiter};

/// So many a second on and on, so many at once.
pub(crate) struct Limit(DefaultDirectRateLimiter);

impl Limit {
    /// Zero counts as one.
    pub(crate) fn new(per_second: u16, at_once: u16) -> Self {
        Self::of(Quota::per_second(number(per_second)), at_once)
    }

    /// So many an hour on and on, so many at once. Zero counts as one.
    pub(crate) fn hourly(per_hour: u16, at_once: u16) -> Self {
        Self::of(Quota::per_hour(number(per_hour)), at_once)
    }

    fn of(quota: Quota, at_once: u16) -> Self {
        Self(RateLimiter::direct(quota.allow_burst(number(at_once))))
    }

    /// May it be done now? A yes counts.
    pub(crate) fn allows(&self) -> bool {
        self.0.check().is_ok()
    }
}

fn number(number: u16) -> NonZeroU32 {
    NonZeroU32::new(number.into()).unwrap_or(NonZeroU32::MIN)
}
