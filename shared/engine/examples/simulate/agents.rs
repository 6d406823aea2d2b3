//! The step protocol of the agents (`shared/agent`), as a model: ledger first, then deadline, halt, fence, drift, intent,
//! effect, read-back, done, result, settled. A crash between any two of them loses everything but the ledger and the world.
//!
//! Faults can be planted here too (`simulated.…`): they stand for no line of the product, but each breaks a rule that
//! the simulation holds to, and `cargo xtask mutants` sees that it is found.

mod ledger; // What survives a crash.
mod turn; // One attempt, from the ledger to its result.

use std::collections::{BTreeMap, BTreeSet};

use instance_contract::{
    Action, Forecast, ForecastReply, HostName, InstanceName, StepCommand, Token, ToolResult,
    subject::RecordKind,
};
use instance_engine::Record;
use rand::RngExt as _;
use rand_chacha::ChaCha8Rng;

use crate::{
    faults::Fault,
    resources::{is_dangerous, target},
    world::{Happening, World},
};
use ledger::Ledger;

/// Clocks of agents differ from the true time by at most this much, in milliseconds; those of routers too. The
/// router allows for a difference of 30 s.
pub const SKEW: i64 = 15_000;
/// Who was told that nothing is halted believes it for so long at most, in milliseconds.
const HEARS_AFTER: u64 = 800;

/// What an agent does next with a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// From the ledger to the intent.
    Begin,
    /// After a crash: what came of the intent? Then the draft of a file.
    Draft,
    /// The effect.
    Act,
    /// What was written is read again, and the ledger is told.
    ReadBack,
    Publish,
    Settle,
}

pub struct Agents {
    life: u32,
    ledger: Ledger,
    fence: BTreeMap<InstanceName, Token>,
    /// Delivered and not settled: delivered again after a crash.
    unsettled: BTreeSet<usize>,
    /// Volatile: who works on an instance, and what waits for it.
    busy: BTreeMap<InstanceName, Turn>,
    waiting: Vec<usize>,
    /// How wrong their clocks are, in milliseconds.
    pub clock_off: i64,
    hears_after: u64,
}

/// What a process remembers of the step in hand.
struct Turn {
    index: usize,
    /// There was an intent before.
    is_resumed: bool,
    /// The text of the file when it was read.
    basis: String,
    result: Option<ToolResult>,
}

pub fn host() -> HostName {
    "db1".parse().expect("a legal name")
}

/// What a step would change.
pub fn forecast(world: &World, instance: &InstanceName, action: &Action) -> ForecastReply {
    let target = target(action, instance);
    let before = world.resources.value(instance, &target);
    let after = match action {
        Action::SetCpf(set) => set.new_value.clone(),
        Action::SetKernel(set) => set.new_value.clone(),
        _ => "up".to_owned(),
    };
    ForecastReply::Would(Forecast {
        unknown_version: None,
        dangerous: is_dangerous(&target, &after),
        target,
        before,
        after,
        needs_restart: false,
        may_be_live: false,
        restart_reason: String::new(),
        warnings: Vec::new(),
    })
}

impl Agents {
    pub fn draw(rng: &mut ChaCha8Rng) -> Self {
        let clock_off = if rng.random_ratio(1, 2) { rng.random_range(-SKEW..=SKEW) } else { 0 };
        Self {
            life: 0,
            ledger: Ledger::default(),
            fence: BTreeMap::new(),
            unsettled: BTreeSet::new(),
            busy: BTreeMap::new(),
            waiting: Vec::new(),
            clock_off,
            hears_after: rng.random_range(0..=HEARS_AFTER),
        }
    }

    /// A step command arrives; one step at a time on an instance.
    pub fn step(world: &mut World, index: usize) {
        let Record::Step(command) = &world.log[index].record else { return };
        let instance = command.instance.clone();
        let agents = &mut world.agents;
        agents.unsettled.insert(index);
        if let Some(turn) = agents.busy.get(&instance) {
            if turn.index != index && !agents.waiting.contains(&index) {
                agents.waiting.push(index);
            }
            return;
        }
        let turn = Turn { index, is_resumed: false, basis: String::new(), result: None };
        agents.busy.insert(instance, turn);
        let life = agents.life;
        world.after(1, 10, Happening::Work { life, index, phase: Phase::Begin });
        if world.chance(20, Fault::DeliveredTwice) {
            world.after(0, 30_000, Happening::Step { index });
        }
    }

    pub fn kill(world: &mut World) {
        world.count(Fault::AgentsKilled);
        let agents = &mut world.agents;
        agents.life += 1;
        agents.busy.clear();
        agents.waiting.clear();
        for index in agents.unsettled.clone() {
            world.after(500, 8_000, Happening::Step { index });
        }
    }

    pub fn work(world: &mut World, life: u32, index: usize, phase: Phase) {
        if world.agents.life != life {
            return;
        }
        let Record::Step(command) = world.log[index].record.clone() else { return };
        let settles_first = world.policy.mutant("simulated.settled-before-result");
        let next = match phase {
            Phase::Begin => Some(turn::begin(world, &command)),
            Phase::Draft => Some(turn::draft(world, &command)),
            Phase::Act => Some(turn::act(world, &command)),
            Phase::ReadBack => Some(turn::read_back(world, &command)),
            Phase::Publish => {
                if settles_first {
                    settle(world, index);
                } else {
                    publish(world, &command);
                }
                Some(Phase::Settle)
            }
            Phase::Settle => {
                if settles_first {
                    publish(world, &command);
                } else {
                    settle(world, index);
                }
                None
            }
        };
        match next {
            Some(phase @ (Phase::Draft | Phase::Act))
                if world.is_short_of_time() && world.chance(6, Fault::AgentSlow) =>
            {
                world.after(5_000, 60_000, Happening::Work { life, index, phase });
            }
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

    fn turn(&mut self, command: &StepCommand) -> &mut Turn {
        self.busy.get_mut(&command.instance).expect("a step in hand keeps its instance busy")
    }
}

/// The result of this attempt, on its own subject. Publishing is repeated until it stands there.
fn publish(world: &mut World, command: &StepCommand) {
    let result = world.agents.turn(command).result.clone().expect("made before it is published");
    let kind = RecordKind::Result { step: command.step_id.clone(), attempt: command.attempt };
    world.write(command.remediation_id, &kind, Record::Result(result));
}

fn settle(world: &mut World, index: usize) {
    world.agents.unsettled.remove(&index);
    if world.chance(30, Fault::StepForgotten) {
        world.after(0, 30_000, Happening::Step { index });
    }
}
