//! The step protocol of the agents (`shared/agent`), as a model: ledger first, then deadline, halt, fence, drift, intent,
//! effect, done, result. A crash between any two of them loses everything but the ledger and the world.

use std::collections::BTreeMap;

use instance_contract::{
    Action, AgentInfo, Change, ForecastReply, HostName, InstanceName, StepCommand, StepKey, StepStatus,
    Token, ToolResult, subject::RecordKind,
};
use instance_engine::Record;
use rand::RngExt as _;

use crate::{
    faults::Fault,
    routers::would,
    world::{EffectSeen, Happening, World},
};

#[derive(Debug, Clone)]
enum Line {
    Intent { before: String, wanted: String },
    Done { before: String, after: String, status: StepStatus },
}

#[derive(Default)]
pub struct Agents {
    life: u32,
    ledger: BTreeMap<StepKey, Line>,
    fence: BTreeMap<InstanceName, Token>,
    /// Volatile: who works on an instance, and what waits for it.
    busy: BTreeMap<InstanceName, usize>,
    waiting: Vec<usize>,
}

pub fn host() -> HostName {
    "db1".parse().expect("a legal name")
}

fn target(action: &Action, instance: &InstanceName) -> String {
    match action {
        Action::SetCpf(set) => format!("cpf [{}] {}", set.cpf_section, set.parameter),
        Action::ChangeCpf(change) => change.target(),
        Action::SetKernel(set) => format!("kernel {}", set.kernel_param),
        _ => format!("instance {instance}"),
    }
}

fn value(world: &World, instance: &InstanceName, target: &str) -> String {
    world.values.get(&(instance.clone(), target.to_owned())).cloned().unwrap_or_else(|| "at first".to_owned())
}

pub fn forecast(world: &World, instance: &InstanceName, action: &Action) -> ForecastReply {
    let target = target(action, instance);
    let before = value(world, instance, &target);
    let after = match action {
        Action::SetCpf(set) => set.new_value.clone(),
        Action::SetKernel(set) => set.new_value.clone(),
        _ => before.clone(),
    };
    would(target, before, after)
}

impl Agents {
    /// A step command arrives; one step at a time on an instance.
    pub fn step(world: &mut World, index: usize) {
        let Record::Step(command) = world.log[index].record.clone() else { return };
        if world.agents.busy.contains_key(&command.instance) {
            world.agents.waiting.push(index);
            return;
        }
        world.agents.busy.insert(command.instance.clone(), index);
        let life = world.agents.life;
        world.after(1, 10, Happening::Work { life, index, phase: 0 });
        if world.chance(20, Fault::DeliveredTwice) {
            world.after(0, 30_000, Happening::Step { index });
        }
    }

    pub fn kill(world: &mut World) {
        world.count(Fault::AgentKilled);
        let agents = &mut world.agents;
        agents.life += 1;
        let mut again: Vec<usize> = agents.busy.values().copied().chain(agents.waiting.drain(..)).collect();
        agents.busy.clear();
        again.sort_unstable();
        for index in again {
            // Not settled, so delivered again when the agents are back.
            world.after(500, 8_000, Happening::Step { index });
        }
    }

    pub fn work(world: &mut World, life: u32, index: usize, phase: u8) {
        if world.agents.life != life {
            return;
        }
        let Record::Step(command) = world.log[index].record.clone() else { return };
        let next = match phase {
            0 => Self::begin(world, &command),
            1 => Self::effect(world, &command),
            _ => Self::done(world, &command),
        };
        match next {
            Some(phase) => world.after(1, 400, Happening::Work { life, index, phase }),
            None => Self::free(world, &command),
        }
    }

    fn free(world: &mut World, command: &StepCommand) {
        world.agents.busy.remove(&command.instance);
        let next = world.agents.waiting.iter().position(|index| {
            matches!(&world.log[*index].record, Record::Step(other) if other.instance == command.instance)
        });
        if let Some(next) = next {
            let index = world.agents.waiting.remove(next);
            world.after(0, 5, Happening::Step { index });
        }
    }

    /// Ledger, deadline, halt, fence, drift, intent.
    fn begin(world: &mut World, command: &StepCommand) -> Option<u8> {
        match world.agents.ledger.get(&command.key()).cloned() {
            Some(Line::Done { status, .. }) => return Self::answer(world, command, status, false),
            // The effect is looked up in the world, under the lock.
            Some(Line::Intent { .. }) => return Some(1),
            None => {}
        }
        if world.instant(world.now) > command.not_after {
            return Self::answer(world, command, StepStatus::Refused, false);
        }
        if world.routers.is_halted() {
            return Self::answer(world, command, StepStatus::Refused, false);
        }
        let fence = world.agents.fence.entry(command.instance.clone()).or_insert(command.token);
        if command.token < *fence {
            return Self::refuse_stale(world, command);
        }
        *fence = command.token;
        if let Action::Verify(_) = command.action {
            let held = Self::verified(world, command);
            let status = if held { StepStatus::Success } else { StepStatus::Failure };
            return Self::answer(world, command, status, false);
        }
        if let Some(retryable) = Self::planted(world, command) {
            return Self::answer(world, command, StepStatus::Failure, retryable);
        }
        if let Action::Undo(undo) = &command.action {
            let key = StepKey { remediation_id: command.remediation_id, step_id: undo.step.clone() };
            let (before, wanted) = match world.agents.ledger.get(&key) {
                // Never done here: nothing to take back.
                None => return Self::answer(world, command, StepStatus::Undone, false),
                Some(Line::Done { before, after, .. }) => (after.clone(), before.clone()),
                Some(Line::Intent { before, wanted }) => (wanted.clone(), before.clone()),
            };
            world.agents.ledger.insert(command.key(), Line::Intent { before, wanted });
            return Some(1);
        }
        let target = target(&command.action, &command.instance);
        let before = value(world, &command.instance, &target);
        let Change { before: planned, after, .. } = command.change.clone()?;
        if before != planned {
            return Self::answer(world, command, StepStatus::Refused, false);
        }
        world.agents.ledger.insert(command.key(), Line::Intent { before, wanted: after });
        Some(1)
    }

