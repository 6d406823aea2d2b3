//! What is done with a command that has just arrived.

use std::time::Duration;

use instance_contract::{AnswerStatus, Fault, OverallStatus, subject::RecordKind};
use instance_planner::questions;
use jiff::Timestamp;

use super::Core;
use crate::{
    event::Effect,
    intake::{Arrival, Earlier, Verdict},
    remediation::Record,
};

/// How long a sender's answer may be held up by the agents.
const PATIENCE_AT_INTAKE: Duration = Duration::from_millis(60);

impl Core {
    pub(super) fn arrived(&mut self, mut arrival: Arrival, now: Timestamp, effects: &mut Vec<Effect>) {
        let id = arrival.id();
        if self.arriving.get(&id).is_some() {
            // Delivered again while the first delivery is still being answered: one answer serves both.
            return;
        }
        if let Some(digest) = self.accepted_digest(&id) {
            arrival.earlier = Some(Earlier::Accepted(digest.clone()));
        }
        if self.rules.policy.mutant("engine.ack-before-accepted") {
            let answer = Box::new(arrival.answer(AnswerStatus::Accepted, None, Vec::new()));
            effects.push(Effect::Answer { id, answer, dead_letter: None });
        }
        let place = self.place(&arrival.command.instance, &id);
        match arrival.verdict(&self.rules.policy, now) {
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
            Verdict::Expired(ended) => {
                self.write_arrival(arrival, RecordKind::Ended, Record::Ended(*ended), effects);
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
                self.arriving.insert(arrival);
            }
            Verdict::Proceed => {
                let accepted = arrival.accepted(now, self.policy_and_text(), None);
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
        self.arriving.insert(arrival);
        effects.push(Effect::Begin { id, kind, record: Box::new(record) });
    }
}

fn id_is_taken(arrival: &Arrival, rule: &str, dead_letter: Option<String>) -> Effect {
    let fault = Fault::new("command_id", arrival.command.command_id, rule);
    let answer = arrival.answer(AnswerStatus::Refused, None, vec![fault]);
    Effect::Answer { id: arrival.id(), answer: Box::new(answer), dead_letter }
}
