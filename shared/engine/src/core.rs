//! The open remediations of one shard: events in, effects out.

mod open;
mod queue;
mod restarts;

use std::{collections::BTreeMap, time::Duration};

use instance_contract::{
    AnswerStatus, Digest, Facts, Fault, InstanceName, OverallStatus, RemediationId, Token,
    subject::RecordKind,
};
use instance_planner::{Policy, Rejection, plan, questions};
use jiff::Timestamp;

use crate::{
    event::{Effect, Event},
    intake::{Arrival, Earlier, FactsAnswer, Verdict},
    remediation::{Record, Remediation},
    replay::Logged,
};
use open::Open;
use queue::Queues;
use restarts::Restarts;
pub use restarts::is_restart;

/// How long a sender's answer may be held up by the agents.
const PATIENCE_AT_INTAKE: Duration = Duration::from_millis(60);

/// The state of one shard's owner.
#[derive(Debug)]
pub struct Core {
    policy: Policy,
    epoch: u64,
    counter: u64,
    halted: bool,
    arriving: BTreeMap<RemediationId, Arrival>,
    open: BTreeMap<RemediationId, Open>,
    queues: Queues,
    restarts: Restarts,
}

impl Core {
    /// The core of an owner that has just taken its shard at `epoch`.
    pub fn new(policy: Policy, epoch: u64) -> Self {
        Self {
            policy,
            epoch,
            counter: 0,
            halted: false,
            arriving: BTreeMap::new(),
            open: BTreeMap::new(),
            queues: Queues::default(),
            restarts: Restarts::default(),
        }
    }

