//! I6, I7, I8: what the resources hold.

use std::collections::BTreeSet;

use instance_contract::{OverallStatus, RemediationId};

use super::{Broken, broken, ended_as};
use crate::{
    resources::{By, LOCKS, Written},
    world::World,
};

pub fn check(world: &World) -> Result<(), Broken> {
    a_cpf_is_always_whole(world)?;
    undone_means_as_before(world)?;
    what_others_changed_stands(world)?;
    what_nobody_asked_for_is_left_alone(world)
}

/// I6: after `undone`, every value that the remediation has changed is what it was before, and an instance that it has
/// stopped or started runs on it.
fn undone_means_as_before(world: &World) -> Result<(), Broken> {
    for (id, entry, _) in ended_as(world, &[OverallStatus::Undone]) {
        for (target, first) in first_changes(world, id) {
            let before = &first.replaced;
            let now = world.resources.value_after(entry.after_changes, &first.instance, target);
            let taken = world.resources.written[..entry.after_changes].iter().rev();
            let last = taken.clone().find(|it| it.instance == first.instance && it.target == target);
            let is_of_others = last.is_some_and(|last| last.by.is_none()) && was_restored(world, id, first);
            if now != *before && !is_of_others {
                let what = format!("{id}: {target} was {before:?} and is {now:?}");
                return broken("I6 (undone means as before)", what);
            }
        }
        restarted_on_it(world, id)?;
    }
    Ok(())
}

/// The first change of each value by this remediation.
fn first_changes(world: &World, id: RemediationId) -> Vec<(&str, &Written)> {
    let mut seen = BTreeSet::new();
    let own = world.resources.effects().filter(|(effect, by)| by.id == id && !effect.is_restart());
    own.filter(|(effect, _)| seen.insert(effect.target.as_str()))
        .map(|(effect, _)| (effect.target.as_str(), effect))
        .collect()
}

/// Did it put the value back itself, before somebody else changed it?
fn was_restored(world: &World, id: RemediationId, first: &Written) -> bool {
    world.resources.effects().any(|(effect, by)| {
        by.id == id && by.is_undo() && effect.target == first.target && effect.wrote == first.replaced
    })
}

/// A pivot is not taken back: its undo is to bring the instance up on what was restored.
fn restarted_on_it(world: &World, id: RemediationId) -> Result<(), Broken> {
    let Some(instance) = world.instance_of(id) else { return Ok(()) };
    let written = &world.resources.written;
    let Some(stopped) = written.iter().position(|it| is_by(it, id) && it.is_restart()) else { return Ok(()) };
    let is_last = written[stopped..].iter().all(|it| it.instance != *instance || is_by(it, id));
    if is_last && !world.resources.runs_on_its_cpf(instance) {
        return broken("I6 (undone means as before)", format!("{id}: {instance} does not run on its CPF"));
    }
    Ok(())
}

fn is_by(written: &Written, id: RemediationId) -> bool {
    written.by.as_ref().is_some_and(|by| by.id == id)
}

/// I7: a step changes only the value that it was planned on, an undo only the one that its step had written. What
/// somebody else has put there meanwhile stands.
fn what_others_changed_stands(world: &World) -> Result<(), Broken> {
    for (effect, by) in world.resources.effects().filter(|(effect, _)| !effect.is_restart()) {
        let expected = if by.is_undo() { written_by_its_step(world, by) } else { planned_on(world, by) };
        if expected.as_deref() != Some(&effect.replaced) {
            let what = format!(
                "{}/{} replaced {:?} of {} where {expected:?} was expected",
                by.id, by.step, effect.replaced, effect.target
            );
            return broken("I7 (what others changed stands)", what);
        }
    }
    Ok(())
}

fn planned_on(world: &World, by: &By) -> Option<String> {
    world.plan_of(by.id)?.step(&by.step)?.change.as_ref().map(|change| change.before.clone())
}

fn written_by_its_step(world: &World, by: &By) -> Option<String> {
    let step = by.step.as_str().strip_suffix("-undo")?;
    let mut all = world.resources.effects();
    all.find(|(_, other)| other.id == by.id && other.step.as_str() == step)
        .map(|(effect, _)| effect.wrote.clone())
}

/// I7: a line of the CPF that only others change holds what they wrote last.
fn what_nobody_asked_for_is_left_alone(world: &World) -> Result<(), Broken> {
    let instances: BTreeSet<_> = world.asked.iter().map(|asked| &asked.command.instance).collect();
    for instance in instances {
        let last = world.resources.value_after(world.resources.written.len(), instance, LOCKS);
        let now = world.resources.value(instance, LOCKS);
        if last != now {
            return broken("I7 (what others changed stands)", format!("{LOCKS} was {last:?} and is {now:?}"));
        }
    }
    Ok(())
}

/// I8: whoever reads a CPF at any moment finds the whole file.
fn a_cpf_is_always_whole(world: &World) -> Result<(), Broken> {
    match &world.resources.torn {
        Some(what) => broken("I8 (a CPF is always whole)", what),
        None => Ok(()),
    }
}
