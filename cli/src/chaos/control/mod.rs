//! `instance chaos control`: is the fault real, and does the truth stay where it is?
//!
//! Nobody can print a fault here: without a pipeline the trouble stays, taken away by hand with plain tools it goes,
//! and with the truth of another scenario the pipeline does exactly the same, for a lower score.

mod sealed;

use std::{
    path::{Path, PathBuf},
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail, ensure};
use instance_scenario::{ModelPart, Scenario};
use serde_json::json;

use super::{
    folder::{self, FOLDER, label},
    lanes,
    library::Chosen,
    one::{self, Growth, Played, QUIET},
    report::{Outcome, Report},
    world::{INSTANCE, World},
};
use crate::{
    exit::Exit,
    output::{print, print_json, printable, table},
    session::Session,
    up::pipeline,
};

const EXAMPLES: &str = "\
Examples:
  instance chaos control globals-too-small
  instance chaos control --all --jobs 6
  instance chaos control ./mine.toml --world-only    The first two controls, without any pipeline.";

#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    #[command(flatten)]
    chosen: Chosen,
    /// Let the analyst ask the language model at this base URL; without it `--all` leaves out what needs one
    #[arg(long, value_name = "URL", conflicts_with = "world_only")]
    model: Option<String>,
    /// Only what needs no pipeline: the trouble stays by itself, and goes by hand
    #[arg(long)]
    world_only: bool,
    /// Name under which the score of the runs is kept, for `instance chaos assert`
    #[arg(long, value_name = "LABEL", default_value = "control", value_parser = label)]
    label: String,
    /// Folder of all runs
    #[arg(long, value_name = "DIR", default_value = FOLDER)]
    dir: PathBuf,
}

/// Of the JSON output, one document a scenario.
const SCHEMA: &str = "instance.cli.v1.chaos_control";
const LOOK: Duration = Duration::from_millis(100);

/// What the controls of one scenario came to; each an error when it did not hold.
struct Controls {
    stays: Result<()>,
    goes: Result<()>,
    /// Absent when only the world was looked at.
    sealed: Option<Result<Played>>,
}

pub fn run(args: &Args, session: &Session) -> Result<Exit> {
    let mut scenarios = args.chosen.scenarios()?;
    if args.chosen.all && args.model.is_none() {
        scenarios.retain(|scenario| scenario.model != Some(ModelPart::Needed));
    }
    pipeline::all_programs()?;
    let (folder, _lock) = folder::make(&args.dir, &args.label)?;
    let (began, quiet) = (Instant::now(), session.global.quiet);
    let how = How { seed: args.chosen.seed, world_only: args.world_only, model: args.model.clone() };
    let results = lanes::side_by_side(
        &scenarios,
        args.chosen.jobs,
        &folder,
        |result: &Result<Controls>| !result.as_ref().is_ok_and(Controls::all_hold),
        move |scenario, own, stop| {
            let controls = control(scenario, &how, own, stop);
            if !quiet {
                let word = if controls.as_ref().is_ok_and(Controls::all_hold) { "held" } else { "FAILED" };
                eprintln!("{word:8}  {}", scenario.name);
            }
            controls
        },
    )?;
    let rows: Vec<(Scenario, Result<Controls>)> = scenarios.into_iter().zip(results).collect();
    let held = rows.iter().all(|(_, controls)| controls.as_ref().is_ok_and(Controls::all_hold));
    tell(&rows, session)?;
    if !args.world_only {
        keep_the_score(rows, args, began.elapsed(), &folder, session)?;
    }
    Ok(if held { Exit::Done } else { Exit::Failure })
}

/// How the controls are held.
struct How {
    seed: u64,
    world_only: bool,
    /// Base URL of the model that the analyst may ask.
    model: Option<String>,
}

impl Controls {
    fn all_hold(&self) -> bool {
        self.stays.is_ok() && self.goes.is_ok() && self.sealed.as_ref().is_none_or(Result::is_ok)
    }

