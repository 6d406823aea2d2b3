//! The open remediations of one shard: events in, effects out.

mod arrivals;
mod arrive;
mod open;
mod queue;
mod restarts;
mod rules;
mod wakes;

use std::collections::{BTreeMap, BTreeSet};

use instance_contract::{
    AnswerStatus, Digest, Facts, InstanceName, OverallStatus, RemediationId, Token, subject::RecordKind,
};
use instance_planner::{Policy, Rejection, plan};
use jiff::Timestamp;

use crate::{
    event::{Effect, Event},
    intake::{Arrival, FactsAnswer},
    remediation::{Record, Remediation},
    replay::Logged,
};
use arrivals::Arrivals;
use open::Open;
use queue::Queues;
use restarts::Restarts;
use rules::Rules;
use wakes::Wakes;

pub(crate) use open::planned_on;
pub use restarts::{RESTARTS_KEPT, is_restart};

/// The state of one shard's owner.
#[derive(Debug)]
pub struct Core {
    rules: Rules,
    epoch: u64,
    counter: u64,
    halted: bool,
    arriving: Arrivals,
    open: BTreeMap<RemediationId, Open>,
    queues: Queues,
    wakes: Wakes,
    restarts: Restarts,
}

impl Core {
    /// The core of an owner that has just taken its shard at `epoch`.
    pub fn new(policy: Policy, epoch: u64) -> Self {
        Self {
            rules: Rules::new(policy),
            epoch,
            counter: 0,
            halted: false,
            arriving: Arrivals::default(),
            open: BTreeMap::new(),
            queues: Queues::default(),
            wakes: Wakes::default(),
            restarts: Restarts::default(),
        }
    }

    /// A restart that stands in the log from before this owner's time: policy counts it.
    pub fn remember_restart(&mut self, instance: &InstanceName, at: Timestamp) {
        if self.rules.policy.mutant("engine.restarts-forgotten") {
            return;
        }
        self.restarts.add(instance, at);
    }

    /// Continue what a former owner has begun. Ended remediations are left out.
    pub fn adopt(
        &mut self,
        remediations: impl IntoIterator<Item = Remediation>,
        now: Timestamp,
    ) -> Vec<Effect> {
        let mut instances = BTreeSet::new();
        for remediation in remediations {
            if remediation.ended.is_none() {
                instances.insert(remediation.instance().clone());
                self.enter(remediation);
            }
        }
        let mut effects = Vec::new();
        for instance in instances {
            self.progress(&instance, now, &mut effects);
        }
        effects.extend(self.wakes.soonest().map(Effect::WakeAt));
        effects
    }

    /// A remediation from its records, as [`Core::adopt`] wants it. `None` without `accepted`.
    pub fn replay(&self, records: Vec<Logged>) -> Option<Remediation> {
        self.rules.replay(records)
    }

    /// State and event to state and effects.
    pub fn on(&mut self, event: Event, now: Timestamp) -> Vec<Effect> {
        let mut effects = Vec::new();
        match event {
            Event::Arrived(arrival) => self.arrived(*arrival, now, &mut effects),
            Event::Used { id, earlier } => {
                if let Some(arrival) = self.arriving.remove(&id) {
                    self.arrived(Arrival { earlier: Some(earlier), ..arrival }, now, &mut effects);
                }
            }
            Event::Answered { id, answer } => self.answered(id, *answer, now, &mut effects),
            Event::Recorded { id, kind, at, sequence, record } => {
                self.recorded(id, &kind, at, sequence, *record, now, &mut effects);
            }
            Event::Heard { id } => {
                // Its command may be settled already: who hears of it last must go on with it.
                if !self.open.contains_key(&id) && self.arriving.get(&id).is_none() {
                    effects.push(Effect::Find { id });
                }
            }
            Event::Found { id, records } => self.found(id, records, now, &mut effects),
            Event::NotRecorded { id, kind } => {
                // Whether it stands there decides what comes next, so the log is looked at. (An arrival is delivered
                // again, but a former owner may have settled it.)
                let is_arriving = self.arriving.remove(&id).is_some();
                if self.rules.policy.mutant("engine.lost-write-not-looked-for") {
                    return effects;
                }
                let is_open = self.open.get_mut(&id).is_some_and(|open| open.doubts(kind));
                if is_arriving || is_open {
                    effects.push(Effect::Find { id });
                }
            }
            Event::Halted(halted) => {
                self.halted = halted && !self.rules.policy.mutant("engine.kill-switch-ignored");
                let all = self.open.keys().copied().collect();
                self.look_again(all, now, &mut effects);
            }
            Event::Tick => self.look_again(self.wakes.due(now), now, &mut effects),
        }
        effects.extend(self.wakes.soonest().map(Effect::WakeAt));
        effects
    }

