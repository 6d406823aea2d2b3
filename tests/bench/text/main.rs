//! `cargo xtask bench text`: the log reader, the inventor and the tail beside what can be done at best, as ratios in one
//! run. Prints a JSON line for each figure, then a table; the exit code says whether every goal was met.

#![expect(clippy::unwrap_used, reason = "a bench whose disk fails has failed")]
#![expect(clippy::cast_precision_loss, reason = "figures of a bench are rounded anyway")]

mod cold;
mod follow;
mod independent;
mod measure;
mod reading;
mod writing;
mod yardstick;

#[path = "../pipeline/yardstick.rs"]
#[expect(dead_code, reason = "what runs the other yardstick")]
mod build_yardstick;

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
    /// Source of an independent yardstick; passed over when it is not there.
    #[arg(long, value_name = "DIR")]
    yardstick: Option<PathBuf>,
    /// The command `instance`, to be timed cold.
    #[arg(long, value_name = "PATH")]
    instance: Option<PathBuf>,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let folder = tempfile::tempdir().unwrap();
    let mut report = Report::default();
    let [pre_rendered, inventor] = writing::measure(folder.path(), &arguments, &mut report);
    let [splitter, reader] = reading::measure(folder.path(), &arguments, &mut report);
    if let Some(source) = &arguments.yardstick {
        let own = independent::Own { splitter, reader, pre_rendered, inventor };
        let work = (arguments.mb, arguments.rounds);
        independent::measure(source, &folder.path().join("messages.log"), work, &own, &mut report);
    }
    follow::measure(folder.path(), &mut report);
    if let Some(instance) = &arguments.instance {
        cold::measure(instance, arguments.rounds, &mut report);
    }
    if report.tell() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
