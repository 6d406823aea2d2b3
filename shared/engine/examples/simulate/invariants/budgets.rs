//! I10: how much, how often, how many at a time.

use std::collections::{BTreeMap, BTreeSet};

use instance_contract::{Action, RemediationId, StepId, subject::RecordKind};
use instance_engine::{Record, is_restart};
use jiff::SignedDuration;

use super::{Broken, broken, steps};
use crate::{
    resources::{Written, is_dangerous},
    world::{Entry, World},
};

/// By how much two clocks that are right may differ, in milliseconds.
const CLOCKS: u64 = 30_000;
const HOUR: u64 = 3_600_000;
/// A record reaches its reader within so many milliseconds.
const HEARD_WITHIN: u64 = 10_000;

pub fn check(world: &World) -> Result<(), Broken> {
    attempts_are_counted(world)?;
    attempts_wait(world)?;
    so_many_side_by_side(world)?;
    so_many_drastic_steps(world)?;
    restarts_are_apart(world)?;
    restarts_are_remembered(world)?;
    plans_keep_to_what_they_know(world)?;
    restarts_are_judged_at_their_turn(world)?;
    nothing_ended_is_kept(world)
}

/// I10: no more attempts than policy allows.
fn attempts_are_counted(world: &World) -> Result<(), Broken> {
    match steps(world).find(|(.., step)| step.attempt.0 > world.policy.attempts) {
        Some((_, entry, step)) => {
            broken("I10 (attempts)", format!("{}/{} attempt {}", entry.id, step.step_id, step.attempt))
        }
        None => Ok(()),
    }
}

/// I10: between an answer and the next attempt lie 2 s, doubled each time, by the clock of whoever sends it.
fn attempts_wait(world: &World) -> Result<(), Broken> {
    for (_, entry, step) in steps(world).filter(|(.., step)| step.attempt.0 > 1) {
        let former = instance_contract::Attempt(step.attempt.0 - 1);
        let kind = RecordKind::Result { step: step.step_id.clone(), attempt: former };
        let least = SignedDuration::from_secs(2 << former.0.saturating_sub(1).min(4));
        let answered = world.standing(entry.id, &kind).map(|answer| world.instant(answer.at));
        if answered.is_some_and(|at| step.because.now < at + least) {
            let what = format!("{}/{} attempt {} at once", entry.id, step.step_id, step.attempt);
            return broken("I10 (attempts wait)", what);
        }
    }
    Ok(())
}

/// I10: so many steps of a remediation run side by side, in the hands of one owner. (Undos come one by one, while a step
/// whose answer nobody waits for any more may still be unanswered.)
fn so_many_side_by_side(world: &World) -> Result<(), Broken> {
    let mut epochs: BTreeMap<RemediationId, BTreeSet<u64>> = BTreeMap::new();
    for (_, entry, step) in steps(world) {
        epochs.entry(entry.id).or_default().insert(step.token.epoch);
    }
    let mut running: BTreeMap<RemediationId, BTreeSet<&StepId>> = BTreeMap::new();
    for entry in &world.log {
        let here = running.entry(entry.id).or_default();
        match &entry.record {
            Record::Step(step) if !matches!(step.action, Action::Undo(_)) => here.insert(&step.step_id),
            Record::Result(result) => here.remove(&result.step_id),
            _ => continue,
        };
        let has_one_owner = epochs.get(&entry.id).is_none_or(|epochs| epochs.len() == 1);
        if here.len() > world.policy.parallel_steps as usize && has_one_owner {
            return broken("I10 (side by side)", format!("{}: {here:?}", entry.id));
        }
    }
    Ok(())
}

/// I10: so many restarts and dangerous changes in one remediation.
fn so_many_drastic_steps(world: &World) -> Result<(), Broken> {
    let mut counts: BTreeMap<RemediationId, u32> = BTreeMap::new();
    for (effect, by) in world.resources.effects().filter(|(_, by)| !by.is_undo()) {
        let count = counts.entry(by.id).or_default();
        *count += u32::from(effect.is_restart() || is_dangerous(&effect.target, &effect.wrote));
        if *count > world.policy.drastic_steps {
            return broken("I10 (drastic steps)", format!("{}: {count}", by.id));
        }
    }
    Ok(())
}

