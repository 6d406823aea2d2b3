//! Which number a new owner of a shard has.

use instance_planner::Policy;
use jiff::Timestamp;

/// Above every epoch before, and not below this owner's clock in Unix milliseconds, so that an owner is followed by a
/// higher one whichever of the two clocks is ahead, and also when the log of the former ones is gone.
pub fn next_epoch(last: u64, now: Timestamp, policy: &Policy) -> u64 {
    let by_clock = u64::try_from(now.as_millisecond()).unwrap_or_default();
    if policy.mutant("engine.epoch-by-clock-alone") {
        return by_clock;
    }
    by_clock.max(last.saturating_add(1))
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: u64 = 1_795_000_000_000;

    fn epoch_after(last: u64) -> u64 {
        let now = Timestamp::from_millisecond(NOW.cast_signed()).unwrap();
        next_epoch(last, now, &Policy::default())
    }

    #[test]
    fn an_epoch_from_the_future_is_followed_by_a_higher_one() {
        assert_eq!(epoch_after(NOW + 600_000), NOW + 600_001);
        assert_eq!(epoch_after(NOW), NOW + 1);
    }

    #[test]
    fn a_shard_whose_log_is_gone_goes_on_by_the_clock() {
        assert_eq!(epoch_after(0), NOW);
        assert_eq!(epoch_after(NOW - 1), NOW);
    }
}
