//! Two routers around two cores: one lease, one log, and everything that can go wrong between them.

use std::collections::{BTreeMap, BTreeSet};

use instance_contract::{AgentKind, Digest, Facts, RemediationId, subject::RecordKind};
use instance_engine::{
    Arrival, Core, Earlier, Effect, Event, FactsAnswer, Record, Remediation, is_restart, next_epoch,
};
use jiff::{SignedDuration, Timestamp};
use rand::RngExt as _;

use crate::{
    agents::{self, SKEW},
    faults::Fault,
    people,
    world::{Happening, World},
};

const LEASE_LIVES: u64 = 3_000;
const ACK_WAIT: u64 = 4_000;
/// For how long an owner believes in its last renewal (a frozen machine's clock stands still).
const FRESH: u64 = 2_000;

#[derive(Default)]
struct Router {
    /// Raised at every death, so that what belongs to a former life is not delivered.
    life: u32,
    core: Option<Core>,
    epoch: u64,
    paused_until: u64,
    /// How wrong its clock is, in milliseconds.
    clock_off: i64,
    dead: bool,
    /// Commands taken and not answered yet, by place in the list of commands.
    holds: BTreeMap<RemediationId, usize>,
    /// What waited while it was paused.
    waiting: Vec<Happening>,
    /// How long it may still believe in a lease that it has lost.
    stale_until: u64,
    /// The log is followed in order: nothing is heard before what stands earlier.
    heard_until: u64,
    /// The next time at which it looks by itself.
    wake_at: Option<u64>,
}

#[derive(Default)]
pub struct Routers {
    both: [Router; 2],
    owner: Option<usize>,
    renewed_at: u64,
    /// Of every owner that the shard has had, and since when.
    pub epochs: Vec<(u64, u64)>,
    settled: BTreeSet<usize>,
    halted: bool,
}

impl Routers {
    /// Every half second: an owner that is alive renews; a shard that nobody renews is taken over.
    pub fn lease(world: &mut World) {
        let now = world.now;
        let this = &mut world.routers;
        let alive = |router: &Router| !router.dead && router.paused_until <= now;
        match this.owner {
            Some(owner) if alive(&this.both[owner]) && this.both[owner].core.is_some() => {
                this.renewed_at = now;
            }
            _ if now >= this.renewed_at + LEASE_LIVES || this.owner.is_none() => {
                if let Some(next) = (0..2).find(|index| alive(&this.both[*index])) {
                    Self::take_over(world, next);
                }
            }
            _ => {}
        }
        let is_open =
            world.asked.iter().any(|asked| world.standing(asked.id(), &RecordKind::Ended).is_none());
        if is_open || world.routers.has_unsettled(world.asked.len()) {
            world.at(now + 500, Happening::Lease);
        }
    }

    fn take_over(world: &mut World, next: usize) {
        let now = world.now;
        let this = &mut world.routers;
        // A former owner that is only paused still believes in its core: the fence must hold.
        this.owner = Some(next);
        this.renewed_at = now;
        let local = Self::clock(world, next);
        let this = &mut world.routers;
        let epoch = next_epoch(this.epochs.last().map_or(0, |(epoch, _)| *epoch), local, &world.policy);
        this.epochs.push((epoch, now));
        let mut core = Core::new(world.policy.clone(), epoch);
        let halted = this.halted;
        let ids: BTreeSet<RemediationId> = world.log.iter().map(|entry| entry.id).collect();
        for entry in world.log.iter().filter(|entry| is_restart(&entry.record)) {
            if let Some(instance) = world.instance_of(entry.id) {
                core.remember_restart(instance, world.instant(entry.at));
            }
        }
        let adopted: Vec<Remediation> =
            ids.into_iter().filter_map(|id| Remediation::replay(world.logged(id))).collect();
        let mut effects = core.on(Event::Halted(halted), local);
        effects.extend(core.adopt(adopted, local));
        let router = &mut world.routers.both[next];
        router.life += 1;
        router.wake_at = None;
        router.core = Some(core);
        router.epoch = epoch;
        router.holds.clear();
        Self::perform(world, next, effects);
        // What nobody has settled is delivered to the new owner.
        let open: Vec<usize> =
            (0..world.asked.len()).filter(|index| !world.routers.settled.contains(index)).collect();
        for index in open {
            if world.asked[index].at <= now {
                world.after(0, 4_000, Happening::Command(index));
            }
        }
    }

    fn clock(world: &World, router: usize) -> Timestamp {
        world.instant(world.now) + SignedDuration::from_millis(world.routers.both[router].clock_off)
    }

    /// A command that is not settled within the consumer's wait comes again.
    pub fn again(world: &mut World, index: usize) {
        if !world.routers.settled.contains(&index) {
            Self::command(world, index);
        }
    }

