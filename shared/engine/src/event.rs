//! What comes into the core, and what it wants done.

use std::time::Duration;

use instance_contract::{CommandAnswer, InstanceName, RemediationId, subject::RecordKind};
use instance_planner::Question;
use jiff::Timestamp;

use crate::{
    intake::{Arrival, FactsAnswer},
    remediation::{Record, Remediation},
};

/// Something that happened. The time of it is handed in beside it.
#[derive(Debug, Clone)]
pub enum Event {
    /// A legal command was taken from the bus.
    Arrived(Box<Arrival>),
    /// The agents have answered (or not) what a command would change.
    Answered { id: RemediationId, answer: Box<FactsAnswer> },
    /// A record stands in the log: one of ours, an agent's or a person's.
    Recorded { id: RemediationId, kind: RecordKind, at: Timestamp, sequence: u64, record: Box<Record> },
    /// What the log holds of a remediation, folded; `None` when nothing was accepted.
    Found { remediation: Option<Box<Remediation>> },
    /// A write did not succeed, and nothing is known to stand in its place.
    NotRecorded { id: RemediationId, kind: RecordKind },
    /// The kill switch.
    Halted(bool),
    /// Time has passed.
    Tick,
}

/// Something to be done by the shell.
#[derive(Debug, Clone, PartialEq)]
pub enum Effect {
    /// Ask the agents that serve the instance; `patience` is how long an answer may take.
    Ask { id: RemediationId, instance: InstanceName, questions: Vec<Question>, patience: Duration },
    /// Write a record on its own subject, which must not exist yet.
    Write { id: RemediationId, kind: RecordKind, record: Box<Record> },
    /// Fold what the log holds of this remediation: it was accepted, and nobody here is driving it.
    Find { id: RemediationId },
    /// Tell the sender and settle the delivery of this command: done, or a dead letter with its reason.
    Answer { id: RemediationId, answer: Box<CommandAnswer>, dead_letter: Option<String> },
    /// Nothing more to do before this instant, unless something happens.
    WakeAt(Timestamp),
}
