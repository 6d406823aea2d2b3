//! Timing in turns, and the report.

use std::{
    fs,
    time::{Duration, Instant},
};

use serde_json::json;

/// A candidate by name.
pub type Job<'a> = (&'a str, Box<dyn FnMut() + 'a>);

/// What is timed.
#[derive(Clone, Copy)]
pub enum Time {
    /// As a clock on the wall says it.
    Wall,
    /// What this thread was on a processor: other work on the machine counts little.
    Processor,
}

impl Time {
    fn now(self, since: Instant) -> Duration {
        match self {
            Self::Wall => since.elapsed(),
            Self::Processor => {
                let told = fs::read_to_string("/proc/thread-self/schedstat").unwrap();
                Duration::from_nanos(told.split_whitespace().next().unwrap().parse().unwrap())
            }
        }
    }
}

/// The median time of each candidate; they run in turn, so that what disturbs the machine disturbs all.
pub fn medians(rounds: usize, time: Time, jobs: &mut [Job<'_>]) -> Vec<Duration> {
    let start = Instant::now();
    let mut times = vec![Vec::new(); jobs.len()];
    for _ in 0..rounds {
        for ((_, job), times) in jobs.iter_mut().zip(&mut times) {
            let began = time.now(start);
            job();
            times.push(time.now(start).saturating_sub(began));
        }
    }
    times
        .into_iter()
        .map(|mut times: Vec<Duration>| {
            times.sort();
            times[times.len() / 2]
        })
        .collect()
}

/// Figures beside their goals.
#[derive(Default)]
pub struct Report {
    rows: Vec<Row>,
}

struct Row {
    figure: String,
    value: f64,
    unit: &'static str,
    goal: Goal,
}

/// What a figure should be.
#[derive(Clone, Copy)]
pub enum Goal {
    AtLeast(f64),
    AtMost(f64),
    /// Told only.
    None,
}

impl Report {
    pub fn add(&mut self, figure: impl Into<String>, value: f64, unit: &'static str, goal: Goal) {
        let row = Row { figure: figure.into(), value, unit, goal };
        println!(
            "{}",
            json!({"figure": row.figure, "value": (row.value * 1000.0).round() / 1000.0, "unit": row.unit,
                "goal": row.told_goal(), "met": row.is_met()})
        );
        self.rows.push(row);
    }

    /// Prints the table; whether every goal was met.
    pub fn tell(&self) -> bool {
        println!();
        for row in &self.rows {
            let met = match row.goal {
                Goal::None => "",
                _ if row.is_met() => "met",
                _ => "missed",
            };
            println!("{:62} {:>10.3} {:6} {:12} {met}", row.figure, row.value, row.unit, row.told_goal());
        }
        self.rows.iter().all(Row::is_met)
    }
}

impl Row {
    fn is_met(&self) -> bool {
        match self.goal {
            Goal::AtLeast(goal) => self.value >= goal,
            Goal::AtMost(goal) => self.value <= goal,
            Goal::None => true,
        }
    }

    fn told_goal(&self) -> String {
        match self.goal {
            Goal::AtLeast(goal) => format!("at least {goal}"),
            Goal::AtMost(goal) => format!("at most {goal}"),
            Goal::None => String::new(),
        }
    }
}
