//! One open remediation in the hands of its owner: the fold, and what is under way but not in the log yet.

use std::{collections::BTreeSet, time::Duration};

use instance_contract::{OverallStatus, Planned, Token, subject::RecordKind};
use instance_planner::{Rejection, plan, questions};
use jiff::{SignedDuration, Timestamp};

use crate::{
    decide::{Decision, Situation, because, decide},
    event::Effect,
    intake::FactsAnswer,
    remediation::{Record, Remediation},
    trace::Ending,
};

/// How long agents may take to answer once a remediation is accepted.
const PATIENCE: Duration = Duration::from_secs(5);
/// Pause before they are asked again, and before a failed write is tried again.
const PAUSE: SignedDuration = SignedDuration::from_secs(2);

#[derive(Debug)]
pub(super) struct Open {
    pub(super) remediation: Remediation,
    pub(super) token: Option<Token>,
    pub(super) wake_at: Option<Timestamp>,
    /// Records on their way to the log. They are not state, and they are not written twice.
    writing: BTreeSet<RecordKind>,
    asking: bool,
    ask_again_at: Option<Timestamp>,
}

impl Open {
    pub(super) fn new(remediation: Remediation) -> Self {
        Self {
            remediation,
            token: None,
            wake_at: None,
            writing: BTreeSet::new(),
            asking: false,
            ask_again_at: None,
        }
    }

    /// Has it gone so far that no other may go first?
    pub(super) fn is_begun(&self) -> bool {
        self.remediation.is_begun() || !self.remediation.asked.is_empty() || !self.writing.is_empty()
    }

    pub(super) fn recorded(&mut self, kind: &RecordKind, at: Timestamp, sequence: u64, record: Record) {
        self.writing.remove(kind);
        self.remediation.fold(kind, at, sequence, record);
    }

    pub(super) fn write_failed(&mut self, kind: &RecordKind, now: Timestamp) {
        self.writing.remove(kind);
        self.wake_at = Some(now + PAUSE);
    }

    /// What to do while it is this one's turn.
    pub(super) fn progress(&mut self, token: Token, halted: bool, now: Timestamp) -> Vec<Effect> {
        self.wake_at = None;
        let id = self.remediation.id();
        if self.remediation.plan.is_none() {
            return self.plan_first(now);
        }
        if !self.writing.is_empty() {
            // A step on its way to the log may start at any moment: nothing is decided as if it were not there.
            return Vec::new();
        }
        let situation = Situation { now, token, halted };
        let mut effects = Vec::new();
        for decision in decide(&self.remediation, &situation) {
            match decision {
                Decision::Write(kind, record) => {
                    if self.writing.insert(kind.clone()) {
                        effects.push(Effect::Write { id, kind, record });
                    }
                }
                Decision::WakeAt(at) => self.wake_no_later_than(at),
            }
        }
        effects
    }

    /// Facts are asked for until the agents answer or the deadline has passed.
    fn plan_first(&mut self, now: Timestamp) -> Vec<Effect> {
        let id = self.remediation.id();
        let deadline = self.remediation.accepted.deadline;
        if self.asking || !self.writing.is_empty() {
            return Vec::new();
        }
        if now > deadline {
            let reason = "the agents gave no answer before the time limit of the remediation".to_owned();
            return self.end(OverallStatus::Failure, reason, now);
        }
        if let Some(again) = self.ask_again_at.filter(|again| now < *again) {
            self.wake_no_later_than(again.min(deadline));
            return Vec::new();
        }
        self.asking = true;
        vec![Effect::Ask {
            id,
            instance: self.remediation.instance().clone(),
            questions: questions(&self.remediation.accepted.command),
            patience: PATIENCE,
        }]
    }

    /// The agents have answered: the plan as a record, or the end.
    pub(super) fn planned(
        &mut self,
        answer: FactsAnswer,
        now: Timestamp,
    ) -> Option<(RecordKind, Box<Record>)> {
        self.asking = false;
        if self.remediation.plan.is_some() {
            return None;
        }
        let made = match answer {
            FactsAnswer::Facts(facts) => {
                plan(&self.remediation.accepted.command, &facts, &self.remediation.policy)
                    .map(|plan| (plan, facts))
            }
            FactsAnswer::Silent { .. } => {
                self.ask_later(now);
                return None;
            }
        };
        let (kind, record) = match made {
            Ok((plan, facts)) => {
                let planned = Planned {
                    schema: Planned::SCHEMA.to_owned(),
                    trace_id: self.remediation.accepted.trace_id.clone(),
                    remediation_id: self.remediation.id(),
                    plan,
                    facts,
                    because: because(&self.remediation, &self.situation(now), 0),
                };
                (RecordKind::Planned, Box::new(Record::Planned(planned)))
            }
            Err(Rejection::NotYet { .. }) => {
                self.ask_later(now);
                return None;
            }
            Err(Rejection::Refused(faults)) => {
                let ending = Ending::refused(OverallStatus::Refused, faults.to_string());
                let Decision::Write(kind, record) = ending.decision(&self.remediation, &self.situation(now))
                else {
                    return None;
                };
                (kind, record)
            }
        };
        self.writing.insert(kind.clone()).then_some((kind, record))
    }

    fn end(&mut self, status: OverallStatus, reason: String, now: Timestamp) -> Vec<Effect> {
        let ending = Ending::refused(status, reason);
        match ending.decision(&self.remediation, &self.situation(now)) {
            Decision::Write(kind, record) if self.writing.insert(kind.clone()) => {
                vec![Effect::Write { id: self.remediation.id(), kind, record }]
            }
            _ => Vec::new(),
        }
    }

    fn ask_later(&mut self, now: Timestamp) {
        let again = now + PAUSE;
        self.ask_again_at = Some(again);
        self.wake_no_later_than(again);
    }

    fn situation(&self, now: Timestamp) -> Situation {
        let token = self.token.unwrap_or(Token { epoch: 0, counter: 0 });
        Situation { now, token, halted: false }
    }

    fn wake_no_later_than(&mut self, at: Timestamp) {
        self.wake_at = Some(self.wake_at.map_or(at, |earlier| earlier.min(at)));
    }
}
