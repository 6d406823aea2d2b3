//! What must hold after every run (`I1` and on: the names of the test plan).

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
};

use instance_contract::{
    Action, OverallStatus, RemediationId, StepCommand, StepId, StepStatus, Verdict, subject::RecordKind,
};
use instance_engine::{Again, Logged, Record, is_restart, replay};

use crate::world::{Entry, World};

/// A rule that did not hold.
pub struct Broken {
    rule: &'static str,
    what: String,
}

impl fmt::Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.rule, self.what)
    }
}

fn broken(rule: &'static str, what: impl fmt::Display) -> Result<(), Broken> {
    Err(Broken { rule, what: what.to_string() })
}

/// The records that routers wrote: those that a replay could compare, and those that it could not.
#[derive(Debug, Clone, Copy, Default)]
pub struct Replays {
    pub compared: usize,
    pub not_compared: usize,
}

pub fn check(world: &World) -> Result<Replays, Broken> {
    one_effect_a_step(world)?;
    everything_ends(world)?;
    predecessors_first(world)?;
    nothing_begins_after_the_time_limit(world)?;
    only_what_was_begun_is_undone(world)?;
    tokens_only_rise(world)?;
    one_after_the_other(world)?;
    no_effect_without_consent(world)?;
    undone_means_as_before(world)?;
    traces_tell_the_truth(world)?;
    restarts_are_remembered(world)?;
    nothing_after_the_kill_switch(world)?;
    nothing_is_sent_while_halted(world)?;
    a_replay_gives_the_same_bytes(world)
}

/// I1: at most one effect, and at most one undo, for each step.
fn one_effect_a_step(world: &World) -> Result<(), Broken> {
    let mut counts: BTreeMap<(RemediationId, &StepId), usize> = BTreeMap::new();
    for effect in &world.effects {
        let count = counts.entry((effect.id, &effect.step)).or_default();
        *count += 1;
        if *count > 1 {
            return broken("I1 (one effect a step)", format!("{}/{} acted twice", effect.id, effect.step));
        }
    }
    Ok(())
}

/// I2, I13: every command that was asked for ends.
fn everything_ends(world: &World) -> Result<(), Broken> {
    for asked in &world.asked {
        if world.standing(asked.id(), &RecordKind::Ended).is_none() {
            return broken("I13 (everything ends)", format!("{} on {}", asked.id(), asked.command.instance));
        }
    }
    Ok(())
}

/// I3: no step is sent before its predecessors have succeeded.
fn predecessors_first(world: &World) -> Result<(), Broken> {
    for (index, entry) in world.log.iter().enumerate() {
        let Record::Step(step) = &entry.record else { continue };
        if matches!(step.action, Action::Undo(_)) {
            continue;
        }
        let asked = world.asked.iter().find(|asked| asked.id() == entry.id);
        let needs = asked
            .and_then(|asked| asked.command.steps().into_iter().find(|request| request.id == step.step_id))
            .map(|request| request.depends_on)
            .unwrap_or_default();
        for need in needs {
            let done = world.log[..index].iter().any(|earlier| {
                earlier.id == entry.id
                    && matches!(&earlier.record, Record::Result(result)
                        if result.step_id == need && result.status == StepStatus::Success)
            });
            if !done {
                return broken(
                    "I3 (predecessors first)",
                    format!("{}/{} before {need}", entry.id, step.step_id),
                );
            }
        }
    }
    Ok(())
}

/// The step commands of the log, with where they stand.
fn steps(world: &World) -> impl Iterator<Item = (usize, &Entry, &StepCommand)> {
    world.log.iter().enumerate().filter_map(|(index, entry)| match &entry.record {
        Record::Step(step) => Some((index, entry, step)),
        _ => None,
    })
}

/// I13: after the time limit of a remediation, by the clock of whoever drives it, nothing but undoing begins.
fn nothing_begins_after_the_time_limit(world: &World) -> Result<(), Broken> {
    for (_, entry, step) in steps(world).filter(|(.., step)| !matches!(step.action, Action::Undo(_))) {
        let accepted = world.standing(entry.id, &RecordKind::Accepted).map(|entry| &entry.record);
        if let Some(Record::Accepted(accepted)) = accepted
            && step.because.now > accepted.deadline
        {
            let what = format!("{}/{} at {}", entry.id, step.step_id, step.because.now);
            return broken("I13 (nothing begins after the time limit)", what);
        }
    }
    Ok(())
}

