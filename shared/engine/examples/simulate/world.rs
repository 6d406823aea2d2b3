//! Time, the log, the resources, and everything that is still to happen.

use std::collections::{BTreeMap, BTreeSet, BinaryHeap};

use instance_contract::{InstanceName, OverallStatus, Plan, RemediationId, subject::RecordKind};
use instance_engine::{Event, Logged, Record};
use instance_planner::Policy;
use jiff::{SignedDuration, Timestamp};
use rand::{RngExt as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;

use crate::{
    agents::{Agents, Phase},
    commands::{self, Asked},
    faults::Fault,
    people::{self, Answer},
    policy,
    resources::Resources,
    routers::Routers,
};

/// Once nothing goes wrong any more, a plan whose turn it is ends within so many milliseconds: the person's time, then
/// each of up to ten steps and undos with its tries.
const PLAN_BOUND: u64 = 900_000;
/// The same where a clock is wrong by more than clocks may be, so that every wait may be longer by as much.
const PLAN_BOUND_BY_WRONG_CLOCKS: u64 = 5_400_000;

/// Where one of these was injected, plans may fail.
const FAILING: [Fault; 6] = [
    Fault::ShortOfTime,
    Fault::TightBudgets,
    Fault::ApprovalLate,
    Fault::ApprovalOtherDigest,
    Fault::ApprovalDenied,
    Fault::ApprovalByStranger,
];

/// Something that will happen.
#[derive(Debug, Clone)]
pub enum Happening {
    /// A command reaches whoever owns the shard.
    Command(usize),
    /// The consumer's wait for its settlement is over.
    Again(usize),
    /// Something for a router, of the life in which it was begun.
    Router {
        router: usize,
        life: u32,
        event: Box<Event>,
    },
    /// A record of the log reaches a router that follows it.
    Followed {
        router: usize,
        life: u32,
        index: usize,
    },
    Wake {
        router: usize,
        life: u32,
    },
    /// Routers look at the lease.
    Lease,
    /// A step command reaches its agent.
    Step {
        index: usize,
    },
    /// An agent goes on with a step.
    Work {
        life: u32,
        index: usize,
        phase: Phase,
    },
    /// A person answers.
    Approve(Answer),
    KillRouter(usize),
    ReviveRouter(usize),
    PauseRouter(usize),
    KillAgents,
    ForeignChange {
        instance: InstanceName,
        target: String,
    },
    Halt(bool),
}

pub struct Entry {
    pub id: RemediationId,
    pub kind: RecordKind,
    pub at: u64,
    pub record: Record,
    /// How many changes the resources had seen when it was written.
    pub after_changes: usize,
}

pub struct World {
    pub rng: ChaCha8Rng,
    pub now: u64,
    pub start: Timestamp,
    pub policy: Policy,
    pub asked: Vec<Asked>,
    pub log: Vec<Entry>,
    written: BTreeMap<(RemediationId, RecordKind), usize>,
    pub resources: Resources,
    /// Instances of which somebody else has changed what plans change too.
    pub touched_by_others: BTreeSet<InstanceName>,
    pub injected: BTreeMap<Fault, usize>,
    pub halts: Vec<(u64, bool)>,
    pub inputs: usize,
    /// From then on nothing goes wrong by chance.
    quiet_from: u64,
    last_fault_at: u64,
    pub agents: Agents,
    pub routers: Routers,
    queue: BinaryHeap<std::cmp::Reverse<(u64, u64, usize)>>,
    happenings: Vec<Option<Happening>>,
    talks: bool,
}

/// How one command ended.
pub struct Outcome {
    pub status: OverallStatus,
    pub unplanted: bool,
    pub succeeded: bool,
}

impl World {
    pub fn new(seed: u64, talks: bool) -> Self {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let start: Timestamp = "2026-11-21T08:00:00Z".parse().expect("a legal instant");
        let policy = policy::draw(&mut rng);
        let asked = commands::draw(&mut rng, start);
        let quiet_from = rng.random_range(40_000..400_000);
        let agents = Agents::draw(&mut rng);
        let mut world = Self {
            rng,
            now: 0,
            start,
            policy,
            asked,
            log: Vec::new(),
            written: BTreeMap::new(),
            resources: Resources::default(),
            touched_by_others: BTreeSet::new(),
            injected: BTreeMap::new(),
            halts: Vec::new(),
            inputs: 0,
            quiet_from,
            last_fault_at: 0,
            agents,
            routers: Routers::default(),
            queue: BinaryHeap::new(),
            happenings: Vec::new(),
            talks,
        };
        world.arrange();
        world
    }

    /// What is fixed from the beginning: the commands, and when somebody dies.
    fn arrange(&mut self) {
        if self.is_short_of_time() {
            self.count(Fault::ShortOfTime);
        }
        if policy::is_tight(&self.policy) {
            self.count(Fault::TightBudgets);
        }
        if self.agents.clock_off != 0 {
            self.count(Fault::ClockSkew);
        }
        for index in 0..self.asked.len() {
            for fault in self.asked[index].planted.values().map(|failing| failing.fault()).collect::<Vec<_>>()
            {
                self.count(fault);
            }
            let at = self.asked[index].at;
            self.at(at, Happening::Command(index));
        }
        self.at(0, Happening::Lease);
        for _ in 0..self.rng.random_range(0..4) {
            let (at, router) = (self.rng.random_range(0..60_000), self.rng.random_range(0..2));
            let kill = self.rng.random_ratio(2, 3);
            self.at(at, if kill { Happening::KillRouter(router) } else { Happening::PauseRouter(router) });
        }
        for _ in 0..self.rng.random_range(0..4) {
            let at = self.rng.random_range(0..60_000);
            self.at(at, Happening::KillAgents);
        }
        people::arrange(self);
        if self.rng.random_ratio(1, 15) {
            let at = self.rng.random_range(0..40_000);
            self.at(at, Happening::Halt(true));
            let for_long = self.rng.random_range(1_000..30_000);
            self.at(at + for_long, Happening::Halt(false));
        }
    }

    /// Until nothing happens any more, or everything had to be over.
    pub fn run(&mut self) {
        while let Some(std::cmp::Reverse((at, _, index))) = self.queue.pop() {
            if at > self.must_be_over_by() {
                return;
            }
            self.now = at;
            self.inputs += 1;
            let Some(happening) = self.happenings[index].take() else { continue };
            if self.talks {
                println!("{:>9} {happening:?}", self.now);
            }
            self.happens(happening);
        }
    }

    /// Each plan has its bound from the last fault on, one after the other.
    pub fn must_be_over_by(&self) -> u64 {
        let bound = if self.has_wrong_clock() { PLAN_BOUND_BY_WRONG_CLOCKS } else { PLAN_BOUND };
        self.last_fault_at.max(20_000) + bound * self.asked.len() as u64
    }

    pub const fn is_short_of_time(&self) -> bool {
        self.policy.remediation_seconds == policy::SHORT_SECONDS
    }

    /// Was a clock wrong by more than clocks may be?
    pub fn has_wrong_clock(&self) -> bool {
        self.injected.contains_key(&Fault::ClockJump)
    }

    fn happens(&mut self, happening: Happening) {
        match happening {
            Happening::Command(index) => Routers::command(self, index),
            Happening::Again(index) => Routers::again(self, index),
            Happening::Router { router, life, event } => Routers::event(self, router, life, *event),
            Happening::Followed { router, life, index } => Routers::followed(self, router, life, index),
            Happening::Wake { router, life } => Routers::event(self, router, life, Event::Tick),
            Happening::Lease => Routers::lease(self),
            Happening::Step { index } => Agents::step(self, index),
            Happening::Work { life, index, phase } => Agents::work(self, life, index, phase),
            Happening::Approve(answer) => people::answer(self, answer),
            Happening::KillRouter(router) => Routers::kill(self, router),
            Happening::ReviveRouter(router) => Routers::revive(self, router),
            Happening::PauseRouter(router) => Routers::pause(self, router),
            Happening::KillAgents => Agents::kill(self),
            Happening::ForeignChange { instance, target } => people::change(self, instance, target),
            Happening::Halt(halted) => {
                self.count(Fault::Halted);
                self.halts.push((self.now, halted));
                Routers::halt(self, halted);
            }
        }
    }

    /// Something happens at a time, in no fixed order with what happens at the same time.
    pub fn at(&mut self, at: u64, happening: Happening) {
        let tie = self.rng.random();
        self.queue.push(std::cmp::Reverse((at, tie, self.happenings.len())));
        self.happenings.push(Some(happening));
    }

    pub fn after(&mut self, least: u64, most: u64, happening: Happening) {
        let delay = self.rng.random_range(least..=most);
        self.at(self.now + delay, happening);
    }

    pub fn chance(&mut self, one_in: u32, fault: Fault) -> bool {
        let hit = !self.is_quiet() && self.rng.random_ratio(1, one_in);
        if hit {
            self.count(fault);
        }
        hit
    }

    /// Does nothing go wrong by chance any more?
    pub fn is_quiet(&self) -> bool {
        self.now >= self.quiet_from
    }

    pub fn count(&mut self, fault: Fault) {
        self.last_fault_at = self.last_fault_at.max(self.now);
        *self.injected.entry(fault).or_default() += 1;
    }

    /// The true time.
    pub fn instant(&self, at: u64) -> Timestamp {
        self.start + SignedDuration::from_millis(i64::try_from(at).unwrap_or(i64::MAX))
    }

    /// A subject is written once. Returns where the record stands, and whether it is this one.
    pub fn write(&mut self, id: RemediationId, kind: &RecordKind, record: Record) -> (usize, bool) {
        if let Some(index) = self.written.get(&(id, kind.clone())) {
            return (*index, false);
        }
        let index = self.log.len();
        self.written.insert((id, kind.clone()), index);
        let after_changes = self.resources.written.len();
        self.log.push(Entry { id, kind: kind.clone(), at: self.now, record, after_changes });
        Routers::tell(self, index);
        match kind {
            RecordKind::Step { .. } => self.after(1, 20, Happening::Step { index }),
            RecordKind::Accepted | RecordKind::Planned => people::plan_is_made(self, id),
            _ => {}
        }
        (index, true)
    }

    /// What the log holds of a remediation, as a router reads it.
    pub fn logged(&self, id: RemediationId) -> Vec<Logged> {
        let own = self.log.iter().enumerate().filter(|(_, entry)| entry.id == id);
        own.map(|(index, entry)| {
            (entry.kind.clone(), self.instant(entry.at), index as u64, entry.record.clone())
        })
        .collect()
    }

    pub fn standing(&self, id: RemediationId, kind: &RecordKind) -> Option<&Entry> {
        self.written.get(&(id, kind.clone())).map(|index| &self.log[*index])
    }

    pub fn asked_for(&self, id: RemediationId) -> Option<&Asked> {
        self.asked.iter().find(|asked| asked.id() == id)
    }

    /// The plan that stands in the log.
    pub fn plan_of(&self, id: RemediationId) -> Option<&Plan> {
        if let Some(Record::Planned(planned)) =
            self.standing(id, &RecordKind::Planned).map(|entry| &entry.record)
        {
            return Some(&planned.plan);
        }
        match self.standing(id, &RecordKind::Accepted).map(|entry| &entry.record) {
            Some(Record::Accepted(accepted)) => accepted.plan.as_ref(),
            _ => None,
        }
    }

    /// Has the kill switch been thrown so long ago that everybody knows?
    pub fn is_halted_since(&self, milliseconds: u64) -> bool {
        let then = self.now.saturating_sub(milliseconds);
        self.halts.iter().rfind(|(at, _)| *at <= then).is_some_and(|(_, halted)| *halted)
    }

    pub fn instance_of(&self, id: RemediationId) -> Option<&InstanceName> {
        self.asked_for(id).map(|asked| &asked.command.instance)
    }

    pub fn outcomes(&self) -> Vec<Outcome> {
        let ended = |asked: &Asked| match &self.standing(asked.id(), &RecordKind::Ended)?.record {
            Record::Ended(ended) => Some(ended.trace.overall_status),
            _ => None,
        };
        let planted_by_world = |asked: &Asked| {
            self.touched_by_others.contains(&asked.command.instance)
                || !self.halts.is_empty()
                || FAILING.iter().any(|fault| self.injected.contains_key(fault))
        };
        self.asked
            .iter()
            .filter_map(|asked| {
                let status = ended(asked)?;
                Some(Outcome {
                    status,
                    unplanted: !asked.is_planted(self.policy.attempts) && !planted_by_world(asked),
                    succeeded: matches!(status, OverallStatus::Success | OverallStatus::DryRun),
                })
            })
            .collect()
    }
}
