//! How long each part of a restart may take.

use std::time::Duration;

use instance_contract::RestartInstance;

use crate::{config::Config, stop::FORCE_LIMIT};

/// The limits of the parts, as the command says, else as the settings say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Waits {
    pub users: Duration,
    pub stop: Duration,
    pub start: Duration,
    /// May the instance be forced down after the stop?
    pub force: bool,
}

impl Waits {
    pub fn of(config: &Config, wish: &RestartInstance) -> Self {
        let seconds = |asked: Option<u32>, set: u64| Duration::from_secs(asked.map_or(set, u64::from));
        Self {
            users: seconds(wish.users_seconds, config.users_seconds),
            stop: seconds(wish.stop_seconds, config.stop_seconds),
            start: seconds(wish.start_seconds, config.start_seconds),
            force: wish.force && config.allow_force,
        }
    }

    /// How long users may be waited for, when so much is left for the attempt.
    pub fn for_users(&self, remaining: Duration) -> Duration {
        share(self.users, self.users + self.stop_and_start(), remaining)
    }

    /// How long the stop may take, when so much is left for the attempt.
    pub fn for_stop(&self, remaining: Duration) -> Duration {
        share(self.stop, self.stop_and_start(), remaining)
    }

    fn stop_and_start(&self) -> Duration {
        self.stop + self.start + if self.force { FORCE_LIMIT } else { Duration::ZERO }
    }
}

/// Where less is left than all parts together may take, each gets its share: a stop that leaves no time for the start
/// would be worse than none.
fn share(part: Duration, all: Duration, remaining: Duration) -> Duration {
    if remaining >= all { part } else { remaining.mul_f64(part.as_secs_f64() / all.as_secs_f64()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn short_time_is_shared_out() {
        let seconds = Duration::from_secs;
        let waits = Waits { users: seconds(60), stop: seconds(120), start: seconds(60), force: false };
        assert_eq!(
            (waits.for_users(seconds(240)), waits.for_stop(seconds(180))),
            (seconds(60), seconds(120))
        );
        assert_eq!((waits.for_users(seconds(24)), waits.for_stop(seconds(18))), (seconds(6), seconds(12)));
        let forcing = Waits { force: true, stop: seconds(30), start: seconds(20), ..waits };
        assert_eq!(forcing.for_stop(seconds(30)), seconds(15));
        let none = Waits { users: seconds(0), stop: seconds(0), start: seconds(0), force: false };
        assert_eq!(none.for_stop(seconds(0)), seconds(0));
    }
}
