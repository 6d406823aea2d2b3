//! One attempt at a step, phase by phase.

use std::collections::BTreeMap;

use instance_contract::{Action, AgentInfo, Change, StepCommand, StepKey, StepStatus, ToolResult};
use instance_engine::Record;
use jiff::SignedDuration;
use rand::RngExt as _;

use super::{
    Phase,
    ledger::{Intent, Line, Settled},
};
use crate::{
    commands::Failing,
    faults::Fault,
    resources::{By, Written, target, with},
    world::World,
};

/// What the world shows of an intent.
enum Probe {
    Done,
    NotDone,
    /// Somebody else has acted.
    Other,
}

/// Ledger, deadline, halt, fence, drift, intent.
pub fn begin(world: &mut World, command: &StepCommand) -> Phase {
    if let Action::Verify(_) = command.action {
        let (status, code) = match in_time(world, command) {
            Err(code) => (StepStatus::Refused, code),
            Ok(()) if verified(world, command) => (StepStatus::Success, ""),
            Ok(()) => (StepStatus::Failure, "not_verified"),
        };
        return answer(world, command, status, code, Settled::Never);
    }
    let key = command.key();
    if let Some(result) = world.agents.ledger.answer(&key, command.attempt) {
        world.agents.turn(command).result = Some(result);
        return Phase::Publish;
    }
    if world.agents.ledger.is_closed(&key) {
        return answer(world, command, StepStatus::Refused, "taken_back", Settled::Never);
    }
    if world.agents.ledger.intent(&key).is_some() {
        world.agents.turn(command).is_resumed = true;
        return Phase::Draft;
    }
    if let Err(code) = pass(world, command) {
        return answer(world, command, StepStatus::Refused, code, Settled::Unchanged);
    }
    match planted(world, command) {
        Some(Failing::AtFirst(times)) if command.attempt.0 <= times => {
            return answer(world, command, StepStatus::Failure, TRANSIENT, Settled::Unchanged);
        }
        Some(Failing::Always) => {
            return answer(world, command, StepStatus::Failure, "planted", Settled::Final(None));
        }
        _ => {}
    }
    if let Action::Undo(undo) = &command.action {
        let original = StepKey { remediation_id: command.remediation_id, step_id: undo.step.clone() };
        return begin_undo(world, command, &original);
    }
    let target = target(&command.action, &command.instance);
    let before = world.resources.value(&command.instance, &target);
    let wanted = match &command.action {
        Action::SetCpf(set) => set.new_value.clone(),
        Action::SetKernel(set) => set.new_value.clone(),
        _ => "up".to_owned(),
    };
    let is_restart = matches!(command.action, Action::Restart(_));
    if is_restart && is_too_soon(world, command) {
        return answer(world, command, StepStatus::Refused, "too_soon", Settled::Unchanged);
    }
    if before == wanted && !is_restart {
        return answer(world, command, StepStatus::Success, "", Settled::Final(None));
    }
    // As the real ones: what the step does not name is not compared.
    let drifted = command.change.as_ref().is_some_and(|Change { before: planned, .. }| *planned != before);
    if drifted && !ignores_drift(world) {
        return answer(world, command, StepStatus::Refused, "drifted", Settled::Unchanged);
    }
    intend(world, command, before, wanted)
}

fn intend(world: &mut World, command: &StepCommand, before: String, wanted: String) -> Phase {
    let run = world.resources.run(&command.instance);
    world.agents.ledger.intend(command.key(), Intent { before, wanted, run });
    Phase::Draft
}

/// Takes back what the ledger says about the original step, where there is something.
fn begin_undo(world: &mut World, command: &StepCommand, original: &StepKey) -> Phase {
    let (effect, is_open) = match world.agents.ledger.line(original) {
        Some(Line::Done { effect: Some(effect), .. }) => (Some(effect.clone()), false),
        Some(Line::Intent(intent)) => (Some(intent.clone()), true),
        _ => (world.agents.ledger.last_intent(original), false),
    };
    let Some(effect) = effect else { return nothing_to_undo(world, command, original) };
    match probe(world, command, &effect) {
        Probe::Other if is_open => {
            return answer(world, command, StepStatus::Unknown, "conflict", Settled::Unchanged);
        }
        // A restart that failed may have stopped the instance all the same.
        Probe::NotDone if !is_restart(world, command) => return nothing_to_undo(world, command, original),
        Probe::NotDone | Probe::Done | Probe::Other => {}
    }
    world.agents.ledger.close(original.clone());
    let forgets = world.policy.mutant("simulated.undo-to-first-value");
    let former = if forgets { "at first".to_owned() } else { effect.before };
    intend(world, command, effect.wanted, former)
}

fn nothing_to_undo(world: &mut World, command: &StepCommand, original: &StepKey) -> Phase {
    world.agents.ledger.close(original.clone());
    answer(world, command, StepStatus::Success, "", Settled::Final(None))
}

