//! I5, I11: nothing without a yes where policy wants one, nothing while halted.

use instance_contract::{Plan, Verdict, subject::RecordKind};
use instance_engine::Record;

use super::{Broken, broken, steps};
use crate::{
    people::OPERATOR,
    resources::{By, Written, is_dangerous},
    world::World,
};

pub fn check(world: &World) -> Result<(), Broken> {
    no_guarded_effect_without_consent(world)?;
    nothing_after_the_kill_switch(world)?;
    nothing_is_sent_while_halted(world)
}

/// I5: no guarded effect without a yes to exactly that change: to the digest of the plan that holds it, by somebody who may
/// say so, before the effect and before it expired.
fn no_guarded_effect_without_consent(world: &World) -> Result<(), Broken> {
    for (effect, by) in world.resources.effects() {
        if !by.is_undo()
            && is_guarded(world, effect)
            && let Err(why) = consent(world, effect, by)
        {
            let what = format!("{}/{} on {}: {why}", by.id, by.step, effect.target);
            return broken("I5 (consent)", what);
        }
    }
    Ok(())
}

/// Does policy want a person's yes for this change?
fn is_guarded(world: &World, effect: &Written) -> bool {
    let policy = &world.policy;
    if effect.is_restart() {
        return policy.approve_restarts;
    }
    if effect.target.starts_with("cpf ") {
        return policy.approve_config;
    }
    policy.approve_os || (policy.approve_dangerous && is_dangerous(&effect.target, &effect.wrote))
}

fn consent(world: &World, effect: &Written, by: &By) -> Result<(), &'static str> {
    let asked = world.standing(by.id, &RecordKind::ApprovalAsked(1)).map(|entry| &entry.record);
    let Some(Record::ApprovalAsked(asked)) = asked else { return Err("nobody was asked") };
    let answered = world.standing(by.id, &RecordKind::ApprovalAnswered(1));
    let Some((Record::ApprovalAnswered(answer), at)) = answered.map(|entry| (&entry.record, entry.at)) else {
        return Err("nobody answered");
    };
    let plan = world.plan_of(by.id).ok_or("there is no plan")?;
    let planned = plan.step(&by.step).and_then(|step| step.change.as_ref());
    let is_the_change = planned.is_some_and(|change| {
        change.target == effect.target
            && (effect.is_restart() || (&change.before, &change.after) == (&effect.replaced, &effect.wrote))
    });
    let may_say_so = world.policy.approvers.is_empty() || answer.by == OPERATOR;
    let faults = [
        (answer.verdict != Verdict::Granted, "the answer was no"),
        (!may_say_so, "whoever answered may not"),
        (answer.digest != Plan::digest_of(&plan.changes()), "the answer was about other changes"),
        (!is_the_change, "the change is not the one of the plan"),
        (at > effect.at, "the answer came later"),
        (world.instant(at) > asked.expires_at, "the answer came too late"),
    ];
    faults.into_iter().find(|(is_fault, _)| *is_fault).map_or(Ok(()), |(_, why)| Err(why))
}

/// I11: no effect begins more than a second after the kill switch, until it is taken back.
fn nothing_after_the_kill_switch(world: &World) -> Result<(), Broken> {
    for (index, (at, halted)) in world.halts.iter().enumerate() {
        let until = world.halts.get(index + 1).map_or(u64::MAX, |(at, _)| *at);
        let late = world
            .resources
            .effects()
            .find(|(effect, _)| *halted && effect.at > at + 1_000 && effect.at < until);
        if let Some((late, by)) = late {
            return broken("I11 (kill switch)", format!("{}/{} at {} ms", by.id, by.step, late.at));
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
