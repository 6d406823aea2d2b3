//! What a story looks at: the log and the answers.

use std::collections::BTreeMap;

use instance_contract::{AnswerStatus, ApprovalAsked, Token, WorkflowTrace, subject::RecordKind};
use instance_engine::{Logged, Record};

use super::{Desk, Entry, id};

impl Desk {
    /// The tokens of all step commands, in the order of the log.
    pub fn tokens(&self) -> Vec<Token> {
        let of = |entry: &Entry| match &entry.4 {
            Record::Step(command) => Some(command.token),
            _ => None,
        };
        self.log.iter().filter_map(of).collect()
    }

    /// What was asked of people, by number.
    pub fn questions(&self, number: u128) -> Vec<(u32, ApprovalAsked)> {
        let of_it = self.log.iter().filter(|entry| entry.0 == id(number));
        of_it
            .filter_map(|entry| match (&entry.1, &entry.4) {
                (RecordKind::ApprovalAsked(k), Record::ApprovalAsked(asked)) => Some((*k, asked.clone())),
                _ => None,
            })
            .collect()
    }

    /// Step commands in the log, as `step.attempt`.
    pub fn sent(&self) -> Vec<String> {
        self.log
            .iter()
            .filter_map(|entry| match &entry.4 {
                Record::Step(command) => Some(format!("{}.{}", command.step_id, command.attempt)),
                _ => None,
            })
            .collect()
    }

    /// The most step commands that one event has led to.
    pub fn side_by_side(&self) -> usize {
        let mut by_event: BTreeMap<&str, usize> = BTreeMap::new();
        for entry in &self.log {
            if let Record::Step(command) = &entry.4 {
                *by_event.entry(&command.because.event).or_default() += 1;
            }
        }
        by_event.into_values().max().unwrap_or_default()
    }

    /// The log of one remediation.
    pub fn records(&self, number: u128) -> Vec<Logged> {
        let own = self.log.iter().filter(|entry| entry.0 == id(number));
        own.map(|(_, kind, at, seq, record)| (kind.clone(), *at, *seq, record.clone())).collect()
    }

    /// The log of one remediation, folded again, gives the same records.
    pub fn replays(&self, number: u128) -> bool {
        let replayed = instance_engine::replay(&self.records(number));
        !replayed.is_empty() && replayed.iter().all(instance_engine::Replayed::is_same)
    }

    /// How long each step command had waited on purpose, in milliseconds.
    pub fn waits(&self) -> Vec<u64> {
        self.log
            .iter()
            .filter_map(|entry| match &entry.4 {
                Record::Step(command) => Some(command.because.delay_ms),
                _ => None,
            })
            .collect()
    }

    /// Its plan is not in its acceptance, but was made on facts of its turn.
    pub fn is_planned_at_its_turn(&self, number: u128) -> bool {
        self.log.iter().any(|entry| entry.0 == id(number) && matches!(entry.4, Record::Planned(_)))
    }

    pub fn ended(&self, number: u128) -> WorkflowTrace {
        let ended = self.log.iter().find_map(|entry| match (&entry.4, entry.0 == id(number)) {
            (Record::Ended(ended), true) => Some(ended.trace.clone()),
            _ => None,
        });
        ended.expect("the remediation has ended")
    }

    pub fn answers(&self) -> Vec<AnswerStatus> {
        self.answers.iter().map(|(status, _)| *status).collect()
    }

    pub fn places(&self) -> Vec<u32> {
        self.answers.iter().filter_map(|(_, place)| *place).collect()
    }

    pub fn dead_letters(&self) -> usize {
        self.dead
    }
}
