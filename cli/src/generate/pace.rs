//! How fast a stream goes.

use std::time::Duration;

use instance_invent::Pace;

/// Messages a second.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Rate {
    Max,
    Of(f64),
}

impl Rate {
    /// Without `--rate`.
    pub const USUAL: Self = Self::Of(1.0);

    /// Stamps lie as far apart as the messages do; as fast as can be, a millisecond.
    pub fn of_stamps(self) -> Pace {
        match self {
            Self::Max => Pace::Every(1000),
            #[expect(
                clippy::cast_possible_truncation,
                clippy::cast_sign_loss,
                reason = "a rate of 0.001 and more is at most 10^9 microseconds"
            )]
            Self::Of(rate) => Pace::Every((1e6 / rate).round() as u32),
        }
    }

    /// How many messages should be out after this time.
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a million a second for a million years fits"
    )]
    pub fn due(self, after: Duration) -> u64 {
        match self {
            Self::Max => u64::MAX,
            // The first one at once.
            Self::Of(rate) => (after.as_secs_f64() * rate) as u64 + 1,
        }
    }

    /// When the message with this number is due.
    #[expect(clippy::cast_precision_loss, reason = "nobody sees the difference after 2^53 messages")]
    pub fn due_at(self, number: u64) -> Duration {
        match self {
            Self::Max => Duration::ZERO,
            Self::Of(rate) => Duration::from_secs_f64(number as f64 / rate),
        }
    }
}

/// `max`, or a number from 0.001 to 1000000.
pub fn rate(text: &str) -> Result<Rate, String> {
    if text == "max" {
        return Ok(Rate::Max);
    }
    let legal = |rate: &f64| (0.001..=1_000_000.0).contains(rate);
    let rule = "must be messages a second, 0.001 to 1000000, or max";
    text.parse().ok().filter(legal).map(Rate::Of).ok_or_else(|| rule.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_are_due_evenly_and_the_first_at_once() {
        let rate = rate("50").unwrap();
        assert_eq!(rate.due(Duration::ZERO), 1);
        assert_eq!(rate.due(Duration::from_millis(999)), 50);
        assert_eq!(rate.due_at(50), Duration::from_secs(1));
        assert_eq!(rate.of_stamps(), Pace::Every(20_000));
    }
}
