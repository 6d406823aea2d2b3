//! `instance chaos run`

use std::{
    path::{Path, PathBuf},
    time::Instant,
};

use anyhow::Result;
use instance_scenario::{Scenario, Verdict};

use super::{
    folder::{self, FOLDER, LAST, label},
    lanes,
    library::Chosen,
    one::{self, Played},
    report::{Outcome, Report},
};
use crate::{
    exit::Exit,
    session::{Session, Tone},
    up::pipeline,
};

const EXAMPLES: &str = "\
Examples:
  instance chaos run globals-too-small         One scenario.
  instance chaos run ./mine.toml --keep        A file of your own; world and logs stay for a look.
  instance chaos run --all --junit chaos.xml   All that are built in, for CI.
  instance chaos run --all --model http://127.0.0.1:8080/v1 --label with-model

Ends with 0 when every scenario could be tried, whatever the score: `instance chaos assert` judges.";

#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    #[command(flatten)]
    chosen: Chosen,
    /// Also write the score as JUnit XML
    #[arg(long, value_name = "FILE")]
    junit: Option<PathBuf>,
    /// Name of this run, for `instance chaos assert`
    #[arg(long, value_name = "LABEL", default_value = LAST, value_parser = label)]
    label: String,
    /// Folder of all runs
    #[arg(long, value_name = "DIR", default_value = FOLDER)]
    dir: PathBuf,
    /// Let the analyst ask the language model at this base URL, like http://127.0.0.1:8080/v1
    #[arg(long, value_name = "URL")]
    model: Option<String>,
    /// Leave worlds and logs in the run's folder; without it only of what went wrong
    #[arg(long)]
    keep: bool,
}

pub fn run(args: &Args, session: &Session) -> Result<Exit> {
    let scenarios = args.chosen.scenarios()?;
    pipeline::all_programs()?;
    let (folder, _lock) = folder::make(&args.dir, &args.label)?;
    let began = Instant::now();
    let results = play_all(&scenarios, args, &folder, session)?;
    let outcomes = scenarios.into_iter().zip(results).map(|(scenario, result)| Outcome::of(scenario, result));
    let report = Report {
        label: args.label.clone(),
        seed: args.chosen.seed,
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
fn play_all(
    scenarios: &[Scenario],
    args: &Args,
    folder: &Path,
    session: &Session,
) -> Result<Vec<Result<Played>>> {
    let (chosen, keep, model) = (&args.chosen, args.keep, args.model.clone());
    let (seed, quiet, colours) = (chosen.seed, session.global.quiet, Colours::of(session));
    lanes::side_by_side(
        scenarios,
        chosen.jobs,
        folder,
        move |result: &Result<Played>| {
            keep || !result.as_ref().is_ok_and(|played| is_fine(played.score.verdict))
        },
        move |scenario, own, stop| {
            let played = lanes::runtime()?.block_on(one::play(scenario, seed, own, model.as_deref(), stop));
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
