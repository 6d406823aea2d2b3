//! `instance chaos run`

use std::{
    fs::{self, File, TryLockError},
    path::{Path, PathBuf},
    time::Instant,
};

use anyhow::{Context as _, Result};
use instance_scenario::{Scenario, Verdict};

use super::{
    lanes, library,
    one::{self, Played},
    report::{Outcome, Report},
};
use crate::{
    exit::{Exit, Stop},
    session::{Session, Tone},
    up::pipeline,
};

const EXAMPLES: &str = "\
Examples:
  instance chaos run globals-too-small         One scenario.
  instance chaos run ./mine.toml --keep        A file of your own; world and logs stay for a look.
  instance chaos run --all --junit chaos.xml   All that are built in, for CI.

Ends with 0 when every scenario could be tried, whatever the score: `instance chaos assert` judges.";

#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// Built-in scenarios, or files with their path
    #[arg(value_name = "NAME", conflicts_with = "all")]
    names: Vec<String>,
    /// All that are built in
    #[arg(long)]
    all: bool,
    /// Chooses the numbers that a scenario leaves open
    #[arg(long, value_name = "N", default_value_t = 1)]
    seed: u64,
    /// How many at a time
    #[arg(long, value_name = "N", default_value_t = 4)]
    jobs: usize,
    /// Also write the score as JUnit XML
    #[arg(long, value_name = "FILE")]
    junit: Option<PathBuf>,
    /// Name of this run, for `instance chaos assert`
    #[arg(long, value_name = "LABEL", default_value = LAST, value_parser = label)]
    label: String,
    /// Folder of all runs
    #[arg(long, value_name = "DIR", default_value = FOLDER)]
    dir: PathBuf,
    /// Leave worlds and logs in the run's folder; without it only of what went wrong
    #[arg(long)]
    keep: bool,
}

/// The run that has no label of its own.
pub const LAST: &str = "last";
/// Where runs lie.
pub const FOLDER: &str = "run/chaos";

pub fn run(args: &Args, session: &Session) -> Result<Exit> {
    let scenarios = library::chosen(&args.names, args.all)?;
    pipeline::all_programs()?;
    let (folder, _lock) = make_folder(&args.dir, &args.label)?;
    let began = Instant::now();
    let results = play_all(&scenarios, args.seed, args.jobs, &folder, args.keep, session)?;
    let outcomes = scenarios.into_iter().zip(results).map(|(scenario, result)| Outcome::of(scenario, result));
    let report = Report {
        label: args.label.clone(),
        seed: args.seed,
        wall: began.elapsed(),
        outcomes: outcomes.collect(),
    };
    report.write(&folder)?;
    if let Some(junit) = &args.junit {
        report.write_junit(junit)?;
    }
    report.print(session)?;
    Ok(report.exit())
}

/// Plays them, and says of each how it ended.
pub fn play_all(
    scenarios: &[Scenario],
    seed: u64,
    jobs: usize,
    folder: &Path,
    keep: bool,
    session: &Session,
) -> Result<Vec<Result<Played>>> {
    let (quiet, colours) = (session.global.quiet, Colours::of(session));
    lanes::side_by_side(
        scenarios,
        jobs,
        folder,
        move |result: &Result<Played>| {
            keep || !result.as_ref().is_ok_and(|played| is_fine(played.score.verdict))
        },
        move |scenario, own, stop| {
            let played = lanes::runtime()?.block_on(one::play(scenario, seed, own, stop));
            if !quiet {
                eprintln!("{}", colours.line(scenario, &played));
            }
            played
        },
    )
}

fn is_fine(verdict: Verdict) -> bool {
    matches!(verdict, Verdict::Verified | Verdict::Missed)
}

/// Words in the colours of the session, for threads that have none.
#[derive(Clone)]
struct Colours([(Verdict, String); 4]);

impl Colours {
    fn of(session: &Session) -> Self {
        let tone = |verdict| match verdict {
            Verdict::Verified => Tone::Good,
            Verdict::Missed => Tone::Warn,
            Verdict::Wrong | Verdict::Invalid => Tone::Bad,
        };
        let all = [Verdict::Verified, Verdict::Missed, Verdict::Wrong, Verdict::Invalid];
        Self(all.map(|verdict| (verdict, session.paint(tone(verdict), &format!("{:8}", verdict.as_str())))))
    }

    fn line(&self, scenario: &Scenario, played: &Result<Played>) -> String {
        match played {
            Ok(played) => {
                let word = self.0.iter().find(|(verdict, _)| *verdict == played.score.verdict);
                let word = word.map_or("", |(_, word)| word.as_str());
                format!("{word}  {} ({:.1} s)", scenario.name, played.wall.as_secs_f64())
            }
            Err(error) => format!("error     {}: {error:#}", scenario.name),
        }
    }
}

/// The folder of a run; a former one of that label is replaced.
pub fn make_folder(dir: &Path, label: &str) -> Result<(PathBuf, File)> {
    let make = |path: &Path| {
        fs::create_dir_all(path).with_context(|| format!("could not make \"{}\"", path.display()))
    };
    make(dir)?;
    let lock_path = dir.join(format!("{label}.lock"));
    let lock =
        File::create(&lock_path).with_context(|| format!("could not make \"{}\"", lock_path.display()))?;
    match lock.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => {
            let text = format!("another run with the label \"{label}\" is under way");
            return Err(Stop::new(Exit::Refused, text).next("give this one another --label").into());
        }
        Err(TryLockError::Error(error)) => {
            return Err(error).with_context(|| format!("could not lock \"{}\"", lock_path.display()));
        }
    }
    let folder = dir.join(label);
    if folder.exists() {
        fs::remove_dir_all(&folder).with_context(|| format!("could not remove \"{}\"", folder.display()))?;
    }
    make(&folder)?;
    let folder =
        fs::canonicalize(&folder).with_context(|| format!("could not open \"{}\"", folder.display()))?;
    Ok((folder, lock))
}

/// Part of a path, so it is kept plain.
pub fn label(text: &str) -> Result<String, String> {
    let legal = |byte: u8| byte.is_ascii_alphanumeric() || b"_-".contains(&byte);
    if (1..=64).contains(&text.len()) && text.bytes().all(legal) {
        return Ok(text.to_owned());
    }
    Err("a label is 1 to 64 letters, digits, underscores and hyphens".to_owned())
}