/// I1: a step that was never sent is not taken back.
fn only_what_was_begun_is_undone(world: &World) -> Result<(), Broken> {
    for (index, entry, step) in steps(world) {
        let Action::Undo(undo) = &step.action else { continue };
        let begun = steps(world)
            .take_while(|(earlier, ..)| *earlier < index)
            .any(|(_, earlier, other)| earlier.id == entry.id && other.step_id == undo.step);
        if !begun {
            return broken("I1 (only what was begun is undone)", format!("{}/{}", entry.id, step.step_id));
        }
    }
    Ok(())
}

/// I4: what one owner has begun on an instance ends before it lets another remediation act there.
fn one_after_the_other(world: &World) -> Result<(), Broken> {
    for (index, first) in world.effects.iter().enumerate() {
        let ended = world.standing(first.id, &RecordKind::Ended).map_or(u64::MAX, |entry| entry.at);
        let between = world.effects[index..].iter().find(|other| {
            other.id != first.id
                && other.instance == first.instance
                && other.token.epoch == first.token.epoch
                && other.at < ended
        });
        if let Some(other) = between {
            let what = format!("{}/{} at {} ms, amid {}", other.id, other.step, other.at, first.id);
            return broken("I4 (one after the other)", what);
        }
    }
    Ok(())
}

/// I4: an older token never acts after a newer one on the same instance.
fn tokens_only_rise(world: &World) -> Result<(), Broken> {
    for (index, later) in world.effects.iter().enumerate() {
        let newer = world.effects[..index]
            .iter()
            .find(|earlier| earlier.instance == later.instance && earlier.token > later.token);
        if let Some(newer) = newer {
            let what = format!("{} at {} ms after {}", later.token, later.at, newer.token);
            return broken("I4 (tokens only rise)", what);
        }
    }
    Ok(())
}

/// I5: no guarded effect without an approval of exactly that plan, given before the effect and before it expired.
fn no_effect_without_consent(world: &World) -> Result<(), Broken> {
    for effect in world.effects.iter().filter(|effect| effect.guarded) {
        let answered = world.standing(effect.id, &RecordKind::ApprovalAnswered(1));
        let asked = world.standing(effect.id, &RecordKind::ApprovalAsked(1));
        let consent =
            match (answered.map(|entry| (&entry.record, entry.at)), asked.map(|entry| &entry.record)) {
                (Some((Record::ApprovalAnswered(answer), at)), Some(Record::ApprovalAsked(asked))) => {
                    answer.verdict == Verdict::Granted
                        && answer.digest == asked.digest
                        && at <= effect.at
                        && world.instant(at) <= asked.expires_at
                }
                _ => false,
            };
        if !consent {
            return broken("I5 (consent)", format!("{}/{}", effect.id, effect.step));
        }
    }
    Ok(())
}

/// I6: after `undone`, every value that the remediation had set is as it was.
fn undone_means_as_before(world: &World) -> Result<(), Broken> {
    for (id, status) in endings(world) {
        if status != OverallStatus::Undone {
            continue;
        }
        for effect in world.effects.iter().filter(|effect| effect.id == id) {
            if effect.step.as_str().ends_with("-undo") || effect.step.as_str() == "restart" {
                continue;
            }
            let undo = effect.step.undo();
            let taken_back = world.effects.iter().any(|other| other.id == id && other.step == undo);
            let already = world.standing(
                id,
                &RecordKind::Result { step: undo.clone(), attempt: instance_contract::Attempt::FIRST },
            );
            if !taken_back && already.is_none() {
                return broken("I6 (undone means as before)", format!("{id}/{} stands", effect.step));
            }
        }
    }
    Ok(())
}

/// I9: `success` means that each step acted or found its value, and numbers add up.
fn traces_tell_the_truth(world: &World) -> Result<(), Broken> {
    for asked in &world.asked {
        let Some(Record::Ended(ended)) =
            world.standing(asked.id(), &RecordKind::Ended).map(|entry| &entry.record)
        else {
            continue;
        };
        let totals = ended.trace.totals;
        if totals.completed + totals.failed + totals.skipped != totals.total {
            return broken("I9 (numbers add up)", format!("{} {totals:?}", asked.id()));
        }
        if ended.trace.overall_status != OverallStatus::Success {
            continue;
        }
        for step in asked.command.steps() {
            let acted = world.effects.iter().any(|effect| effect.id == asked.id() && effect.step == step.id);
            if !acted {
                let entry = ended.trace.steps_executed.iter().find(|result| result.step_id == step.id);
                let already = entry.is_some_and(|result| result.status == StepStatus::Success);
                let same = world.log.iter().any(|record| {
                    matches!(&record.record, Record::Step(sent)
                    if record.id == asked.id() && sent.step_id == step.id
                        && sent.change.as_ref().is_some_and(|change| change.before == change.after))
                });
                if !already || !same {
                    return broken("I9 (success is true)", format!("{}/{} never acted", asked.id(), step.id));
                }
            }
        }
    }
    Ok(())
}

