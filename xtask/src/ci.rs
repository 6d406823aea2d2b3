//! `cargo xtask ci`: all that must hold before a change lands, cheap stages first.

mod stages;

use std::fmt::{self, Write as _};
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
        let word = outcome.as_ref().map_or_else(|_| "failed".to_owned(), Outcome::to_string);
        times.push((name.clone(), started.elapsed(), word.clone()));
        if let Err(error) = outcome {
            eprintln!("{}", table(&times));
            bail!("stage \"{name}\" failed: {error:#}\nrepeat it with: cargo xtask ci --only {name}");
        }
        eprintln!("== {name}: {word} in {:.1} s ==", started.elapsed().as_secs_f64());
    }
    eprintln!("{}", table(&times));
    Ok(())
}

/// What came of a stage that has not failed.
#[derive(Debug, PartialEq, Eq)]
pub enum Outcome {
    Passed,
    /// Nothing is proved by it, or not all: why.
    Skipped(String),
}

impl Outcome {
    /// Passed, unless something was skipped.
    pub fn of(skipped: &[String]) -> Self {
        if skipped.is_empty() { Self::Passed } else { Self::Skipped(skipped.join("; ")) }
    }

    /// Skipped, and said so where a person looks.
    pub fn skipped(why: String) -> Self {
        println!("skipped: {why}");
        Self::Skipped(why)
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Passed => f.write_str("ok"),
            Self::Skipped(why) => write!(f, "SKIPPED: {why}"),
        }
    }
}

/// Wall times and what came of it, one stage a line, and their sum.
fn table(times: &[(String, Duration, String)]) -> String {
    let total: Duration = times.iter().map(|(_, time, _)| *time).sum();
    let width = times.iter().map(|(name, ..)| name.len()).max().unwrap_or_default().max(5);
    let mut lines = String::new();
    for (name, time, word) in times {
        // Writing to a string cannot fail.
        let _ = write!(lines, "\n{name:width$}  {:8.1} s  {word}", time.as_secs_f64());
    }
    let _ = write!(lines, "\n{:width$}  {:8.1} s", "total", total.as_secs_f64());
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_aligned_and_summed() {
        let row = |name: &str, time, outcome: Outcome| (name.to_owned(), time, outcome.to_string());
        let times = [
            row("fmt", Duration::from_millis(400), Outcome::Passed),
            row(
                "clippy",
                Duration::from_secs(61),
                Outcome::of(&["no compiler".to_owned(), "no time".to_owned()]),
            ),
        ];
        assert_eq!(
            table(&times),
            "\nfmt          0.4 s  ok\nclippy      61.0 s  SKIPPED: no compiler; no time\ntotal       61.4 s"
        );
    }

    #[test]
    fn what_is_skipped_does_not_count_as_passed() {
        assert_eq!(Outcome::of(&[]).to_string(), "ok");
        assert_eq!(Outcome::of(&["no engine".to_owned()]), Outcome::Skipped("no engine".to_owned()));
    }
}