    /// A restart that stands in the log from before this owner's time: policy counts it.
    pub fn remember_restart(&mut self, instance: &InstanceName, at: Timestamp) {
        if self.policy.mutant("engine.restarts-forgotten") {
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
        for remediation in remediations {
            if remediation.ended.is_none() {
                self.enter(remediation);
            }
        }
        let instances: Vec<InstanceName> = self.queues.instances().cloned().collect();
        let mut effects = Vec::new();
        for instance in instances {
            self.progress(&instance, now, &mut effects);
        }
        effects.extend(self.next_wake().map(Effect::WakeAt));
        effects
    }

    /// State and event to state and effects.
    pub fn on(&mut self, event: Event, now: Timestamp) -> Vec<Effect> {
        let mut effects = Vec::new();
        match event {
            Event::Arrived(arrival) => self.arrived(*arrival, now, &mut effects),
            Event::Answered { id, answer } => self.answered(id, *answer, now, &mut effects),
            Event::Recorded { id, kind, at, sequence, record } => {
                self.recorded(id, &kind, at, sequence, *record, now, &mut effects);
            }
            Event::Found { id, records } => self.found(id, records, now, &mut effects),
            Event::NotRecorded { id, kind } => {
                // Whether it stands there decides what comes next, so the log is looked at. (An arrival is delivered
                // again, but a former owner may have settled it.)
                let is_arriving = self.arriving.remove(&id).is_some();
                if self.policy.mutant("engine.lost-write-not-looked-for") {
                    return effects;
                }
                let is_open = self.open.get_mut(&id).is_some_and(|open| open.doubts(kind));
                if is_arriving || is_open {
                    effects.push(Effect::Find { id });
                }
            }
            Event::Halted(halted) => {
                self.halted = halted && !self.policy.mutant("engine.kill-switch-ignored");
                self.progress_due(None, now, &mut effects);
            }
            Event::Tick => self.progress_due(Some(now), now, &mut effects),
        }
        effects.extend(self.next_wake().map(Effect::WakeAt));
        effects
    }

    /// Open remediations, for status and tests.
    pub fn remediations(&self) -> impl Iterator<Item = &Remediation> {
        self.open.values().map(|open| &open.remediation)
    }

    /// The digest under which a remediation of this id was accepted, when it is open.
    pub fn accepted_digest(&self, id: &RemediationId) -> Option<&Digest> {
        self.open.get(id).map(|open| &open.remediation.accepted.command_digest)
    }

    fn enter(&mut self, remediation: Remediation) {
        let id = remediation.id();
        self.queues.push(remediation.instance(), remediation.priority(), remediation.sequence, id);
        self.open.insert(id, Open::new(remediation));
    }

    fn arrived(&mut self, mut arrival: Arrival, now: Timestamp, effects: &mut Vec<Effect>) {
        let id = arrival.id();
        if self.arriving.contains_key(&id) {
            // Delivered again while the first delivery is still being answered: one answer serves both.
            return;
        }
        if let Some(digest) = self.accepted_digest(&id) {
            arrival.earlier = Some(Earlier::Accepted(digest.clone()));
        }
        if self.policy.mutant("engine.ack-before-accepted") {
            let answer = Box::new(arrival.answer(AnswerStatus::Accepted, None, Vec::new()));
            effects.push(Effect::Answer { id, answer, dead_letter: None });
        }
        let place = self.place(&id);
        match arrival.verdict(&self.policy, now) {
            Verdict::Repeated => {
                if !self.open.contains_key(&id) {
                    // It has ended, or its acceptance was written and the answer to that write was lost.
                    effects.push(Effect::Find { id });
                }
                let answer =
                    arrival.answer(AnswerStatus::Repeated, Some(place.unwrap_or_default()), Vec::new());
                effects.push(Effect::Answer { id, answer: Box::new(answer), dead_letter: None });
            }
            Verdict::Equivocation => {
                let rule = "was used before for a command with other bytes; give a new command its own id";
                let reason = Some("equivocation: the command id was used before with other bytes".to_owned());
                effects.push(id_is_taken(&arrival, rule, reason));
            }
            Verdict::Spent => {
                let rule =
                    "was used before by a command that was refused; give the corrected command its own id";
                effects.push(id_is_taken(&arrival, rule, None));
            }
            Verdict::Expired(reason) => {
                let fault = Fault::new("issued_at", arrival.command.issued_at, reason.clone());
                let ended = arrival.ended(now, OverallStatus::Expired, reason, vec![fault]);
                self.write_arrival(arrival, RecordKind::Ended, Record::Ended(ended), effects);
            }
            Verdict::Refused(faults) => {
                let ended = arrival.ended(now, OverallStatus::Refused, faults.to_string(), faults.0);
                self.write_arrival(arrival, RecordKind::Ended, Record::Ended(ended), effects);
            }
            Verdict::Proceed if self.queues.is_free(&arrival.command.instance) => {
                effects.push(Effect::Ask {
                    id,
                    instance: arrival.command.instance.clone(),
                    questions: questions(&arrival.command),
                    patience: PATIENCE_AT_INTAKE,
                });
                self.arriving.insert(id, arrival);
            }
            Verdict::Proceed => {
                let accepted = arrival.accepted(now, &self.policy, None);
                self.write_arrival(arrival, RecordKind::Accepted, Record::Accepted(accepted), effects);
            }
        }
    }

    fn write_arrival(
        &mut self,
        arrival: Arrival,
        kind: RecordKind,
        record: Record,
        effects: &mut Vec<Effect>,
    ) {
        let id = arrival.id();
        self.arriving.insert(id, arrival);
        effects.push(Effect::Write { id, kind, record: Box::new(record) });
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
            let (kind, record) = match answer {
                // Others have come meanwhile: by its turn these facts may be old.
                _ if !self.is_alone(&id, &arrival.command.instance) => {
                    accept(arrival, now, &self.policy, None)
                }
                FactsAnswer::Facts(facts) => match plan(&arrival.command, &facts, &self.policy) {
                    Ok(plan) => accept(arrival, now, &self.policy, Some((plan, facts))),
                    Err(Rejection::NotYet { .. }) => accept(arrival, now, &self.policy, None),
                    Err(Rejection::Refused(faults)) => {
                        let ended = arrival.ended(now, OverallStatus::Refused, faults.to_string(), faults.0);
                        (RecordKind::Ended, Record::Ended(ended))
                    }
                },
                FactsAnswer::Silent { .. } => accept(arrival, now, &self.policy, None),
            };
            effects.push(Effect::Write { id, kind, record: Box::new(record) });
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
        if let Some((kind, record)) = open.planned(answer, now) {
            effects.push(Effect::Write { id, kind, record });
        }
    }

    /// Is nothing else open or arriving on the instance, so that it is this one's turn at once?
    fn is_alone(&self, id: &RemediationId, instance: &InstanceName) -> bool {
        let others = self.arriving.iter().filter(|(other, _)| *other != id);
        self.queues.is_free(instance)
            && others.into_iter().all(|(_, other)| other.command.instance != *instance)
    }

    /// Facts also hold the time, and when the instance was restarted before.
    fn with_history(&self, id: &RemediationId, answer: FactsAnswer, now: Timestamp) -> FactsAnswer {
        let arriving = self.arriving.get(id).map(|arrival| &arrival.command.instance);
        let instance = arriving.or_else(|| self.open.get(id).map(|open| open.remediation.instance()));
        match (answer, instance) {
            (FactsAnswer::Facts(facts), Some(instance)) => {
                let restarts = self.restarts.within_an_hour(instance, now);
                FactsAnswer::Facts(Facts { taken_at: Some(now), restarts, ..facts })
            }
            (answer, _) => answer,
        }
    }

    /// The log says what stands in it. What was folded meanwhile stays folded.
    fn found(&mut self, id: RemediationId, records: Vec<Logged>, now: Timestamp, effects: &mut Vec<Effect>) {
        if let Some(open) = self.open.get_mut(&id) {
            open.found(records, now);
        } else if let Some(found) = Remediation::replay(records).filter(|found| found.ended.is_none()) {
            self.enter(found);
        }
        let Some(open) = self.open.get(&id) else { return };
        let instance = open.remediation.instance().clone();
        if open.remediation.ended.is_some() {
            self.open.remove(&id);
            self.queues.remove(&instance, &id);
        }
        self.progress(&instance, now, effects);
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
                self.open.remove(&id);
                self.queues.remove(&instance, &id);
            }
            self.progress(&instance, now, effects);
            return;
        }
        match record {
            Record::Accepted(accepted) => {
                self.accepted(id, Remediation::begin(accepted, sequence), now, effects);
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
            let place = self.place(&id).unwrap_or_default();
            let answer = arrival.answer(AnswerStatus::Accepted, Some(place), Vec::new());
            effects.push(Effect::Answer { id, answer: Box::new(answer), dead_letter: None });
        }
        self.progress(&instance, now, effects);
    }

