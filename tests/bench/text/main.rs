//! `cargo xtask bench text`: the log reader, the inventor and the tail beside what can be done at best, as ratios in one
//! run. Prints a JSON line for each figure, then a table; the exit code says whether every goal was met.

#![expect(clippy::unwrap_used, reason = "a bench whose disk fails has failed")]
#![expect(clippy::cast_precision_loss, reason = "figures of a bench are rounded anyway")]

mod cold;
mod follow;
mod measure;
mod reading;
mod writing;
mod yardstick;

use std::{path::PathBuf, process::ExitCode};

use clap::Parser;
use measure::Report;

/// Ratios of the text work.
#[derive(Parser)]
#[command(name = "cargo xtask bench text --")]
struct Arguments {
    /// Size of the log in MB (of 1,048,576 bytes).
    #[arg(long, default_value_t = 477)]
    mb: usize,
    /// Rounds; all candidates in turn, the medians count.
    #[arg(long, default_value_t = 5)]
    rounds: usize,
    /// The command `instance`, to be timed cold.
    #[arg(long, value_name = "PATH")]
    instance: Option<PathBuf>,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let folder = tempfile::tempdir().unwrap();
    let mut report = Report::default();
    writing::measure(folder.path(), &arguments, &mut report);
    reading::measure(folder.path(), &arguments, &mut report);
    follow::measure(folder.path(), &mut report);
    if let Some(instance) = &arguments.instance {
        cold::measure(instance, arguments.rounds, &mut report);
    }
    if report.tell() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
