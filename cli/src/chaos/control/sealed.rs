//! The third control: another truth, the same commands, a lower score.

use std::{fs, path::Path, sync::atomic::AtomicBool};

use anyhow::{Context as _, Result, ensure};
use instance_contract::RemediationCommand;
use instance_scenario::{Scenario, Verdict};
use serde_json::{Value, json};

use super::How;
use crate::chaos::{
    lanes,
    one::{self, Played},
};

/// Plays the scenario with its own truth and with that of another. The play that counts is the first.
pub fn truth_swapped(scenario: &Scenario, how: &How, folder: &Path, stop: &AtomicBool) -> Result<Played> {
    let runtime = lanes::runtime()?;
    // In the same place, one after the other: commands name folders.
    let play = |scenario: &Scenario, kept: &str| {
        let (place, kept) = (folder.join("played"), folder.join(kept));
        let played = runtime.block_on(one::play(scenario, how.seed, &place, how.model.as_deref(), stop));
        if kept.exists() {
            fs::remove_dir_all(&kept).context("could not remove a world")?;
        }
        fs::rename(&place, kept).context("could not put a world aside")?;
        played
    };
    let own = play(scenario, "own")?;
    let other = another(scenario, &own).context("no other scenario has a truth to swap with")?;
    let sealed = scenario.with_truth_of(&other);
    let (mut owns, mut swaps) = (vec![own], vec![play(&sealed, "swapped")?]);
    while same(&owns, &swaps).is_none() && owns.len() + swaps.len() < plays(scenario) {
        if owns.len() < swaps.len() {
            owns.push(play(scenario, "own")?);
        } else {
            swaps.push(play(&sealed, "swapped")?);
        }
    }
    let (own, swapped) = same(&owns, &swaps).with_context(|| {
        let [ours, theirs] = [&owns, &swaps].map(|all| asked(&all[all.len() - 1].commands));
        format!("with the truth of {} other commands were given: {ours} and {theirs}", other.name)
    })?;
    let ((points, _), (points_then, _)) = (own.score.points(), swapped.score.points());
    let falls = points_then < points
        || swapped.score.verdict == Verdict::Wrong && own.score.verdict != Verdict::Wrong;
    ensure!(falls, "with the truth of {} the score is {points_then}, and not below {points}", other.name);
    // The first is the one that counts, whatever those after it came to.
    Ok(owns.swap_remove(0))
}

/// A play with each truth in which the very same was asked for.
fn same<'a>(owns: &'a [Played], swaps: &'a [Played]) -> Option<(&'a Played, &'a Played)> {
    let of = |own: &'a Played| {
        let asked_for = asked(&own.commands);
        swaps.iter().find(|it| asked(&it.commands) == asked_for).map(|it| (own, it))
    };
    owns.iter().find_map(of)
}

/// How often the two are played together, at most, until the commands are the same. Of two faults at once the one is
/// answered first whose entry is judged first, which is a matter of moments; with a truth that is read no two would meet.
fn plays(scenario: &Scenario) -> usize {
    if scenario.truth.len() > 1 { 9 } else { 2 }
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
fn asked(commands: &[RemediationCommand]) -> String {
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