    /// How many remediations of the same instance go first.
    fn place(&self, id: &RemediationId) -> Option<u32> {
        self.queues.place(id, |id| self.open.get(id).is_some_and(Open::is_begun))
    }

    /// Whose turn it is on this instance.
    fn head(&self, instance: &InstanceName) -> Option<RemediationId> {
        let overtaken = self.policy.mutant("engine.turn-lost-midway");
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
        effects.extend(open.progress(token, self.halted, now));
    }

    /// Move every instance whose head is due by `due`, or all of them.
    fn progress_due(&mut self, due: Option<Timestamp>, now: Timestamp, effects: &mut Vec<Effect>) {
        let is_due = |open: &Open| due.is_none_or(|due| open.wake_at.is_some_and(|wake| wake <= due));
        let instances: Vec<InstanceName> = self
            .open
            .values()
            .filter(|open| is_due(open))
            .map(|open| open.remediation.instance().clone())
            .collect();
        for instance in instances {
            self.progress(&instance, now, effects);
        }
    }

    fn next_wake(&self) -> Option<Timestamp> {
        self.open.values().filter_map(|open| open.wake_at).min()
    }
}

fn id_is_taken(arrival: &Arrival, rule: &str, dead_letter: Option<String>) -> Effect {
    let fault = Fault::new("command_id", arrival.command.command_id, rule);
    let answer = arrival.answer(AnswerStatus::Refused, None, vec![fault]);
    Effect::Answer { id: arrival.id(), answer: Box::new(answer), dead_letter }
}

fn accept(
    arrival: &Arrival,
    now: Timestamp,
    policy: &Policy,
    plan: Option<(instance_contract::Plan, instance_contract::Facts)>,
) -> (RecordKind, Record) {
    (RecordKind::Accepted, Record::Accepted(arrival.accepted(now, policy, plan)))
}