/// After a crash: what came of the intent? Then the draft, for a file.
pub fn draft(world: &mut World, command: &StepCommand) -> Phase {
    let Some(intent) = world.agents.ledger.intent(&command.key()) else { return Phase::Settle };
    let believes_nothing = is_restart(world, command) && world.policy.mutant("simulated.intent-not-probed");
    if world.agents.turn(command).is_resumed && !believes_nothing {
        match probe(world, command, &intent) {
            Probe::Done => return Phase::ReadBack,
            Probe::Other => return answer(world, command, StepStatus::Unknown, "conflict", Settled::Open),
            Probe::NotDone => {}
        }
        if let Err(code) = pass(world, command) {
            let (status, how) = match command.action {
                Action::Undo(_) => (StepStatus::Unknown, Settled::Open),
                _ => (StepStatus::Refused, Settled::Unchanged),
            };
            return answer(world, command, status, code, how);
        }
    }
    if target_of(world, command).starts_with("cpf ") {
        let text = world.resources.cpf(&command.instance);
        let half = text[..text.len() / 2].to_owned();
        // Beside the live file nobody reads it.
        if world.policy.mutant("simulated.cpf-in-place") {
            world.resources.tear(&command.instance, half);
        }
        world.agents.turn(command).basis = text;
    }
    Phase::Act
}

/// One effect. Directly before it, the gate and the world are looked at once more.
pub fn act(world: &mut World, command: &StepCommand) -> Phase {
    let Some(intent) = world.agents.ledger.intent(&command.key()) else { return Phase::Settle };
    if let Err(code) = may_act(world, command) {
        return answer(world, command, StepStatus::Refused, code, Settled::Unchanged);
    }
    if world.chance(25, Fault::UnknownAndNotDone) {
        return answer(world, command, StepStatus::Unknown, "lost", Settled::Open);
    }
    let target = target_of(world, command);
    let instance = command.instance.clone();
    let present = world.resources.value(&instance, &target);
    let is_undo = matches!(command.action, Action::Undo(_));
    let is_restart = is_restart(world, command);
    if is_undo && !is_restart && present == intent.wanted {
        return Phase::ReadBack;
    }
    let unchecked =
        if is_undo { world.policy.mutant("simulated.undo-unchecked") } else { ignores_drift(world) };
    if present != intent.before && !is_restart && !unchecked {
        // Somebody else has acted: nothing is touched.
        let (status, how) = if is_undo {
            (StepStatus::Failure, Settled::Final(None))
        } else {
            (StepStatus::Refused, Settled::Unchanged)
        };
        return answer(world, command, status, "conflict", how);
    }
    if skips_effects(world) && target.starts_with("kernel ") {
        return Phase::ReadBack;
    }
    let stops_only = !is_undo && matches!(planted(world, command), Some(Failing::StopsOnly));
    if is_restart {
        world.resources.stop(&instance);
        if !stops_only {
            world.resources.start(&instance);
        }
    } else if target.starts_with("cpf ") {
        let basis = std::mem::take(&mut world.agents.turn(command).basis);
        let is_other = world.resources.cpf(&instance) != basis;
        if is_other && !world.policy.mutant("simulated.lost-update-unchecked") {
            return answer(world, command, StepStatus::Failure, TRANSIENT, Settled::Unchanged);
        }
        world.resources.replace_cpf(&instance, with(&basis, &target, &intent.wanted));
    } else {
        world.resources.set_kernel(&instance, &target, &intent.wanted);
    }
    let by = By { id: command.remediation_id, step: command.step_id.clone(), token: command.token };
    let wrote = if stops_only { "down".to_owned() } else { intent.wanted };
    world.resources.written.push(Written {
        at: world.now,
        instance,
        target,
        replaced: present,
        wrote,
        by: Some(by),
    });
    if stops_only {
        return answer(world, command, StepStatus::Failure, "did_not_start", Settled::Final(None));
    }
    if world.chance(25, Fault::UnknownAndDone) {
        return answer(world, command, StepStatus::Unknown, "lost", Settled::Open);
    }
    Phase::ReadBack
}

/// Read back, done record.
pub fn read_back(world: &mut World, command: &StepCommand) -> Phase {
    let Some(intent) = world.agents.ledger.intent(&command.key()) else { return Phase::Settle };
    let target = target_of(world, command);
    let present = world.resources.value(&command.instance, &target);
    let holds = present == if is_restart(world, command) { "up".to_owned() } else { intent.wanted.clone() }
        || skips_effects(world);
    match (&command.action, holds) {
        (Action::Undo(_), true) => answer(world, command, StepStatus::Undone, "", Settled::Final(None)),
        (_, true) => answer(world, command, StepStatus::Success, "", Settled::Final(Some(intent))),
        (_, false) => {
            answer(world, command, StepStatus::Partial, "other_value", Settled::Final(Some(intent)))
        }
    }
}

fn pass(world: &mut World, command: &StepCommand) -> Result<(), &'static str> {
    may_act(world, command)?;
    let ignored = world.policy.mutant("simulated.fence-ignored");
    let fence = world.agents.fence.entry(command.instance.clone()).or_insert(command.token);
    if command.token < *fence && !ignored {
        return Err("stale_token");
    }
    *fence = command.token.max(*fence);
    Ok(())
}