    /// The name of each, and why it did not hold.
    fn told(&self) -> [(&'static str, Option<String>); 3] {
        let why = |error: &anyhow::Error| format!("{error:#}");
        [
            ("stays without a pipeline", self.stays.as_ref().err().map(why)),
            ("goes by hand", self.goes.as_ref().err().map(why)),
            ("the truth is sealed", self.sealed.as_ref().and_then(|sealed| sealed.as_ref().err().map(why))),
        ]
    }
}

fn control(scenario: &Scenario, how: &How, folder: &Path, stop: &AtomicBool) -> Result<Controls> {
    let (stays, goes) = without_pipeline(scenario, how.seed, &folder.join("world"), stop)?;
    let sealed = (!how.world_only).then(|| sealed::truth_swapped(scenario, how, folder, stop));
    Ok(Controls { stays, goes, sealed })
}

/// The first two controls: they need a world only.
fn without_pipeline(
    scenario: &Scenario,
    seed: u64,
    folder: &Path,
    stop: &AtomicBool,
) -> Result<(Result<()>, Result<()>)> {
    let world = World::make(folder, INSTANCE, scenario, seed)?;
    world.start()?;
    let growth = Growth::begin(&world, scenario);
    one::break_it(scenario, &world)?;
    let show = Duration::from_secs(scenario.limits.show);
    for (number, symptom) in scenario.symptom.iter().enumerate() {
        let shows = || world.shows(symptom, &|text| growth.since_the_fault(&world, text));
        if !within(show, stop, shows)? {
            bail!("symptom {} never showed on the instance", number + 1);
        }
    }
    let watched = Growth::begin(&world, scenario);
    thread::sleep(QUIET);
    let gone = scenario
        .symptom
        .iter()
        .position(|it| !world.shows(it, &|text| watched.since_the_fault(&world, text)));
    let stays =
        gone.map_or(Ok(()), |number| bail!("symptom {} went by itself, with nobody there", number + 1));
    let goes = taken_away(scenario, &world, stop);
    world.end()?;
    Ok((stays, goes))
}

fn taken_away(scenario: &Scenario, world: &World, stop: &AtomicBool) -> Result<()> {
    world.by_hand(&scenario.by_hand)?;
    let all_gone = || {
        let since = Growth::begin(world, scenario);
        // Longer than a pass of the write daemon, so that what grows has time to.
        thread::sleep(QUIET / 2);
        !scenario.symptom.iter().any(|it| world.shows(it, &|text| since.since_the_fault(world, text)))
    };
    ensure!(
        within(Duration::from_secs(scenario.limits.show), stop, all_gone)?,
        "the cause was taken away by hand, and the trouble is still there"
    );
    ensure!(all_gone(), "the trouble came back after its cause was taken away by hand");
    Ok(())
}

fn within(time: Duration, stop: &AtomicBool, mut holds: impl FnMut() -> bool) -> Result<bool> {
    let deadline = Instant::now() + time;
    loop {
        if stop.load(Ordering::Relaxed) {
            bail!("stopped by a signal");
        }
        if holds() {
            return Ok(true);
        }
        if Instant::now() >= deadline {
            return Ok(false);
        }
        thread::sleep(LOOK);
    }
}

fn tell(rows: &[(Scenario, Result<Controls>)], session: &Session) -> Result<()> {
    if session.json() {
        for (scenario, controls) in rows {
            let document = match controls {
                Ok(controls) => {
                    let held = |(name, why): (&str, Option<String>)| json!({ "name": name, "held": why.is_none(), "why": why });
                    // The third was not tried without a pipeline.
                    let tried = 2 + usize::from(controls.sealed.is_some());
                    let told: Vec<_> = controls.told().into_iter().take(tried).map(held).collect();
                    json!({ "schema": SCHEMA, "name": scenario.name, "controls": told })
                }
                Err(error) => {
                    json!({ "schema": SCHEMA, "name": scenario.name, "error": format!("{error:#}") })
                }
            };
            print_json(&document)?;
        }
        return Ok(());
    }
    let word = |why: &Option<String>| if why.is_none() { "held".to_owned() } else { "FAILED".to_owned() };
    let row = |(scenario, controls): &(Scenario, Result<Controls>)| match controls {
        Ok(controls) => {
            let [stays, goes, sealed] = controls.told().map(|(_, why)| word(&why));
            let sealed = if controls.sealed.is_some() { sealed } else { "-".to_owned() };
            [scenario.name.clone(), stays, goes, sealed]
        }
        Err(_) => [scenario.name.clone(), "ERROR".to_owned(), "-".to_owned(), "-".to_owned()],
    };
    print(table(["scenario", "stays", "goes by hand", "sealed"], rows.iter().map(row)))?;
    for (scenario, controls) in rows {
        let whys: Vec<String> = match controls {
            Ok(controls) => controls
                .told()
                .into_iter()
                .filter_map(|(name, why)| Some(format!("{name}: {}", why?)))
                .collect(),
            Err(error) => vec![format!("{error:#}")],
        };
        for why in whys {
            print(printable(&format!("{}: {why}", scenario.name)))?;
        }
    }
    Ok(())
}

/// The runs with their own truth are runs like any other.
fn keep_the_score(
    rows: Vec<(Scenario, Result<Controls>)>,
    args: &Args,
    wall: Duration,
    folder: &Path,
    session: &Session,
) -> Result<()> {
    let outcome = |(scenario, controls): (Scenario, Result<Controls>)| {
        let played = controls.and_then(|controls| controls.sealed.context("it was not played")?);
        Outcome::of(scenario, played)
    };
    let outcomes = rows.into_iter().map(outcome).collect();
    let report = Report { label: args.label.clone(), seed: args.chosen.seed, wall, outcomes };
    report.write(folder)?;
    if !session.json() {
        report.print(session)?;
    }
    Ok(())
}
