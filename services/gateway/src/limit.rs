//! How often something may be done.

use std::num::NonZeroU32;

use governor::{DefaultDirectRateLimiter, Quota, RateLimiter};

/// So many a second on and on, so many at once.
pub(crate) struct Limit(DefaultDirectRateLimiter);

impl Limit {
    /// Zero counts as one.
    pub(crate) fn new(per_second: u16, at_once: u16) -> Self {
        let number = |number: u16| NonZeroU32::new(number.into()).unwrap_or(NonZeroU32::MIN);
        Self(RateLimiter::direct(Quota::per_second(number(per_second)).allow_burst(number(at_once))))
    }

    /// May it be done now? A yes counts.
    pub(crate) fn allows(&self) -> bool {
        self.0.check().is_ok()
    }
}
