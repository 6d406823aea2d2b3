//! What a run costs: ten thousand seeds are to take less than a minute.

use std::time::{Duration, Instant};

use nix::sys::resource::{UsageWho, getrusage};

/// The run that the goal is about.
const SEEDS: u32 = 10_000;
/// For so many seeds, on one processor that has nothing else to do.
const GOAL: Duration = Duration::from_mins(1);

/// A run that has begun.
pub struct Effort {
    began: Instant,
}

impl Effort {
    pub fn begins() -> Self {
        Self { began: Instant::now() }
    }

    /// Says what it has taken. Were all these seeds done within the goal? Held by the time on processors, which other work
    /// on the machine hardly changes; a run of fewer seeds only says it.
    pub fn tells(&self, seeds: usize) -> bool {
        let (took, worked) = (self.began.elapsed(), worked());
        println!(
            "  took {:.1} s, {:.1} s of processors (goal for {SEEDS} seeds: {} s)",
            took.as_secs_f64(),
            worked.as_secs_f64(),
            GOAL.as_secs()
        );
        let is_in_time = is_in_time(seeds, worked);
        if !is_in_time {
            eprintln!("{seeds} seeds may take {:.0} s of processors", goal(seeds).as_secs_f64());
        }
        is_in_time
    }
}

fn is_in_time(seeds: usize, worked: Duration) -> bool {
    seeds < SEEDS as usize || worked <= goal(seeds)
}

fn goal(seeds: usize) -> Duration {
    GOAL.mul_f64(f64::from(u32::try_from(seeds).unwrap_or(u32::MAX)) / f64::from(SEEDS))
}

/// Time of this process on processors.
fn worked() -> Duration {
    let usage = getrusage(UsageWho::RUSAGE_SELF).expect("a process may ask for its own usage");
    let seconds = |time: nix::sys::time::TimeVal| {
        Duration::from_secs(time.tv_sec().cast_unsigned())
            + Duration::from_micros(time.tv_usec().cast_unsigned())
    };
    seconds(usage.user_time()) + seconds(usage.system_time())
}
