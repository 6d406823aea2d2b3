//! When to try again.

use std::time::Duration;

use instance_contract::{Attempt, Digest, StepKey, StepStatus, ToolResult};

const BASE: Duration = Duration::from_secs(2);
const TOP: Duration = Duration::from_mins(1);

/// An agent's word for "somebody newer acts on this instance".
const STALE_TOKEN: &str = "stale_token";

/// May another attempt succeed? After `unknown` the agent probes, it does not repeat.
pub(crate) fn is_worth_another_try(result: &ToolResult) -> bool {
    match result.status {
        StepStatus::Unknown => true,
        StepStatus::Failure => result.retryable,
        // An owner that had been followed by this one sent it; with this owner's token it may be done.
        StepStatus::Refused => result.error_code.as_deref() == Some(STALE_TOKEN),
        _ => false,
    }
}

/// Waiting time before the attempt after `attempt`: 2 s doubling to 60 s, plus up to 10 %.
///
/// The jitter follows from the step, so that the same remediation waits the same time in a replay, and different
/// ones do not come back together.
pub(crate) fn delay_after(key: &StepKey, attempt: Attempt) -> Duration {
    let doubled = BASE.saturating_mul(1 << attempt.0.saturating_sub(1).min(16)).min(TOP);
    let drawn = Digest::of(format!("{key}/{attempt}").as_bytes());
    let thousandths = u32::from_str_radix(&drawn.as_str()[..4], 16).unwrap_or_default() % 101;
    doubled + doubled * thousandths / 1000
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_up_to_a_minute_with_at_most_a_tenth_on_top() {
        let key = StepKey {
            remediation_id: "6f1d2c0a-52b7-4c43-9a3e-1b6077a1d5c8".parse().unwrap(),
            step_id: "config".parse().unwrap(),
        };
        for (attempt, seconds) in [(1, 2), (2, 4), (3, 8), (6, 60), (40, 60)] {
            let base = Duration::from_secs(seconds);
            let delay = delay_after(&key, Attempt(attempt));
            assert!(base <= delay && delay <= base.mul_f32(1.1), "{attempt}: {delay:?}");
            assert_eq!(delay, delay_after(&key, Attempt(attempt)));
        }
    }
}
