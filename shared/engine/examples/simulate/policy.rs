//! What policy says in one run.

use instance_planner::Policy;
use rand::RngExt as _;
use rand_chacha::ChaCha8Rng;

use crate::people::OPERATOR;

/// Of a run in which time is short.
pub const SHORT_SECONDS: u32 = 60;
/// Between two restarts of an instance, where budgets are tight.
const TIGHT_MINUTES: u32 = 15;

pub fn draw(rng: &mut ChaCha8Rng) -> Policy {
    let is_tight = rng.random_ratio(1, 6);
    Policy {
        approve_restarts: rng.random_ratio(1, 2),
        approve_dangerous: rng.random_ratio(3, 4),
        approve_config: rng.random_ratio(1, 8),
        approve_os: rng.random_ratio(1, 8),
        approvers: if rng.random_ratio(1, 2) { vec![OPERATOR.to_owned()] } else { Vec::new() },
        parallel_steps: rng.random_range(1..=4),
        attempts: rng.random_range(3..=4),
        remediation_seconds: if rng.random_ratio(1, 8) { SHORT_SECONDS } else { 1200 },
        approval_seconds: 300,
        drastic_steps: if is_tight { rng.random_range(1..=2) } else { 3 },
        restarts_per_hour: if is_tight { rng.random_range(1..=2) } else { 60 },
        minutes_between_restarts: if is_tight && rng.random_ratio(1, 2) { TIGHT_MINUTES } else { 0 },
        #[cfg(feature = "mutants")]
        mutant: std::env::var("MUTANT").ok(),
        ..Policy::default()
    }
}

/// May so little happen that plans are refused for it?
pub const fn is_tight(policy: &Policy) -> bool {
    policy.drastic_steps < 3
}