/// I10: so many restarts of an instance in an hour, and so much time between two, as the instance saw them. (An undo is
/// none: it must always be possible. A clock that is wrong by minutes counts its own minutes.)
fn restarts_are_apart(world: &World) -> Result<(), Broken> {
    if world.has_wrong_clock() {
        return Ok(());
    }
    let apart = u64::from(world.policy.minutes_between_restarts) * 60_000;
    let is_restart = |effect: &Written| effect.is_restart() && effect.wrote == "up";
    let restarts: Vec<_> =
        world.resources.effects().filter(|(effect, by)| is_restart(effect) && !by.is_undo()).collect();
    for (index, (restart, by)) in restarts.iter().enumerate() {
        let before = restarts[..index].iter().filter(|(other, _)| other.instance == restart.instance);
        let in_the_hour = before.clone().filter(|(other, _)| other.at + HOUR > restart.at + CLOCKS).count();
        if in_the_hour >= world.policy.restarts_per_hour as usize {
            return broken("I10 (restarts in an hour)", format!("{}: {} before", by.id, in_the_hour));
        }
        if let Some((other, _)) = before.rev().find(|(other, _)| other.at + apart > restart.at + CLOCKS) {
            let what = format!("{}: {} ms after another", by.id, restart.at - other.at);
            return broken("I10 (restarts are apart)", what);
        }
    }
    Ok(())
}

/// I10: whoever plans a restart counts those of the last hour, whoever owned the shard then. (Not those of an owner
/// that it had followed and that did not know it yet: nobody can.)
fn restarts_are_remembered(world: &World) -> Result<(), Broken> {
    for (index, entry) in world.log.iter().enumerate() {
        let (facts, planned_by) = match &entry.record {
            Record::Accepted(accepted) => (accepted.facts.as_ref(), None),
            Record::Planned(planned) => (Some(&planned.facts), Some(planned.because.epoch)),
            _ => continue,
        };
        let first = steps(world).find(|(at, step, _)| *at > index && step.id == entry.id);
        let (Some(facts), Some((.., step))) = (facts, first) else { continue };
        let epoch = planned_by.unwrap_or(step.token.epoch);
        let is_known = |other: &Entry| {
            let begun = world.standing(other.id, &RecordKind::Accepted);
            let mut own = steps(world).filter(|(_, step, _)| step.id == other.id);
            begun.is_some_and(|begun| world.instant(begun.at).as_millisecond() < epoch.cast_signed())
                || own.all(|(.., step)| step.token.epoch == epoch)
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

/// I10: no plan restarts an instance sooner or oftener than policy allows, as far as its facts tell.
fn plans_keep_to_what_they_know(world: &World) -> Result<(), Broken> {
    let policy = &world.policy;
    let apart = SignedDuration::from_mins(i64::from(policy.minutes_between_restarts));
    for entry in &world.log {
        let (facts, plan) = match &entry.record {
            Record::Accepted(accepted) => (accepted.facts.as_ref(), accepted.plan.as_ref()),
            Record::Planned(planned) => (Some(&planned.facts), Some(&planned.plan)),
            _ => continue,
        };
        let (Some(facts), Some(plan)) = (facts, plan) else { continue };
        let restarts = plan.changes().into_iter().any(|change| change.target.starts_with("instance "));
        let Some(now) = facts.taken_at.filter(|_| restarts) else { continue };
        let is_too_soon = !apart.is_zero() && facts.restarts.iter().any(|at| now < *at + apart);
        let is_dry = world.asked_for(entry.id).is_none_or(|asked| asked.command.dry_run);
        let in_the_hour = facts
            .restarts
            .iter()
            .filter(|at| now.duration_since(**at) < SignedDuration::from_hours(1))
            .count();
        if !is_dry && (is_too_soon || in_the_hour >= policy.restarts_per_hour as usize) {
            return broken(
                "I10 (plans keep to what they know)",
                format!("{}: {:?}", entry.id, facts.restarts),
            );
        }
    }
    Ok(())
}

/// I10: a restart is sent only where those before it let it be, also when it was planned before they happened. (What was
/// heard of in the last moments may have come behind the decision; an attempt after the first belongs to one that was.)
fn restarts_are_judged_at_their_turn(world: &World) -> Result<(), Broken> {
    let apart = SignedDuration::from_mins(i64::from(world.policy.minutes_between_restarts));
    for (index, entry, step) in steps(world) {
        if !matches!(step.action, Action::Restart(_)) || step.attempt.0 > 1 || world.has_wrong_clock() {
            continue;
        }
        let before = world.log[..index].iter().filter(|earlier| {
            earlier.id != entry.id
                && is_restart(&earlier.record)
                && world.instance_of(earlier.id) == Some(&step.instance)
                && earlier.at + HEARD_WITHIN < entry.at
        });
        let clocks = SignedDuration::from_millis(CLOCKS.cast_signed());
        if let Some(last) = before.map(|earlier| world.instant(earlier.at)).max()
            && step.because.now + clocks < last + apart
        {
            let what = format!("{}/{} is sent after one at {last}", entry.id, step.step_id);
            return broken("I10 (restarts are judged at their turn)", what);
        }
    }
    Ok(())
}

/// I10: when everything has ended, the owner of the shard remembers nothing of it.
fn nothing_ended_is_kept(world: &World) -> Result<(), Broken> {
    match world.routers.held_by_owner() {
        0 => Ok(()),
        held => broken("I10 (nothing that has ended is kept)", format!("{held} remediations")),
    }
}
