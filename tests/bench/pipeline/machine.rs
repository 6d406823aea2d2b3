//! What the machine can do at this moment, for whoever reads absolute figures.

use std::{
    fs::{self, OpenOptions},
    io::Write as _,
    time::Instant,
};

use anyhow::{Context as _, Result};
use serde_json::{Value, json};

use crate::{
    measure::{float, percentile},
    process::TICK_US,
};

/// Appends that are timed.
const APPENDS: usize = 200;

/// Processors, load, and how long a synced append takes, as one line.
pub fn line() -> Result<Value> {
    let folder = tempfile::Builder::new().prefix("instance-bench-").tempdir()?;
    let mut file = OpenOptions::new().create(true).append(true).open(folder.path().join("ledger"))?;
    let mut took = Vec::with_capacity(APPENDS);
    for _ in 0..APPENDS {
        let started = Instant::now();
        file.write_all(&[b'x'; 1024]).and_then(|()| file.sync_data()).context("could not append")?;
        took.push(started.elapsed().as_secs_f64() * 1e6);
    }
    let load = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    let processors = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    Ok(json!({
        "name": "machine",
        "processors": processors,
        "load": load.split(' ').next(),
        "fdatasync_p50_us": percentile(&mut took, 0.5).round(),
        "fdatasync_p99_us": percentile(&mut took, 0.99).round(),
    }))
}

/// What the processors have done until a moment, by `/proc/stat`.
pub struct Processors {
    /// All of them together, what a host of this virtual machine took away included.
    busy_us: u64,
    count: u64,
    at: Instant,
}

impl Processors {
    pub fn read() -> Result<Self> {
        let stat = fs::read_to_string("/proc/stat").context("could not read /proc/stat")?;
        Self::parse(&stat).context("/proc/stat has no line of all processors")
    }

    /// proc_stat(5): user, nice, system, idle, iowait, irq, softirq, steal; the guests behind them are in the first two.
    fn parse(stat: &str) -> Option<Self> {
        let line = stat.lines().find_map(|line| line.strip_prefix("cpu "))?;
        let fields: Vec<u64> = line.split_whitespace().filter_map(|field| field.parse().ok()).collect();
        let busy = [0, 1, 2, 5, 6, 7].into_iter().map(|at| fields.get(at).copied().unwrap_or_default());
        let is_one = |line: &&str| line.strip_prefix("cpu").is_some_and(|rest| !rest.starts_with(' '));
        let count = stat.lines().filter(is_one).count() as u64;
        Some(Self { busy_us: busy.sum::<u64>() * TICK_US, count, at: Instant::now() })
    }

    /// The share of all processors that others had since `before`, in which we had `ours_us`.
    pub fn taken_by_others(&self, before: &Self, ours_us: u64) -> f64 {
        let others_us = (self.busy_us - before.busy_us).saturating_sub(ours_us);
        let whole_us = (self.at - before.at).as_secs_f64() * 1e6 * float(self.count);
        float(others_us) / whole_us
    }
}
