//! What the machine can do at this moment, for whoever reads absolute figures.

use std::{
    fs::{self, OpenOptions},
    io::Write as _,
    time::Instant,
};

use anyhow::{Context as _, Result};
use serde_json::{Value, json};

use crate::measure::percentile;

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