    /// One effect, unless the world shows that it has happened.
    fn effect(world: &mut World, command: &StepCommand) -> Option<u8> {
        let Some(Line::Intent { before, wanted }) = world.agents.ledger.get(&command.key()).cloned() else {
            return None;
        };
        let seen = world
            .effects
            .iter()
            .any(|effect| effect.id == command.remediation_id && effect.step == command.step_id);
        let target = command
            .change
            .as_ref()
            .map_or_else(|| Self::undone_target(world, command), |change| change.target.clone());
        let present = value(world, &command.instance, &target);
        // A value tells by itself whether it was set; a restart tells by the identity of the run.
        let has_happened = if before == wanted { seen } else { present == wanted };
        if !has_happened {
            if present != before {
                // Somebody else has acted: touch nothing.
                return Some(2);
            }
            // Directly before the effect the gate is looked at once more.
            let fence = world.agents.fence.get(&command.instance).copied().unwrap_or(command.token);
            if command.token < fence {
                return Self::refuse_stale(world, command);
            }
            if world.routers.is_halted() || world.instant(world.now) > command.not_after {
                return Self::answer(world, command, StepStatus::Refused, false);
            }
            world.values.insert((command.instance.clone(), target), wanted);
            let guarded = matches!(command.action, Action::Restart(_)) && world.policy.approve_restarts;
            world.effects.push(EffectSeen {
                id: command.remediation_id,
                step: command.step_id.clone(),
                instance: command.instance.clone(),
                token: command.token,
                at: world.now,
                guarded,
            });
        }
        Some(2)
    }

    fn undone_target(world: &World, command: &StepCommand) -> String {
        let Action::Undo(undo) = &command.action else { return String::new() };
        let original = world.log.iter().find_map(|entry| match &entry.record {
            Record::Step(step) if entry.id == command.remediation_id && step.step_id == undo.step => {
                Some(step)
            }
            _ => None,
        });
        original.and_then(|step| step.change.as_ref()).map(|change| change.target.clone()).unwrap_or_default()
    }

    /// Read back, done record, result.
    fn done(world: &mut World, command: &StepCommand) -> Option<u8> {
        let Some(Line::Intent { before, wanted }) = world.agents.ledger.get(&command.key()).cloned() else {
            return None;
        };
        let target = command
            .change
            .as_ref()
            .map_or_else(|| Self::undone_target(world, command), |change| change.target.clone());
        let status = match (&command.action, value(world, &command.instance, &target) == wanted) {
            (Action::Undo(_), true) => StepStatus::Undone,
            (_, true) => StepStatus::Success,
            (_, false) => StepStatus::Partial,
        };
        world.agents.ledger.insert(command.key(), Line::Done { before, after: wanted, status });
        Self::answer(world, command, status, false)
    }

    /// Is this attempt planted to fail before it touches anything, and may another one work?
    fn planted(world: &World, command: &StepCommand) -> Option<bool> {
        let asked = world.asked.iter().find(|asked| asked.id() == command.remediation_id)?;
        match *asked.planted.get(&command.step_id)? {
            None => Some(false),
            Some(times) => (command.attempt.0 <= times).then_some(true),
        }
    }

    /// Do all changes of the remediation stand?
    fn verified(world: &World, command: &StepCommand) -> bool {
        let mut wanted: BTreeMap<String, String> = BTreeMap::new();
        for entry in world.log.iter().filter(|entry| entry.id == command.remediation_id) {
            if let Record::Step(step) = &entry.record
                && let Some(change) = &step.change
            {
                wanted.insert(change.target.clone(), change.after.clone());
            }
        }
        wanted.iter().all(|(target, after)| value(world, &command.instance, target) == *after)
    }

    fn refuse_stale(world: &mut World, command: &StepCommand) -> Option<u8> {
        let mut result = Self::result(world, command, StepStatus::Refused, false);
        result.error_code = Some("stale_token".to_owned());
        let kind = RecordKind::Result { step: command.step_id.clone(), attempt: command.attempt };
        world.write(command.remediation_id, &kind, Record::Result(result));
        None
    }

    /// The result of this attempt, on its own subject. Publishing is repeated until it stands there.
    fn answer(world: &mut World, command: &StepCommand, status: StepStatus, retry: bool) -> Option<u8> {
        let result = Self::result(world, command, status, retry);
        let kind = RecordKind::Result { step: command.step_id.clone(), attempt: command.attempt };
        world.write(command.remediation_id, &kind, Record::Result(result));
        None
    }

    fn result(world: &mut World, command: &StepCommand, status: StepStatus, retryable: bool) -> ToolResult {
        let done = matches!(status, StepStatus::Success | StepStatus::Undone);
        ToolResult {
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
            error_code: (!done).then(|| "simulated".to_owned()),
            error_message: (!done).then(|| "as the simulation wants".to_owned()),
            retryable,
            requires_user_action: false,
            rollback_available: true,
            warnings: Vec::new(),
            agent: AgentInfo {
                name: command.agent.as_str().to_owned(),
                version: "simulated".to_owned(),
                host: command.host.clone(),
            },
        }
    }
}
