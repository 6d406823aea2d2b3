//! `cargo xtask ci`: all that must hold before a change lands, cheap stages first.

mod stages;

use std::fmt::Write as _;
use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use clap::ValueEnum as _;

use self::stages::Stage;
use crate::workspace::Workspace;

#[derive(clap::Args)]
pub struct Options {
    /// Run only these stages, e.g. `--only fmt,clippy`.
    #[arg(long, value_enum, value_name = "STAGE", value_delimiter = ',')]
    only: Vec<Stage>,
}

/// Run the stages in order; stop at the first that fails, and say how to repeat it.
pub fn run(workspace: &Workspace, options: &Options) -> Result<()> {
    let chosen: Vec<Stage> = Stage::value_variants()
        .iter()
        .copied()
        .filter(|stage| options.only.is_empty() || options.only.contains(stage))
        .collect();
    let mut times = Vec::new();
    for stage in chosen {
        let name = stage.name();
        eprintln!("\n== {name} ==");
        let started = Instant::now();
        let outcome = stage.run(workspace);
        times.push((name.clone(), started.elapsed()));
        if let Err(error) = outcome {
            eprintln!("{}", table(&times));
            bail!("stage \"{name}\" failed: {error:#}\nrepeat it with: cargo xtask ci --only {name}");
        }
        eprintln!("== {name}: ok in {:.1} s ==", started.elapsed().as_secs_f64());
    }
    eprintln!("{}", table(&times));
    Ok(())
}

/// Wall times, one stage a line, and their sum.
fn table(times: &[(String, Duration)]) -> String {
    let total = ("total".to_owned(), times.iter().map(|(_, time)| *time).sum());
    let width = times.iter().map(|(name, _)| name.len()).max().unwrap_or_default().max(5);
    let mut lines = String::new();
    for (name, time) in times.iter().chain([&total]) {
        // Writing to a string cannot fail.
        let _ = write!(lines, "\n{name:width$}  {:8.1} s", time.as_secs_f64());
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_aligned_and_summed() {
        let times =
            [("fmt".to_owned(), Duration::from_millis(400)), ("clippy".to_owned(), Duration::from_secs(61))];
        assert_eq!(table(&times), "\nfmt          0.4 s\nclippy      61.0 s\ntotal       61.4 s");
    }
}