    pub fn command(world: &mut World, index: usize) {
        world.at(world.now + ACK_WAIT, Happening::Again(index));
        let Some(owner) = world.routers.owner else {
            return;
        };
        let router = &world.routers.both[owner];
        if router.dead || router.core.is_none() {
            return;
        }
        let asked = &world.asked[index];
        let id = asked.id();
        let digest = Digest::of(&serde_json::to_vec(&asked.command).expect("a command is JSON"));
        let arrival = Arrival {
            command: asked.command.clone(),
            digest,
            traceparent: None,
            hosts: AgentKind::ALL.iter().map(|agent| (*agent, agents::host())).collect(),
            earlier: None,
        };
        world.routers.both[owner].holds.insert(id, index);
        let life = world.routers.both[owner].life;
        Self::event(world, owner, life, Event::Arrived(Box::new(arrival)));
        if world.chance(15, Fault::DeliveredTwice) {
            world.after(0, 3_000, Happening::Command(index));
        }
    }

    /// Something for the core. A paused router does it when it goes on.
    pub fn event(world: &mut World, router: usize, life: u32, event: Event) {
        let this = &mut world.routers.both[router];
        if this.life != life || this.dead {
            return;
        }
        if this.paused_until > world.now {
            this.waiting.push(Happening::Router { router, life, event: Box::new(event) });
            return;
        }
        if world.routers.owner != Some(router) && world.now > world.routers.both[router].stale_until {
            // It has looked at its lease: the shard is not its own any more.
            world.routers.both[router].core = None;
        }
        let local = Self::clock(world, router);
        let Some(core) = &mut world.routers.both[router].core else { return };
        let effects = core.on(event, local);
        Self::perform(world, router, effects);
    }

    fn perform(world: &mut World, router: usize, effects: Vec<Effect>) {
        let life = world.routers.both[router].life;
        for effect in effects {
            match effect {
                Effect::Ask { id, instance, questions, .. } => {
                    let answer = if world.chance(25, Fault::AgentsSilent) {
                        FactsAnswer::Silent { why: "lost on the way".to_owned() }
                    } else {
                        let forecasts = questions
                            .into_iter()
                            .map(|question| {
                                (question.step, agents::forecast(world, &instance, &question.action))
                            })
                            .collect();
                        let hosts = AgentKind::ALL.iter().map(|agent| (*agent, agents::host())).collect();
                        FactsAnswer::Facts(Facts { forecasts, hosts, ..Facts::default() })
                    };
                    let event = Box::new(Event::Answered { id, answer: Box::new(answer) });
                    world.after(1, 60, Happening::Router { router, life, event });
                }
                Effect::Begin { id, kind, record } => {
                    if let Some(earlier) = Self::earlier(world, id) {
                        let event = Box::new(Event::Used { id, earlier });
                        world.after(1, 15, Happening::Router { router, life, event });
                    } else {
                        Self::write(world, router, life, id, kind, *record);
                    }
                }
                Effect::Write { .. } if Self::is_stopped(world, router) => {
                    world.count(Fault::FormerOwnerWrites);
                    world.routers.both[router].core = None;
                }
                Effect::Write { id, kind, record } => Self::write(world, router, life, id, kind, *record),
                Effect::Answer { id, .. } => {
                    if let Some(index) = world.routers.both[router].holds.remove(&id) {
                        world.routers.settled.insert(index);
                        if world.chance(15, Fault::CommandForgotten) {
                            world.routers.settled.remove(&index);
                            world.after(0, 10_000, Happening::Command(index));
                            // Nobody may have looked at the lease any more.
                            world.after(0, 500, Happening::Lease);
                        }
                    }
                }
                Effect::Find { id } => {
                    let event = Box::new(Event::Found { id, records: world.logged(id) });
                    world.after(1, 50, Happening::Router { router, life, event });
                }
                Effect::WakeAt(at) => {
                    let wait = at.as_millisecond() - Self::clock(world, router).as_millisecond();
                    let at = world.now + u64::try_from(wait).unwrap_or_default() + 1;
                    let this = &mut world.routers.both[router];
                    if this.wake_at.is_none_or(|earlier| earlier > at || earlier <= world.now) {
                        this.wake_at = Some(at);
                        world.at(at, Happening::Wake { router, life });
                    }
                }
            }
        }
    }

    /// The server takes the records of an owner only while no newer one stands in the log. (First records of a command
    /// have another condition; whoever owns the shard hears of them.)
    fn is_stopped(world: &World, router: usize) -> bool {
        let epoch = world.routers.both[router].epoch;
        world.routers.is_followed(epoch, world.now) && !world.policy.mutant("simulated.former-owner-writes")
    }

    /// What the log holds under an id.
    fn earlier(world: &World, id: RemediationId) -> Option<Earlier> {
        match world.standing(id, &RecordKind::Accepted).map(|entry| &entry.record) {
            Some(Record::Accepted(accepted)) => Some(Earlier::Accepted(accepted.command_digest.clone())),
            _ => world.standing(id, &RecordKind::Ended).map(|_| Earlier::Refused),
        }
    }

