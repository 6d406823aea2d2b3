//! What goes in and what comes out.

use std::collections::BTreeMap;

use instance_contract::{
    Accepted, AgentKind, CommandId, Finding, IncidentAcknowledged, IncidentClosed, IncidentId,
    IncidentOpened, IncidentOutcome, InstanceName, IrisMessage, Planned, RemediationCommand, RemediationId,
    WorkflowTrace,
    subject::{IncidentRecord, Subject, incident},
};
use jiff::Timestamp;
use serde_json::Value;

use crate::{
    answer::Need,
    consult::{Advice, Consultation},
};

/// What was found out: name and value (a text, a number, yes or no).
pub type FactMap = BTreeMap<String, Value>;

/// Something has happened.
#[derive(Debug)]
pub enum Event<'a> {
    /// An entry of a log was published. May come more than once.
    Entry(&'a IrisMessage),
    /// An entry was published longer ago than anything is done about by itself. May come more than once.
    Stale(&'a IrisMessage),
    /// The answer to [`Action::Gather`].
    Gathered { incident: IncidentId, gathered: Gathered },
    /// The answer to [`Action::Consult`].
    Advised { incident: IncidentId, advice: Advice },
    /// A router has taken a command, whoever asked for it.
    Accepted(&'a Accepted),
    /// The plan of a command that had to wait.
    Planned(&'a Planned),
    /// A step of a remediation was sent to its agent, whoever asked for it. May come more than once.
    Stepped(RemediationId),
    /// A remediation is over, whoever asked for it. May come more than once.
    Ended(&'a WorkflowTrace),
    /// A person has seen an incident.
    Acknowledged(&'a IncidentAcknowledged),
    /// Time has passed.
    Tick,
}

/// What came of asking the agents.
#[derive(Debug, Clone, PartialEq)]
pub enum Gathered {
    /// What the agents said when they were asked for facts.
    Answers(BTreeMap<AgentKind, Value>),
    /// Nobody serves the instance with that agent, so nobody could act either.
    NotServed(String),
    /// Who is served has given no answer: it may be known later.
    Silent {
        why: String,
        /// Can nothing be done without who was silent?
        required: bool,
        /// What the others said: enough when the time is over, unless it was required.
        answers: BTreeMap<AgentKind, Value>,
    },
}

/// Something is to be done. The order counts.
#[derive(Debug, Clone, PartialEq)]
pub enum Action {
    /// Ask the agents of the instance for facts; answer with [`Event::Gathered`], whatever comes of it: nobody is asked again before.
    Gather { incident: IncidentId, instance: InstanceName, needs: Vec<Need> },
    /// Ask a model; answer with [`Event::Advised`]. Only where the limits say that there is one.
    Consult { incident: IncidentId, consultation: Box<Consultation> },
    /// Write a record on its subject, which is written once.
    Record { incident: IncidentId, subject: Subject, record: Box<Record> },
    /// Publish a command. The same one may be published again after a death.
    Publish { incident: IncidentId, command: Box<RemediationCommand> },
}

/// One record of the log of incidents.
#[expect(clippy::large_enum_variant, reason = "where many of them wait they are boxed: `Action::Record`")]
#[derive(Debug, Clone, PartialEq)]
pub enum Record {
    Opened(IncidentOpened),
    Finding(Finding),
    Outcome(IncidentOutcome),
    Acknowledged(IncidentAcknowledged),
    Closed(IncidentClosed),
}

impl Record {
    /// Reads a record of that kind.
    pub fn read(kind: IncidentRecord, payload: &[u8]) -> Result<Self, serde_json::Error> {
        Ok(match kind {
            IncidentRecord::Opened => Self::Opened(serde_json::from_slice(payload)?),
            IncidentRecord::Finding(_) => Self::Finding(serde_json::from_slice(payload)?),
            IncidentRecord::Outcome(_) => Self::Outcome(serde_json::from_slice(payload)?),
            IncidentRecord::Acknowledged => Self::Acknowledged(serde_json::from_slice(payload)?),
            IncidentRecord::Closed => Self::Closed(serde_json::from_slice(payload)?),
        })
    }

    /// As it is written.
    pub fn to_json(&self) -> Result<Vec<u8>, serde_json::Error> {
        match self {
            Self::Opened(record) => serde_json::to_vec(record),
            Self::Finding(record) => serde_json::to_vec(record),
            Self::Outcome(record) => serde_json::to_vec(record),
            Self::Acknowledged(record) => serde_json::to_vec(record),
            Self::Closed(record) => serde_json::to_vec(record),
        }
    }
}

impl Action {
    pub(crate) fn record(
        instance: &InstanceName,
        id: IncidentId,
        kind: IncidentRecord,
        record: Record,
    ) -> Self {
        Self::Record { incident: id, subject: incident(instance, id, kind), record: Box::new(record) }
    }

    /// The incident that it is about.
    pub fn incident(&self) -> IncidentId {
        match self {
            Self::Gather { incident, .. }
            | Self::Consult { incident, .. }
            | Self::Record { incident, .. }
            | Self::Publish { incident, .. } => *incident,
        }
    }
}

/// A dry run and what it said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct DryRun {
    pub(crate) command: CommandId,
    pub(crate) asked_at: Timestamp,
    pub(crate) needs_approval: bool,
}
