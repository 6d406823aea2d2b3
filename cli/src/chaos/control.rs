//! `instance chaos control`: is the fault real, and does the truth stay where it is?
//!
//! Nobody can print a fault here: without a pipeline the trouble stays, taken away by hand with plain tools it goes,
//! and with the truth of another scenario the pipeline does exactly the same, for a lower score.

use std::{
    fs,
    path::{Path, PathBuf},
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail, ensure};
use instance_contract::RemediationCommand;
use instance_scenario::{ModelPart, Scenario, Verdict};
use serde_json::{Value, json};

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
    let sealed = (!how.world_only).then(|| truth_swapped(scenario, how, folder, stop));
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

/// The third: another truth, the same commands, a lower score.
fn truth_swapped(scenario: &Scenario, how: &How, folder: &Path, stop: &AtomicBool) -> Result<Played> {
    let runtime = lanes::runtime()?;
    // In the same place, one after the other: commands name folders.
    let play = |scenario: &Scenario, kept: &str| {
        let place = folder.join("played");
        let played = runtime.block_on(one::play(scenario, how.seed, &place, how.model.as_deref(), stop));
        fs::rename(&place, folder.join(kept)).context("could not put a world aside")?;
        played
    };
    let own = play(scenario, "own")?;
    let other = another(scenario, &own).context("no other scenario has a truth to swap with")?;
    let sealed = scenario.with_truth_of(&other);
    let asked_for = asked(&own.commands);
    let mut swapped = play(&sealed, "swapped")?;
    for _ in 1..plays(scenario) {
        if asked(&swapped.commands) == asked_for {
            break;
        }
        fs::remove_dir_all(folder.join("swapped")).context("could not remove a world")?;
        swapped = play(&sealed, "swapped")?;
    }
    ensure!(
        asked(&swapped.commands) == asked_for,
        "with the truth of {} other commands were given: {asked_for} and {}",
        other.name,
        asked(&swapped.commands)
    );
    let ((points, _), (points_then, _)) = (own.score.points(), swapped.score.points());
    let falls = points_then < points
        || swapped.score.verdict == Verdict::Wrong && own.score.verdict != Verdict::Wrong;
    ensure!(falls, "with the truth of {} the score is {points_then}, and not below {points}", other.name);
    Ok(own)
}

/// How often another truth is played, at most, until the commands are the same. Of two faults at once the one is
/// answered first whose entry is judged first, which is a matter of moments; a truth that is read would differ each time.
fn plays(scenario: &Scenario) -> usize {
    if scenario.truth.len() > 1 { 8 } else { 1 }
}

/// Another scenario with as many truths, and none of them about anything that was the matter here.
fn another(scenario: &Scenario, own: &Played) -> Option<Scenario> {
    let all = instance_scenario::built_in();
    let at = all.iter().position(|known| known.name == scenario.name).unwrap_or_default();
    let after = all.iter().cycle().skip(at + 1).take(all.len());
    let differs = |other: &&Scenario| {
        other.truth.len() == scenario.truth.len()
            && !other.conditions().any(|theirs| {
                own.evidence.detected.contains_key(theirs) || scenario.conditions().any(|ours| ours == theirs)
            })
    };
    after.into_iter().find(differs).cloned()
}

/// What was asked for, byte for byte, but for what belongs to one run: ids, the time, and which port was free.
pub fn asked(commands: &[RemediationCommand]) -> String {
    let plain = |command: &RemediationCommand| {
        let mut document = json!(command);
        if let Value::Object(fields) = &mut document {
            for own in ["command_id", "trace_id", "issued_at", "caused_by"] {
                fields.shift_remove(own);
            }
            fields.get_mut("steps").and_then(Value::as_array_mut).into_iter().flatten().for_each(no_port);
        }
        // A command in the simple form has its parameters itself.
        no_port(&mut document);
        document.to_string()
    };
    commands.iter().map(plain).collect::<Vec<_>>().join("\n")
}

/// Writes a port as its distance to the one before it.
fn no_port(step: &mut Value) {
    let Some(parameters) = step.get_mut("parameters") else { return };
    let port = |name: &str| parameters[name].as_str().and_then(|text| text.parse::<i32>().ok());
    if parameters["parameter"] == "WebServerPort"
        && let (Some(new), Some(current)) = (port("new_value"), port("current_value"))
    {
        parameters["new_value"] = format!("{:+}", new - current).into();
        parameters["current_value"] = "".into();
    }
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
