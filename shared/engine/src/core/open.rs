//! One open remediation in the hands of its owner: the fold, and what is under way but not in the log yet.

use std::{collections::BTreeSet, time::Duration};

use instance_contract::{Facts, Planned, Token, subject::RecordKind};
use instance_planner::{Rejection, plan, questions};
use jiff::{SignedDuration, Timestamp};

use crate::{
    decide::{Decision, Situation, because, decide, too_soon},
    event::Effect,
    intake::FactsAnswer,
    remediation::{Record, Remediation},
    replay::Logged,
    trace::{Ending, Unplanned},
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
    /// Of those on their way, the ones whose fate is not known, and how many readings of the log are under way.
    doubtful: Vec<RecordKind>,
    finding: u32,
    resting_until: Option<Timestamp>,
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
            doubtful: Vec::new(),
            finding: 0,
            resting_until: None,
            asking: false,
            ask_again_at: None,
        }
    }

    /// Has it gone so far that no other may go first? One that waits for a person has not: nothing is done yet, and the
    /// person's yes is held to what is true when its turn comes again.
    pub(super) fn is_begun(&self) -> bool {
        let keeps_its_turn = self.remediation.policy.mutant("engine.asked-keeps-its-turn");
        self.remediation.is_begun()
            || !self.writing.is_empty()
            || (keeps_its_turn && !self.remediation.asked.is_empty())
    }

    pub(super) fn recorded(&mut self, kind: &RecordKind, at: Timestamp, sequence: u64, record: Record) {
        self.writing.remove(kind);
        self.remediation.fold(kind, at, sequence, record);
    }

    /// Nobody knows whether this record stands in the log. Nothing is decided until the log has been read again.
    pub(super) fn doubts(&mut self, kind: RecordKind) -> bool {
        self.doubtful.push(kind);
        self.finding += 1;
        true
    }

    /// The log has been read. What is not in it is written again, after a pause.
    pub(super) fn found(&mut self, records: Vec<Logged>, now: Timestamp) {
        for (kind, at, sequence, record) in records {
            self.recorded(&kind, at, sequence, record);
        }
        self.finding = self.finding.saturating_sub(1);
        if self.finding == 0 {
            // No later doubt is being looked into.
            for kind in self.doubtful.drain(..) {
                self.writing.remove(&kind);
            }
            self.resting_until = Some(now + PAUSE);
        }
    }

    /// A plan that was made before its turn, or has lost its turn while a person was asked, is held to the restarts of its
    /// instance once more: another remediation may have gone first. The end, where it comes too soon.
    pub(super) fn judged_again(&mut self, restarts: Vec<Timestamp>, now: Timestamp) -> Option<Effect> {
        if self.is_begun()
            || self.remediation.ended.is_some()
            || self.remediation.policy.mutant("engine.judged-once")
        {
            return None;
        }
        let facts = Facts { taken_at: Some(now), restarts, ..Facts::default() };
        let ending = too_soon(&self.remediation, facts)?;
        let id = self.remediation.id();
        self.end(ending, now).map(|(kind, record)| Effect::Write { id, kind, record })
    }

    /// What to do while it is this one's turn.
    pub(super) fn progress(&mut self, token: Token, halted: bool, now: Timestamp) -> Vec<Effect> {
        self.wake_at = None;
        let id = self.remediation.id();
        if let Some(until) = self.resting_until.filter(|until| now < *until) {
            self.wake_no_later_than(until);
            return Vec::new();
        }
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
            // Whoever was asked in vain is to be asked again.
            let why = self.ask_again_at.map_or(Unplanned::NoTurn, |_| Unplanned::Silence);
            let end = self.end(Ending::unplanned(why), now);
            return end.map(|(kind, record)| Effect::Write { id, kind, record }).into_iter().collect();
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

    /// The agents have answered when it was not this one's turn any more. They are asked again when it is.
    pub(super) fn forget_answer(&mut self) {
        self.asking = false;
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
        let FactsAnswer::Facts(facts) = answer else {
            self.ask_later(now);
            return None;
        };
        let (kind, record) = match planned_on(&self.remediation, &facts, &self.situation(now)) {
            Ok(planned) => (RecordKind::Planned, Box::new(Record::Planned(planned))),
            Err(Rejection::NotYet { .. }) => {
                self.ask_later(now);
                return None;
            }
            Err(Rejection::Refused(faults)) => {
                return self.end(Ending::unplanned(Unplanned::Refused(facts, faults.to_string())), now);
            }
        };
        self.writing.insert(kind.clone()).then_some((kind, record))
    }

    fn end(&mut self, ending: Ending<'_>, now: Timestamp) -> Option<(RecordKind, Box<Record>)> {
        match ending.decision(&self.remediation, &self.situation(now)) {
            Decision::Write(kind, record) => self.writing.insert(kind.clone()).then_some((kind, record)),
            Decision::WakeAt(_) => None,
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

/// The plan of a remediation at its turn, on these facts.
pub(crate) fn planned_on(
    remediation: &Remediation,
    facts: &Facts,
    situation: &Situation,
) -> Result<Planned, Rejection> {
    let plan = plan(&remediation.accepted.command, facts, &remediation.policy)?;
    Ok(Planned {
        schema: Planned::SCHEMA.to_owned(),
        trace_id: remediation.accepted.trace_id.clone(),
        remediation_id: remediation.id(),
        plan,
        facts: facts.clone(),
        because: because(remediation, situation, 0),
    })
}
