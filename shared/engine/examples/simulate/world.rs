//! Time, the log, the resources, and everything that is still to happen.

use std::collections::{BTreeMap, BTreeSet, BinaryHeap};

use instance_contract::{
    ApprovalAnswered, Digest, InstanceName, OverallStatus, RemediationId, StepId, Token, Verdict,
    subject::RecordKind,
};
use instance_engine::{Event, Record};
use instance_planner::Policy;
use jiff::{SignedDuration, Timestamp};
use rand::{RngExt as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;

use crate::{
    agents::Agents,
    commands::{self, Asked},
    faults::Fault,
    routers::Routers,
};

/// No run lasts longer, in simulated milliseconds: everything must have ended by then.
const HORIZON: u64 = 4 * 3_600_000;
/// In every run whose seed is a multiple of it, a remediation has a minute.
const SHORT_OF_TIME: u64 = 8;
/// Whoever would take longer than this to answer never does, in milliseconds.
const NEVER_AFTER: u64 = 370_000;

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
        phase: u8,
    },
    /// A person answers.
    Approve {
        id: RemediationId,
        digest: Digest,
        verdict: Verdict,
    },
    KillRouter(usize),
    ReviveRouter(usize),
    PauseRouter(usize),
    KillAgents,
    ForeignChange(InstanceName),
    Halt(bool),
}

/// One effect on a resource, as the resource saw it.
#[derive(Debug, Clone)]
pub struct EffectSeen {
    pub id: RemediationId,
    pub step: StepId,
    pub instance: InstanceName,
    pub token: Token,
    pub at: u64,
    pub guarded: bool,
}

pub struct Entry {
    pub id: RemediationId,
    pub kind: RecordKind,
    pub at: u64,
    pub record: Record,
}

