//! I2, I9, I13: everything ends, is answered, and is told as it is.

use instance_contract::{Action, OverallStatus, StepStatus, subject::RecordKind};
use instance_engine::Record;

use super::{Broken, broken, ended_as, endings, steps};
use crate::world::World;

/// How a remediation ends that has changed nothing.
const CHANGED_NOTHING: [OverallStatus; 4] =
    [OverallStatus::DryRun, OverallStatus::Expired, OverallStatus::Failure, OverallStatus::Refused];
/// How long a verification may lie back when its result is published, in milliseconds.
const VERIFIED_BEFORE: u64 = 1_000;

pub fn check(world: &World) -> Result<(), Broken> {
    everything_ends(world)?;
    nothing_is_left_unanswered(world)?;
    nothing_begins_after_the_time_limit(world)?;
    nothing_acts_after_the_end(world)?;
    numbers_add_up(world)?;
    success_is_true(world)?;
    what_changed_nothing_says_so(world)
}

/// I2, I13: every command that was asked for ends, within its bound after the last fault.
fn everything_ends(world: &World) -> Result<(), Broken> {
    for asked in &world.asked {
        if world.standing(asked.id(), &RecordKind::Ended).is_none() {
            let what =
                format!("{} on {} at {} ms", asked.id(), asked.command.instance, world.must_be_over_by());
            return broken("I13 (everything ends)", what);
        }
    }
    Ok(())
}

/// I2: every command is settled, and every step that was sent has a result.
fn nothing_is_left_unanswered(world: &World) -> Result<(), Broken> {
    if world.routers.has_unsettled(world.asked.len()) {
        return broken("I2 (nothing is left unanswered)", "a command was never settled");
    }
    for (_, entry, step) in steps(world) {
        let kind = RecordKind::Result { step: step.step_id.clone(), attempt: step.attempt };
        if world.standing(entry.id, &kind).is_none() {
            let what = format!("{}/{} attempt {}", entry.id, step.step_id, step.attempt);
            return broken("I2 (nothing is left unanswered)", what);
        }
    }
    Ok(())
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

/// I13: what has ended has ended: no agent acts for it any more, as long as clocks differ by no more than they may.
fn nothing_acts_after_the_end(world: &World) -> Result<(), Broken> {
    if world.has_wrong_clock() {
        return Ok(());
    }
    for (id, entry, _) in endings(world) {
        let later = world.resources.written[entry.after_changes..].iter();
        if let Some(late) = later.filter_map(|it| it.by.as_ref()).find(|by| by.id == id) {
            return broken("I13 (nothing acts after the end)", format!("{id}/{}", late.step));
        }
    }
    Ok(())
}

/// I9: the numbers of a trace add up.
fn numbers_add_up(world: &World) -> Result<(), Broken> {
    for (id, _, ended) in endings(world) {
        let totals = ended.trace.totals;
        if totals.completed + totals.failed + totals.skipped != totals.total {
            return broken("I9 (numbers add up)", format!("{id} {totals:?}"));
        }
    }
    Ok(())
}

/// I9: `success` means that the world was as wanted when it was verified, and that each step acted or found its value.
fn success_is_true(world: &World) -> Result<(), Broken> {
    let verify = RecordKind::Result {
        step: "verify".parse().expect("a legal step id"),
        attempt: instance_contract::Attempt::FIRST,
    };
    for (id, ended_at, ended) in ended_as(world, &[OverallStatus::Success]) {
        let Some(plan) = world.plan_of(id) else { return broken("I9 (success is true)", id) };
        let Some(instance) = world.instance_of(id) else { continue };
        let at = world.standing(id, &verify).unwrap_or(ended_at);
        for change in plan.changes() {
            let done = ended
                .trace
                .steps_executed
                .iter()
                .any(|result| result.step_id == change.step && result.status == StepStatus::Success);
            let acted = world.resources.is_made(id, change);
            let is_pivot = change.target.starts_with("instance ");
            if !done || (!acted && (is_pivot || change.before != change.after)) {
                return broken("I9 (success is true)", format!("{id}/{} never acted", change.step));
            }
            let is_last = plan.changes().into_iter().rfind(|it| it.target == change.target) == Some(change);
            let now = world.resources.value_after(at.after_changes, instance, &change.target);
            let just_now = world.resources.written[..at.after_changes]
                .iter()
                .any(|it| it.by.is_none() && it.target == change.target && it.at + VERIFIED_BEFORE >= at.at);
            if is_last && !is_pivot && now != change.after && !just_now {
                let what = format!("{id}: {} is {now:?}, not {:?}", change.target, change.after);
                return broken("I9 (success is true)", what);
            }
        }
    }
    Ok(())
}

/// I9: what is told to have changed nothing has changed nothing. (Known not to hold with clocks that are wrong by more
/// than clocks may be.)
fn what_changed_nothing_says_so(world: &World) -> Result<(), Broken> {
    if world.has_wrong_clock() {
        return Ok(());
    }
    for (id, _, ended) in ended_as(world, &CHANGED_NOTHING) {
        if let Some((effect, by)) = world.resources.effects().find(|(_, by)| by.id == id) {
            let status = ended.trace.overall_status.as_str();
            let what = format!("{id}/{} changed {}, and it ended {status}", by.step, effect.target);
            return broken("I9 (what changed nothing says so)", what);
        }
    }
    Ok(())
}