    /// Open remediations, for status and tests.
    pub fn remediations(&self) -> impl Iterator<Item = &Remediation> {
        self.open.values().map(|open| &open.remediation)
    }

    /// How many commands have arrived and are not answered yet.
    pub fn arriving(&self) -> usize {
        self.arriving.len()
    }

    /// The digest of the command that has arrived under this id and is not answered yet.
    pub fn arriving_digest(&self, id: &RemediationId) -> Option<&Digest> {
        self.arriving.get(id).map(|arrival| &arrival.digest)
    }

    /// One open remediation.
    pub fn remediation(&self, id: &RemediationId) -> Option<&Remediation> {
        self.open.get(id).map(|open| &open.remediation)
    }

    /// Restarts that policy still counts, by instance; see [`RESTARTS_KEPT`].
    pub fn restarts(&self) -> impl Iterator<Item = (&InstanceName, Timestamp)> {
        self.restarts.iter()
    }

    /// The digest under which a remediation of this id was accepted, when it is open.
    pub fn accepted_digest(&self, id: &RemediationId) -> Option<&Digest> {
        self.open.get(id).map(|open| &open.remediation.accepted.command_digest)
    }

    fn enter(&mut self, mut remediation: Remediation) {
        let id = remediation.id();
        remediation.slim();
        self.queues.push(remediation.instance(), remediation.priority(), remediation.sequence, id);
        self.open.insert(id, Open::new(remediation));
    }

    fn answered(
        &mut self,
        id: RemediationId,
        answer: FactsAnswer,
        now: Timestamp,
        effects: &mut Vec<Effect>,
    ) {
        let answer = self.with_history(&id, answer, now);
        if let Some(arrival) = self.arriving.get(&id) {
            let rules = self.policy_and_text();
            let (kind, record) = match answer {
                // Others have come meanwhile: by its turn these facts may be old.
                _ if !self.is_alone(&arrival.command.instance) => accept(arrival, now, rules, None),
                FactsAnswer::Facts(facts) => match plan(&arrival.command, &facts, rules.0) {
                    Ok(plan) => accept(arrival, now, rules, Some((plan, facts))),
                    Err(Rejection::NotYet { .. }) => accept(arrival, now, rules, None),
                    Err(Rejection::Refused(faults)) => {
                        let ended = arrival.ended(now, OverallStatus::Refused, faults.to_string(), faults.0);
                        (RecordKind::Ended, Record::Ended(ended))
                    }
                },
                FactsAnswer::Silent { .. } => accept(arrival, now, rules, None),
            };
            effects.push(Effect::Begin { id, kind, record: Box::new(record) });
            return;
        }
        let instance = self.open.get(&id).map(|open| open.remediation.instance().clone());
        let is_its_turn = instance.is_some_and(|instance| self.head(&instance) == Some(id));
        let Some(open) = self.open.get_mut(&id) else { return };
        if !is_its_turn {
            // Another one has come to go first: these facts will be old.
            open.forget_answer();
            return;
        }
        let former = open.wake_at;
        if let Some((kind, record)) = open.planned(answer, now) {
            effects.push(Effect::Write { id, kind, record });
        }
        self.wakes.change(id, former, open.wake_at);
    }

    /// Is nothing else open or arriving on the instance, so that it is the turn of the one that has arrived?
    fn is_alone(&self, instance: &InstanceName) -> bool {
        self.queues.is_free(instance) && self.arriving.of(instance) == 1
    }

    fn policy_and_text(&self) -> (&Policy, &str) {
        (&self.rules.policy, &self.rules.text)
    }

    /// Facts also hold the time, and when the instance was restarted before.
    fn with_history(&self, id: &RemediationId, answer: FactsAnswer, now: Timestamp) -> FactsAnswer {
        let arriving = self.arriving.get(id).map(|arrival| &arrival.command.instance);
        let instance = arriving.or_else(|| self.open.get(id).map(|open| open.remediation.instance()));
        match (answer, instance) {
            (FactsAnswer::Facts(facts), Some(instance)) => {
                let restarts = self.restarts.of(instance, now);
                FactsAnswer::Facts(Facts { taken_at: Some(now), restarts, ..facts })
            }
            (answer, _) => answer,
        }
    }

    /// The log says what stands in it. What was folded meanwhile stays folded.
    fn found(&mut self, id: RemediationId, records: Vec<Logged>, now: Timestamp, effects: &mut Vec<Effect>) {
        if let Some(open) = self.open.get_mut(&id) {
            open.found(records, now);
        } else if let Some(found) = self.rules.replay(records).filter(|found| found.ended.is_none()) {
            self.enter(found);
        }
        let Some(open) = self.open.get(&id) else { return };
        let instance = open.remediation.instance().clone();
        if open.remediation.ended.is_some() {
            self.leave(&instance, &id);
        }
        self.progress(&instance, now, effects);
    }

