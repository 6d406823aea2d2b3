//! What comes into the core, and what it wants done.

use std::time::Duration;

use instance_contract::{CommandAnswer, InstanceName, RemediationId, subject::RecordKind};
use instance_planner::Question;
use jiff::Timestamp;

use crate::{
    intake::{Arrival, Earlier, FactsAnswer},
    remediation::Record,
    replay::Logged,
};

/// Something that happened. The time of it is handed in beside it.
#[derive(Debug, Clone)]
pub enum Event {
    /// A legal command was taken from the bus.
    Arrived(Box<Arrival>),
    /// The first record of an arrival was not written: its command id was used before.
    Used { id: RemediationId, earlier: Earlier },
    /// The agents have answered (or not) what a command would change.
    Answered { id: RemediationId, answer: Box<FactsAnswer> },
    /// A record stands in the log: one of ours, an agent's or a person's.
    Recorded { id: RemediationId, kind: RecordKind, at: Timestamp, sequence: u64, record: Box<Record> },
    /// An acceptance stands in the log: ours, or that of an owner who did not know yet that it had been followed.
    Heard { id: RemediationId },
    /// What the log held of a remediation when it was read.
    Found { id: RemediationId, records: Vec<Logged> },
    /// A write was not confirmed: nobody knows whether the record stands in the log.
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
    /// Write the first record of a remediation: nothing of it may stand in the log yet, or else [`Event::Used`].
    Begin { id: RemediationId, kind: RecordKind, record: Box<Record> },
    /// Write a record on its own subject, which must not exist yet.
    Write { id: RemediationId, kind: RecordKind, record: Box<Record> },
    /// Read what the log holds of this remediation: nobody here knows it all.
    Find { id: RemediationId },
    /// Tell the sender and settle the delivery of this command: done, or a dead letter with its reason.
    Answer { id: RemediationId, answer: Box<CommandAnswer>, dead_letter: Option<String> },
    /// Nothing more to do before this instant, unless something happens.
    WakeAt(Timestamp),
}

impl Event {
    /// The remediation that it is about. `None` also for a command that has just arrived.
    pub fn remediation(&self) -> Option<RemediationId> {
        match self {
            Self::Used { id, .. }
            | Self::Answered { id, .. }
            | Self::Recorded { id, .. }
            | Self::Heard { id }
            | Self::Found { id, .. }
            | Self::NotRecorded { id, .. } => Some(*id),
            Self::Arrived(_) | Self::Halted(_) | Self::Tick => None,
        }
    }
}

impl Effect {
    /// The remediation that it is for.
    pub fn remediation(&self) -> Option<RemediationId> {
        match self {
            Self::Ask { id, .. }
            | Self::Begin { id, .. }
            | Self::Write { id, .. }
            | Self::Find { id }
            | Self::Answer { id, .. } => Some(*id),
            Self::WakeAt(_) => None,
        }
    }
}