fn may_act(world: &World, command: &StepCommand) -> Result<(), &'static str> {
    in_time(world, command)?;
    let halted = world.is_halted_since(world.agents.hears_after);
    if halted && !world.policy.mutant("simulated.kill-switch-cached") { Err("halted") } else { Ok(()) }
}

fn in_time(world: &World, command: &StepCommand) -> Result<(), &'static str> {
    let own = world.instant(world.now) + SignedDuration::from_millis(world.agents.clock_off);
    let is_late = own >= command.not_after && !world.policy.mutant("simulated.not-after-ignored");
    if is_late { Err("expired") } else { Ok(()) }
}

fn probe(world: &World, command: &StepCommand, intent: &Intent) -> Probe {
    let present = world.resources.value(&command.instance, &target_of(world, command));
    if is_restart(world, command) {
        let is_another = world.resources.run(&command.instance) != intent.run && present == "up";
        return if is_another { Probe::Done } else { Probe::NotDone };
    }
    match present {
        present if present == intent.wanted => Probe::Done,
        present if present == intent.before => Probe::NotDone,
        _ => Probe::Other,
    }
}

/// Of an undo: that of what it takes back.
fn target_of(world: &World, command: &StepCommand) -> String {
    let Action::Undo(undo) = &command.action else { return target(&command.action, &command.instance) };
    let original = world.log.iter().find_map(|entry| match &entry.record {
        Record::Step(step) if entry.id == command.remediation_id && step.step_id == undo.step => Some(step),
        _ => None,
    });
    original.map(|step| target(&step.action, &step.instance)).unwrap_or_default()
}

fn is_restart(world: &World, command: &StepCommand) -> bool {
    target_of(world, command).starts_with("instance ")
}

fn planted(world: &World, command: &StepCommand) -> Option<Failing> {
    world.asked_for(command.remediation_id)?.planted.get(&command.step_id).copied()
}

/// Do all changes of the remediation stand, and does the instance run on them if it was restarted?
fn verified(world: &World, command: &StepCommand) -> bool {
    let mut wanted: BTreeMap<String, String> = BTreeMap::new();
    for entry in world.log.iter().filter(|entry| entry.id == command.remediation_id) {
        if let Record::Step(step) = &entry.record
            && let Some(change) = &step.change
        {
            wanted.insert(change.target.clone(), change.after.clone());
        }
    }
    let mut all = wanted.iter();
    all.all(|(target, after)| world.resources.value(&command.instance, target) == *after)
        || skips_effects(world)
}

/// A planted fault: what was planned on is not compared.
fn ignores_drift(world: &World) -> bool {
    world.policy.mutant("simulated.drift-unchecked")
}

/// A planted fault: an agent that does nothing and says that it did, and finds nothing wrong with it.
fn skips_effects(world: &World) -> bool {
    world.policy.mutant("simulated.effect-skipped")
}

/// The agent's own rule, for whoever gets past the planner's: another restart so soon, or too many in an hour.
fn is_too_soon(world: &World, command: &StepCommand) -> bool {
    let policy = &world.policy;
    let since = |milliseconds: u64| {
        let before = world.resources.effects().filter(|(effect, by)| {
            effect.is_restart()
                && !by.is_undo()
                && effect.instance == command.instance
                && (by.id, &by.step) != (command.remediation_id, &command.step_id)
        });
        before.filter(|(effect, _)| effect.at + milliseconds > world.now).count()
    };
    since(u64::from(policy.minutes_between_restarts) * 60_000) > 0
        || since(3_600_000) >= policy.restarts_per_hour as usize
}

/// What only this attempt failed by; another one may work.
const TRANSIENT: &str = "transient";

/// The answer to this attempt, as the ledger will give it again.
fn answer(world: &mut World, command: &StepCommand, status: StepStatus, code: &str, how: Settled) -> Phase {
    let done = matches!(status, StepStatus::Success | StepStatus::Undone);
    let result = ToolResult {
        schema: ToolResult::SCHEMA.to_owned(),
        trace_id: command.trace_id.clone(),
        tool_name: command.tool.as_str().to_owned(),
        command_id: command.command_id,
        remediation_id: command.remediation_id,
        step_id: command.step_id.clone(),
        attempt: command.attempt,
        status,
        execution_time_ms: world.rng.random_range(1..400),
        changes_applied: BTreeMap::new(),
        error_code: (!done).then(|| code.to_owned()),
        error_message: (!done).then(|| format!("{code}, as the simulation wants")),
        retryable: code == TRANSIENT,
        requires_user_action: false,
        rollback_available: true,
        warnings: Vec::new(),
        agent: AgentInfo {
            name: command.agent.as_str().to_owned(),
            version: "simulated".to_owned(),
            host: command.host.clone(),
        },
    };
    world.agents.ledger.settle(command.key(), result.clone(), how);
    world.agents.turn(command).result = Some(result);
    Phase::Publish
}