    fn leave(&mut self, instance: &InstanceName, id: &RemediationId) {
        if self.rules.policy.mutant("engine.ended-kept") {
            return self.queues.remove(instance, id);
        }
        if let Some(open) = self.open.remove(id) {
            self.wakes.change(*id, open.wake_at, None);
        }
        self.queues.remove(instance, id);
    }

    #[expect(clippy::too_many_arguments, reason = "a record is its kind, time, place and body")]
    fn recorded(
        &mut self,
        id: RemediationId,
        kind: &RecordKind,
        at: Timestamp,
        sequence: u64,
        record: Record,
        now: Timestamp,
        effects: &mut Vec<Effect>,
    ) {
        if let Some(open) = self.open.get_mut(&id) {
            let instance = open.remediation.instance().clone();
            if is_restart(&record) {
                self.restarts.add(&instance, at);
            }
            open.recorded(kind, at, sequence, record);
            if open.remediation.ended.is_some() {
                self.leave(&instance, &id);
            }
            self.progress(&instance, now, effects);
            return;
        }
        match record {
            Record::Accepted(accepted) => {
                self.accepted(id, self.rules.begin(accepted, sequence), now, effects);
            }
            Record::Ended(ended) => {
                let Some(arrival) = self.arriving.remove(&id) else { return };
                let status = match ended.trace.overall_status {
                    OverallStatus::Expired => AnswerStatus::Expired,
                    _ => AnswerStatus::Refused,
                };
                let answer = arrival.answer(status, None, ended.trace.faults);
                effects.push(Effect::Answer { id, answer: Box::new(answer), dead_letter: None });
                self.progress(&arrival.command.instance, now, effects);
            }
            // Of a remediation that has ended, or that another owner accepted: it is in the log, and that is enough.
            _ => {}
        }
    }

    fn accepted(
        &mut self,
        id: RemediationId,
        remediation: Remediation,
        now: Timestamp,
        effects: &mut Vec<Effect>,
    ) {
        let instance = remediation.instance().clone();
        self.enter(remediation);
        if let Some(arrival) = self.arriving.remove(&id) {
            let place = self.place(&instance, &id).unwrap_or_default();
            let answer = arrival.answer(AnswerStatus::Accepted, Some(place), Vec::new());
            effects.push(Effect::Answer { id, answer: Box::new(answer), dead_letter: None });
        }
        self.progress(&instance, now, effects);
    }

    /// How many remediations of the same instance go first.
    fn place(&self, instance: &InstanceName, id: &RemediationId) -> Option<u32> {
        self.queues.place(instance, id, |id| self.open.get(id).is_some_and(Open::is_begun))
    }

    /// Whose turn it is on this instance.
    fn head(&self, instance: &InstanceName) -> Option<RemediationId> {
        let overtaken = self.rules.policy.mutant("engine.turn-lost-midway");
        self.queues.head(instance, |id| self.open.get(id).is_some_and(Open::is_begun) && !overtaken)
    }

    /// Move the remediation whose turn it is on this instance.
    fn progress(&mut self, instance: &InstanceName, now: Timestamp, effects: &mut Vec<Effect>) {
        let Some(id) = self.head(instance) else { return };
        let Some(open) = self.open.get_mut(&id) else { return };
        let (epoch, counter) = (self.epoch, &mut self.counter);
        if !open.is_begun() {
            // It may have had its turn before and lost it to one that has acted since.
            open.token = open.token.filter(|token| token.counter == *counter);
        }
        let token = *open.token.get_or_insert_with(|| {
            *counter += 1;
            Token { epoch, counter: *counter }
        });
        let former = open.wake_at;
        let restarts = self.restarts.of(instance, now);
        match open.judged_again(restarts, now) {
            Some(end) => effects.push(end),
            None => effects.extend(open.progress(token, self.halted, now)),
        }
        self.wakes.change(id, former, open.wake_at);
    }

    /// Move the instances of these.
    fn look_again(&mut self, ids: Vec<RemediationId>, now: Timestamp, effects: &mut Vec<Effect>) {
        let mut instances = BTreeSet::new();
        for id in ids {
            let Some(open) = self.open.get_mut(&id) else { continue };
            // Whoever is not at the head any more has no wish of its own: it is looked at when its turn comes.
            self.wakes.change(id, open.wake_at.take(), None);
            instances.insert(open.remediation.instance().clone());
        }
        for instance in instances {
            self.progress(&instance, now, effects);
        }
    }
}

fn accept(
    arrival: &Arrival,
    now: Timestamp,
    policy: (&Policy, &str),
    plan: Option<(instance_contract::Plan, instance_contract::Facts)>,
) -> (RecordKind, Record) {
    (RecordKind::Accepted, Record::Accepted(arrival.accepted(now, policy, plan)))
}
