//! How long to wait before a call is tried again.

use std::time::Duration;

/// At most this share of a pause is added at random, so that many who failed together do not come back together.
const JITTER: f64 = 0.1;

/// How often to try, and how long to wait in between.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Retry {
    pub tries: u32,
    pub base: Duration,
    pub top: Duration,
}

impl Retry {
    /// The pause after the `failed`th failure (from 1), or `None` when there is nothing to wait for: no try is left, or
    /// the other side wants to be left alone for longer than the longest pause.
    ///
    /// `random` is 0 to 1. The pause is never shorter than what the other side asked for.
    pub fn pause(&self, failed: u32, retry_after: Option<Duration>, random: f64) -> Option<Duration> {
        if failed >= self.tries || retry_after.is_some_and(|asked| asked > self.top) {
            return None;
        }
        let doubled = self.base.saturating_mul(2_u32.saturating_pow(failed.saturating_sub(1)));
        let jittered = doubled.mul_f64(1.0 + JITTER * random.clamp(0.0, 1.0)).min(self.top);
        Some(jittered.max(retry_after.unwrap_or_default()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RETRY: Retry = Retry { tries: 8, base: Duration::from_secs(2), top: Duration::from_mins(1) };

    #[test]
    fn pauses_double_up_to_the_top() {
        let pauses: Vec<_> = (1..=8).map(|failed| RETRY.pause(failed, None, 0.0)).collect();
        let seconds = |seconds| Some(Duration::from_secs(seconds));
        let doubled = [2, 4, 8, 16, 32, 60, 60].map(seconds);
        assert_eq!(pauses[..7], doubled);
        assert_eq!(pauses[7], None, "the last try has failed");
        assert_eq!(RETRY.pause(2, None, 1.0), Some(Duration::from_millis(4_400)));
        assert_eq!(RETRY.pause(u32::MAX, None, 1.0), None);
    }

    #[test]
    fn nobody_comes_back_before_the_time_that_was_asked_for() {
        let after = |seconds| Some(Duration::from_secs(seconds));
        assert_eq!(RETRY.pause(1, after(7), 1.0), after(7));
        assert_eq!(RETRY.pause(2, after(1), 0.0), after(4));
        assert_eq!(RETRY.pause(1, after(61), 0.0), None, "longer than the top is not waited for");
    }
}