    fn write(
        world: &mut World,
        router: usize,
        life: u32,
        id: RemediationId,
        kind: RecordKind,
        record: Record,
    ) {
        if world.chance(40, Fault::WriteLost) {
            let event = Box::new(Event::NotRecorded { id, kind });
            world.after(1, 5_000, Happening::Router { router, life, event });
            return;
        }
        let asked_for = match &record {
            Record::ApprovalAsked(asked) => Some(asked.digest.clone()),
            _ => None,
        };
        let (index, is_ours) = world.write(id, &kind, record);
        if let (Some(digest), true) = (asked_for, is_ours) {
            people::ask(world, id, &digest);
        }
        if world.chance(40, Fault::AnswerLost) {
            let event = Box::new(Event::NotRecorded { id, kind });
            world.after(1_000, 5_000, Happening::Router { router, life, event });
            return;
        }
        let entry = &world.log[index];
        let at = world.instant(entry.at);
        let record = Box::new(entry.record.clone());
        let event = Box::new(Event::Recorded { id, kind, at, sequence: index as u64, record });
        world.after(1, 15, Happening::Router { router, life, event });
    }

    /// A record has been written: those that follow the log hear of results, approvals and acceptances.
    pub fn tell(world: &mut World, index: usize) {
        let told = matches!(
            world.log[index].kind,
            RecordKind::Result { .. } | RecordKind::ApprovalAnswered(_) | RecordKind::Accepted
        );
        if !told {
            return;
        }
        for router in 0..2 {
            let this = &world.routers.both[router];
            if this.core.is_some() && !this.dead {
                let life = this.life;
                let late = world.chance(15, Fault::Delayed);
                let (least, most) = if late { (1_000, 6_000) } else { (1, 15) };
                let at = world.now + world.rng.random_range(least..=most);
                let heard = &mut world.routers.both[router].heard_until;
                *heard = at.max(*heard + 1);
                let at = *heard;
                world.at(at, Happening::Followed { router, life, index });
            }
        }
    }

    pub fn followed(world: &mut World, router: usize, life: u32, index: usize) {
        let entry = &world.log[index];
        let at = world.instant(entry.at);
        let event = match entry.kind {
            RecordKind::Accepted => Event::Heard { id: entry.id },
            _ => Event::Recorded {
                id: entry.id,
                kind: entry.kind.clone(),
                at,
                sequence: index as u64,
                record: Box::new(entry.record.clone()),
            },
        };
        Self::event(world, router, life, event);
    }

    pub fn kill(world: &mut World, router: usize) {
        world.count(Fault::RouterKilled);
        let this = &mut world.routers.both[router];
        this.dead = true;
        this.core = None;
        this.life += 1;
        this.holds.clear();
        this.waiting.clear();
        world.after(500, 20_000, Happening::ReviveRouter(router));
    }

    /// Comes back with a new life, and perhaps a wrong clock; or goes on after a pause.
    pub fn revive(world: &mut World, router: usize) {
        if world.chance(4, Fault::ClockSkew) {
            world.routers.both[router].clock_off = world.rng.random_range(-SKEW..=SKEW);
        }
        if world.chance(8, Fault::ClockJump) {
            world.routers.both[router].clock_off = world.rng.random_range(-600_000..=600_000);
        }
        let now = world.now;
        let this = &mut world.routers.both[router];
        this.dead = false;
        this.paused_until = 0;
        this.stale_until = now + FRESH;
        let (life, waiting) = (this.life, std::mem::take(&mut this.waiting));
        // It looks at the kill switch before anything else.
        Self::event(world, router, life, Event::Halted(world.routers.halted));
        for happening in waiting {
            // An old owner goes on as if nothing had happened, for a moment.
            if !matches!(&happening, Happening::Router { event, .. } if matches!(**event, Event::Halted(_))) {
                world.after(0, 50, happening);
            }
        }
    }

    pub fn pause(world: &mut World, router: usize) {
        world.count(Fault::RouterPaused);
        let long = world.rng.random_range(1_000..15_000);
        world.routers.both[router].paused_until = world.now + long;
        world.at(world.now + long, Happening::ReviveRouter(router));
    }

    pub fn halt(world: &mut World, halted: bool) {
        world.routers.halted = halted;
        for router in 0..2 {
            let life = world.routers.both[router].life;
            Self::event(world, router, life, Event::Halted(halted));
        }
    }

    /// Had this owner been followed before then?
    pub fn is_followed(&self, epoch: u64, at: u64) -> bool {
        self.epochs.iter().any(|(other, since)| *other > epoch && *since < at)
    }

    /// Is a command left that its owner has not settled?
    pub fn has_unsettled(&self, many: usize) -> bool {
        (0..many).any(|index| !self.settled.contains(&index))
    }

    /// How much the owner of the shard still holds: open remediations, and arrivals.
    pub fn held_by_owner(&self) -> usize {
        let core = self.owner.and_then(|owner| self.both[owner].core.as_ref());
        core.map_or(0, |core| core.remediations().count() + core.arriving())
    }
}