pub struct World {
    pub rng: ChaCha8Rng,
    pub now: u64,
    pub start: Timestamp,
    pub policy: Policy,
    pub asked: Vec<Asked>,
    pub log: Vec<Entry>,
    written: BTreeMap<(RemediationId, RecordKind), usize>,
    /// Values by instance and target.
    pub values: BTreeMap<(InstanceName, String), String>,
    pub touched_by_others: BTreeSet<InstanceName>,
    pub effects: Vec<EffectSeen>,
    pub injected: BTreeMap<Fault, usize>,
    pub halts: Vec<(u64, bool)>,
    pub inputs: usize,
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
        let policy = Policy {
            approve_restarts: rng.random_ratio(1, 2),
            // No draw: the seeds that failed once keep their meaning.
            remediation_seconds: if seed.is_multiple_of(SHORT_OF_TIME) { 60 } else { 1200 },
            approval_seconds: 300,
            minutes_between_restarts: 0,
            restarts_per_hour: 60,
            #[cfg(feature = "mutants")]
            mutant: std::env::var("MUTANT").ok(),
            ..Policy::default()
        };
        let asked = commands::draw(&mut rng, start);
        let mut world = Self {
            rng,
            now: 0,
            start,
            policy,
            asked,
            log: Vec::new(),
            written: BTreeMap::new(),
            values: BTreeMap::new(),
            touched_by_others: BTreeSet::new(),
            effects: Vec::new(),
            injected: BTreeMap::new(),
            halts: Vec::new(),
            inputs: 0,
            agents: Agents::default(),
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
        if self.policy.remediation_seconds == 60 {
            self.count(Fault::ShortOfTime);
        }
        for index in 0..self.asked.len() {
            for times in self.asked[index].planted.values().copied().collect::<Vec<_>>() {
                self.count(if times.is_some() { Fault::StepFailsAtFirst } else { Fault::StepFails });
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
        if self.rng.random_ratio(1, 15) {
            let instance = self.asked[0].command.instance.clone();
            let at = self.rng.random_range(0..30_000);
            self.at(at, Happening::ForeignChange(instance));
        }
        if self.rng.random_ratio(1, 15) {
            let at = self.rng.random_range(0..40_000);
            self.at(at, Happening::Halt(true));
            let for_long = self.rng.random_range(1_000..30_000);
            self.at(at + for_long, Happening::Halt(false));
        }
    }

    pub fn run(&mut self) {
        while let Some(std::cmp::Reverse((at, _, index))) = self.queue.pop() {
            if at > HORIZON {
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
            Happening::Approve { id, digest, verdict } => self.approve(id, digest, verdict),
            Happening::KillRouter(router) => Routers::kill(self, router),
            Happening::ReviveRouter(router) => Routers::revive(self, router),
            Happening::PauseRouter(router) => Routers::pause(self, router),
            Happening::KillAgents => Agents::kill(self),
            Happening::ForeignChange(instance) => self.foreign_change(instance),
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
        let hit = self.rng.random_ratio(1, one_in);
        if hit {
            self.count(fault);
        }
        hit
    }

    pub fn count(&mut self, fault: Fault) {
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
        self.log.push(Entry { id, kind: kind.clone(), at: self.now, record });
        Routers::tell(self, index);
        if matches!(kind, RecordKind::Step { .. }) {
            self.after(1, 20, Happening::Step { index });
        }
        (index, true)
    }

    pub fn standing(&self, id: RemediationId, kind: &RecordKind) -> Option<&Entry> {
        self.written.get(&(id, kind.clone())).map(|index| &self.log[*index])
    }

    /// A person is asked, and answers: soon, late, twice, or about something else.
    pub fn ask_a_person(&mut self, id: RemediationId, digest: &Digest) {
        let late = self.chance(12, Fault::ApprovalLate);
        let delay =
            if late { self.rng.random_range(250_000..400_000) } else { self.rng.random_range(500..5_000) };
        if delay > NEVER_AFTER {
            return self.count(Fault::ApprovalNever);
        }
        let other = self.chance(40, Fault::ApprovalOtherDigest);
        let digest = if other { Digest::of(b"something else") } else { digest.clone() };
        let approve = Happening::Approve { id, digest, verdict: Verdict::Granted };
        self.at(self.now + delay, approve.clone());
        if self.chance(10, Fault::ApprovalTwice) {
            self.at(self.now + delay + 700, approve);
        }
    }

    fn approve(&mut self, id: RemediationId, digest: Digest, verdict: Verdict) {
        let Some(trace_id) =
            self.asked.iter().find(|asked| asked.id() == id).map(|asked| asked.command.trace_id.clone())
        else {
            return;
        };
        let answered = ApprovalAnswered {
            schema: ApprovalAnswered::SCHEMA.to_owned(),
            trace_id,
            remediation_id: id,
            digest,
            verdict,
            by: "operator".to_owned(),
            at: self.instant(self.now),
            note: None,
        };
        self.write(id, &RecordKind::ApprovalAnswered(1), Record::ApprovalAnswered(answered));
    }

    pub fn instance_of(&self, id: RemediationId) -> Option<&InstanceName> {
        self.asked.iter().find(|asked| asked.id() == id).map(|asked| &asked.command.instance)
    }

    fn foreign_change(&mut self, instance: InstanceName) {
        self.count(Fault::ForeignChange);
        let target = "cpf [config] globals".to_owned();
        self.values.insert((instance.clone(), target), "by somebody else".to_owned());
        self.touched_by_others.insert(instance);
    }

    pub fn outcomes(&self) -> Vec<Outcome> {
        let ended = |asked: &Asked| match &self.standing(asked.id(), &RecordKind::Ended)?.record {
            Record::Ended(ended) => Some(ended.trace.overall_status),
            _ => None,
        };
        let planted_by_world = |asked: &Asked| {
            self.touched_by_others.contains(&asked.command.instance)
                || !self.halts.is_empty()
                || self.injected.contains_key(&Fault::ShortOfTime)
                || self.injected.contains_key(&Fault::ApprovalLate)
                || self.injected.contains_key(&Fault::ApprovalOtherDigest)
        };
        self.asked
            .iter()
            .filter_map(|asked| {
                let status = ended(asked)?;
                Some(Outcome {
                    status,
                    unplanted: !asked.is_planted() && !planted_by_world(asked),
                    succeeded: matches!(status, OverallStatus::Success | OverallStatus::DryRun),
                })
            })
            .collect()
    }
}