/// I10: whoever plans a restart counts those of the last hour, whoever owned the shard then. (Not those of an owner
/// that it had followed and that did not know it yet: nobody can.)
fn restarts_are_remembered(world: &World) -> Result<(), Broken> {
    for (index, entry) in world.log.iter().enumerate() {
        let facts = match &entry.record {
            Record::Accepted(accepted) => accepted.facts.as_ref(),
            Record::Planned(planned) => Some(&planned.facts),
            _ => None,
        };
        let first = steps(world).find(|(at, step, _)| *at > index && step.id == entry.id);
        let (Some(facts), Some((.., step))) = (facts, first) else { continue };
        let epoch = step.token.epoch;
        let is_known = |other: &Entry| {
            let begun = world.standing(other.id, &RecordKind::Accepted);
            let by =
                steps(world).filter(|(_, step, _)| step.id == other.id).map(|(.., step)| step.token.epoch);
            begun.is_some_and(|begun| world.instant(begun.at).as_millisecond() < epoch.cast_signed())
                || by.min() == Some(epoch)
        };
        let before = world.log[..index].iter().filter(|earlier| {
            is_restart(&earlier.record)
                && world.instance_of(earlier.id) == Some(&step.instance)
                && earlier.at + 3_000_000 > entry.at
                && is_known(earlier)
        });
        let stand = before.map(|earlier| earlier.at).collect::<BTreeSet<_>>().len();
        if facts.restarts.len() < stand {
            let what = format!("{} counted {} of {stand} restarts", entry.id, facts.restarts.len());
            return broken("I10 (restarts are remembered)", what);
        }
    }
    Ok(())
}

/// I11: no effect begins more than a second after the kill switch, until it is taken back.
fn nothing_after_the_kill_switch(world: &World) -> Result<(), Broken> {
    for (index, (at, halted)) in world.halts.iter().enumerate() {
        if !halted {
            continue;
        }
        let until = world.halts.get(index + 1).map_or(u64::MAX, |(at, _)| *at);
        let late = world.effects.iter().find(|effect| effect.at > at + 1_000 && effect.at < until);
        if let Some(late) = late {
            return broken("I11 (kill switch)", format!("{}/{} at {} ms", late.id, late.step, late.at));
        }
    }
    Ok(())
}

/// I11, of the router alone: while halted it sends no steps that agents would have to refuse.
fn nothing_is_sent_while_halted(world: &World) -> Result<(), Broken> {
    for (index, (at, halted)) in world.halts.iter().enumerate() {
        let until = world.halts.get(index + 1).map_or(u64::MAX, |(at, _)| *at);
        let late = steps(world).find(|(_, entry, _)| *halted && entry.at > at + 1_000 && entry.at < until);
        if let Some((_, entry, step)) = late {
            let what = format!("{}/{} sent at {} ms", entry.id, step.step_id, entry.at);
            return broken("I11 (nothing is sent while halted)", what);
        }
    }
    Ok(())
}

/// The same inputs give the same actions, byte for byte.
fn a_replay_gives_the_same_bytes(world: &World) -> Result<Replays, Broken> {
    let mut replays = Replays::default();
    for asked in &world.asked {
        let own = world.log.iter().enumerate().filter(|(_, entry)| entry.id == asked.id());
        let records: Vec<Logged> = own
            .map(|(index, entry)| {
                (entry.kind.clone(), world.instant(entry.at), index as u64, entry.record.clone())
            })
            .collect();
        for replayed in replay(&records) {
            match replayed.again {
                Again::Same => replays.compared += 1,
                Again::NotCompared(_) => replays.not_compared += 1,
                Again::Different(again) => {
                    let again = again.map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
                    let written = String::from_utf8_lossy(&replayed.written).into_owned();
                    let record = format!("{} {}", asked.id(), replayed.kind);
                    let what = format!("{record}\n  written {written}\n  again   {again:?}");
                    broken("replay (same bytes)", what)?;
                }
            }
        }
    }
    Ok(replays)
}

fn endings(world: &World) -> Vec<(RemediationId, OverallStatus)> {
    world
        .asked
        .iter()
        .filter_map(|asked| match &world.standing(asked.id(), &RecordKind::Ended)?.record {
            Record::Ended(ended) => Some((asked.id(), ended.trace.overall_status)),
            _ => None,
        })
        .collect()
}
