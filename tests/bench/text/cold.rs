//! The command from a cold start: one message, and ten.

use std::{
    path::Path,
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use crate::measure::{Goal, Report};

pub fn measure(instance: &Path, rounds: usize, report: &mut Report) {
    for (count, goal) in [("1", 500.0), ("10", 2000.0)] {
        let mut times: Vec<Duration> = (0..rounds.max(5)).map(|_| once(instance, count)).collect();
        times.sort();
        let worst = times[times.len() - 1].as_secs_f64() * 1e3;
        report.add(
            format!("instance generate --count {count}, the slowest"),
            worst,
            "ms",
            Goal::AtMost(goal),
        );
    }
}

fn once(instance: &Path, count: &str) -> Duration {
    let began = Instant::now();
    let mut command = Command::new(instance);
    let ran =
        command.args(["generate", "--count", count, "--quiet"]).stderr(Stdio::inherit()).output().unwrap();
    let took = began.elapsed();
    assert!(ran.status.success());
    assert_eq!(ran.stdout.iter().filter(|byte| **byte == b'\n').count().to_string(), count);
    took
}
