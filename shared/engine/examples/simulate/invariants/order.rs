//! I1, I3, I4, I10: how often, in which order, by whom.

use std::collections::{BTreeMap, BTreeSet};

use instance_contract::{Action, RemediationId, StepId, StepStatus, subject::RecordKind};
use instance_engine::Record;

use super::{Broken, broken, steps};
use crate::world::World;

/// Whoever owns the shard hears of a record within so many milliseconds, however long it stood still.
const KNOWN_WITHIN: u64 = 30_000;

pub fn check(world: &World) -> Result<(), Broken> {
    one_effect_a_step(world)?;
    predecessors_first(world)?;
    only_what_was_begun_is_undone(world)?;
    epochs_only_rise(world)?;
    former_owners_write_nothing(world)?;
    tokens_only_rise(world)?;
    one_after_the_other(world)?;
    urgent_first(world)
}

/// I1: at most one effect, and at most one undo, for each step.
fn one_effect_a_step(world: &World) -> Result<(), Broken> {
    let mut counts: BTreeMap<(RemediationId, &StepId), usize> = BTreeMap::new();
    for (_, by) in world.resources.effects() {
        let count = counts.entry((by.id, &by.step)).or_default();
        *count += 1;
        if *count > 1 {
            return broken("I1 (one effect a step)", format!("{}/{} acted twice", by.id, by.step));
        }
    }
    Ok(())
}

/// I3: no step is sent before its predecessors have succeeded.
fn predecessors_first(world: &World) -> Result<(), Broken> {
    for (index, entry, step) in steps(world) {
        if matches!(step.action, Action::Undo(_)) {
            continue;
        }
        let needs = world
            .asked_for(entry.id)
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
                let what = format!("{}/{} before {need}", entry.id, step.step_id);
                return broken("I3 (predecessors first)", what);
            }
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

/// I4: each owner of the shard has a higher number than every one before, whatever its clock says.
fn epochs_only_rise(world: &World) -> Result<(), Broken> {
    let epochs = &world.routers.epochs;
    match epochs.windows(2).find(|pair| pair[0].0 >= pair[1].0) {
        Some(pair) => broken("I4 (epochs only rise)", format!("{} after {}", pair[1].0, pair[0].0)),
        None => Ok(()),
    }
}

/// I4: behind the record of an owner stands none that a former one has decided. (First records of a command are anybody's.)
fn former_owners_write_nothing(world: &World) -> Result<(), Broken> {
    for entry in &world.log {
        let epoch = match &entry.record {
            Record::Planned(planned) => planned.because.epoch,
            Record::Step(step) => step.token.epoch,
            Record::ApprovalAsked(asked) => asked.because.epoch,
            Record::Ended(ended) if ended.because.epoch > 0 => ended.because.epoch,
            _ => continue,
        };
        if world.routers.is_followed(epoch, entry.at) {
            let what = format!("{} {} of epoch {epoch} at {} ms", entry.id, entry.kind, entry.at);
            return broken("I4 (former owners write nothing)", what);
        }
    }
    Ok(())
}

/// I4: an older token never acts after a newer one on the same instance.
fn tokens_only_rise(world: &World) -> Result<(), Broken> {
    let mut highest = BTreeMap::new();
    for (effect, by) in world.resources.effects() {
        let newest = highest.entry(&effect.instance).or_insert(by.token);
        if by.token < *newest {
            let what = format!("{} at {} ms after {newest}", by.token, effect.at);
            return broken("I4 (tokens only rise)", what);
        }
        *newest = by.token;
    }
    Ok(())
}

/// I4: what one owner has begun on an instance ends before it lets another remediation act there.
fn one_after_the_other(world: &World) -> Result<(), Broken> {
    let effects: Vec<_> = world.resources.effects().collect();
    for (index, (first, by)) in effects.iter().enumerate() {
        let ended = world.standing(by.id, &RecordKind::Ended).map_or(u64::MAX, |entry| entry.at);
        let between = effects[index..].iter().find(|(other, its)| {
            its.id != by.id
                && other.instance == first.instance
                && its.token.epoch == by.token.epoch
                && other.at < ended
        });
        if let Some((other, its)) = between {
            let what = format!("{}/{} at {} ms, amid {}", its.id, its.step, other.at, by.id);
            return broken("I4 (one after the other)", what);
        }
    }
    Ok(())
}

/// I10: none is begun on an instance while a more urgent one has been waiting there. (An owner that stood still, or was not
/// sure of a write, may not have known of it for so long.)
fn urgent_first(world: &World) -> Result<(), Broken> {
    let mut begun = BTreeSet::new();
    for (_, entry, step) in steps(world) {
        if !begun.insert(entry.id) {
            continue;
        }
        let Some(asked) = world.asked_for(entry.id) else { continue };
        let overtaken = world.asked.iter().find(|other| {
            let accepted = world.standing(other.id(), &RecordKind::Accepted);
            let ended = world.standing(other.id(), &RecordKind::Ended).map_or(u64::MAX, |entry| entry.at);
            other.command.instance == step.instance
                && other.command.priority < asked.command.priority
                && accepted.is_some_and(|accepted| accepted.at + KNOWN_WITHIN < entry.at)
                && entry.at < ended
        });
        if let Some(other) = overtaken.filter(|other| !begun.contains(&other.id())) {
            let what = format!("{}/{} at {} ms, before {}", entry.id, step.step_id, entry.at, other.id());
            return broken("I10 (urgent first)", what);
        }
    }
    Ok(())
}
