//! People: they answer soon, late, twice, with no, about something else or not at all, and they change things themselves.

use instance_contract::{
    ApprovalAnswered, Digest, InstanceName, RemediationId, Verdict, subject::RecordKind,
};
use instance_engine::Record;
use rand::RngExt as _;

use crate::{
    faults::Fault,
    resources::{GLOBALS, LOCKS, Written, with},
    world::{Happening, World},
};

/// Who may agree, where policy says who may.
pub const OPERATOR: &str = "operator";
const STRANGER: &str = "stranger";
/// Whoever would take longer than this to answer never does, in milliseconds.
const NEVER_AFTER: u64 = 370_000;

/// An answer on its way.
#[derive(Debug, Clone)]
pub struct Answer {
    pub id: RemediationId,
    pub digest: Digest,
    pub verdict: Verdict,
    pub by: &'static str,
}

/// A person is asked.
pub fn ask(world: &mut World, id: RemediationId, digest: &Digest) {
    let late = world.chance(12, Fault::ApprovalLate);
    let delay =
        if late { world.rng.random_range(250_000..400_000) } else { world.rng.random_range(500..5_000) };
    if delay > NEVER_AFTER {
        return world.count(Fault::ApprovalNever);
    }
    let other = world.chance(40, Fault::ApprovalOtherDigest);
    let digest = if other { Digest::of(b"something else") } else { digest.clone() };
    let verdict = if world.chance(40, Fault::ApprovalDenied) { Verdict::Denied } else { Verdict::Granted };
    let by = if world.chance(40, Fault::ApprovalByStranger) { STRANGER } else { OPERATOR };
    let answer = Happening::Approve(Answer { id, digest, verdict, by });
    world.at(world.now + delay, answer.clone());
    if world.chance(10, Fault::ApprovalTwice) {
        world.at(world.now + delay + 700, answer);
    }
}

pub fn answer(world: &mut World, Answer { id, digest, verdict, by }: Answer) {
    let Some(trace_id) = world.asked_for(id).map(|asked| asked.command.trace_id.clone()) else { return };
    let answered = ApprovalAnswered {
        schema: ApprovalAnswered::SCHEMA.to_owned(),
        trace_id,
        remediation_id: id,
        digest,
        verdict,
        by: by.to_owned(),
        at: world.instant(world.now),
        note: None,
    };
    world.write(id, &RecordKind::ApprovalAnswered(1), Record::ApprovalAnswered(answered));
}

/// A plan is there, and somebody may come before its steps.
pub fn plan_is_made(world: &mut World, id: RemediationId) {
    if !world.rng.random_ratio(1, 12) {
        return;
    }
    let Some(plan) = world.plan_of(id) else { return };
    let targets: Vec<String> = plan.changes().into_iter().map(|change| change.target.clone()).collect();
    let Some(instance) = world.instance_of(id).cloned() else { return };
    let target = match world.rng.random_range(0..=targets.len()) {
        place if place < targets.len() => targets[place].clone(),
        _ => LOCKS.to_owned(),
    };
    if !target.starts_with("instance ") {
        world.after(0, 2_500, Happening::ForeignChange { instance, target });
    }
}

/// Somebody else changes a value: in the CPF they write the whole file.
pub fn change(world: &mut World, instance: InstanceName, target: String) {
    if world.is_quiet() {
        return;
    }
    world.count(Fault::ForeignChange);
    count_by_moment(world, &instance, &target);
    let wrote = format!("by somebody else at {}", world.now);
    let replaced = world.resources.value(&instance, &target);
    if target.starts_with("cpf ") {
        let text = with(&world.resources.cpf(&instance), &target, &wrote);
        world.resources.replace_cpf(&instance, text);
    } else {
        world.resources.set_kernel(&instance, &target, &wrote);
    }
    if target != LOCKS {
        world.touched_by_others.insert(instance.clone());
    }
    let written = Written { at: world.now, instance, target, replaced, wrote, by: None };
    world.resources.written.push(written);
}

/// Before or after the step of an open plan that changes the same?
fn count_by_moment(world: &mut World, instance: &InstanceName, target: &str) {
    let mut moments = Vec::new();
    for asked in world.asked.iter().filter(|asked| asked.command.instance == *instance) {
        let id = asked.id();
        let Some(plan) = world.plan_of(id) else { continue };
        if world.standing(id, &RecordKind::Ended).is_some() || asked.command.dry_run {
            continue;
        }
        for change in plan.changes().into_iter().filter(|change| change.target == target) {
            let is_made = world.resources.is_made(id, change);
            moments.push(if is_made { Fault::ForeignAfterEffect } else { Fault::ForeignBeforeEffect });
        }
    }
    for moment in moments {
        world.count(moment);
    }
}

/// At any time, whatever is planned.
pub fn arrange(world: &mut World) {
    if world.rng.random_ratio(1, 15) {
        let instance = world.asked[0].command.instance.clone();
        let at = world.rng.random_range(0..30_000);
        world.at(at, Happening::ForeignChange { instance, target: GLOBALS.to_owned() });
    }
}
