//! What is written down, and what it says about a step.

use instance_contract::{Attempt, Digest, InstanceName, StepCommand, StepKey, Token, ToolResult};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::agent::{Applied, Prepared};

/// One record of the ledger, a JSON object.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "record", rename_all = "snake_case")]
pub enum Record {
    Intent(Box<Intent>),
    Done(Box<Done>),
    Answered(Box<Answered>),
    /// Written by compaction: the highest token that the dropped records of an instance held.
    Fence {
        instance: InstanceName,
        token: Token,
    },
}

/// An effect is about to happen.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Intent {
    /// The whole step command: a later undo may have to ask what came of it.
    pub order: StepCommand,
    pub prepared: Prepared,
    pub at: Timestamp,
}

/// The last word about a step key.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Done {
    pub key: StepKey,
    /// [`content_digest`] of the command.
    pub digest: Digest,
    pub instance: InstanceName,
    pub token: Token,
    pub result: ToolResult,
    /// What an undo has to take back; `None` when nothing was changed.
    pub effect: Option<Effect>,
    /// The step that this one took back, and that must never run again.
    pub undoes: Option<StepKey>,
    pub at: Timestamp,
}

/// A change that was made, enough to take it back.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Effect {
    pub prepared: Prepared,
    pub applied: Applied,
}

/// The answer to one attempt that leaves the key open for others.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Answered {
    pub key: StepKey,
    pub digest: Digest,
    pub instance: InstanceName,
    pub token: Token,
    pub attempt: Attempt,
    pub result: ToolResult,
    /// Is it known that nothing is changed? Then an intent of the key is over; else it stays and must be probed.
    pub unchanged: bool,
    pub at: Timestamp,
}

/// What the ledger says about a step key.
#[derive(Debug, Clone, PartialEq)]
pub enum State {
    /// No effect was begun, or each one begun is known not to have happened.
    Nothing,
    /// An effect may have happened.
    Intent(Box<Intent>),
    /// The last word.
    Done(Box<Done>),
}

impl Record {
    /// The step that the record is about.
    pub fn key(&self) -> Option<StepKey> {
        match self {
            Self::Intent(intent) => Some(intent.order.key()),
            Self::Done(done) => Some(done.key.clone()),
            Self::Answered(answered) => Some(answered.key.clone()),
            Self::Fence { .. } => None,
        }
    }

    pub fn at(&self) -> Option<Timestamp> {
        match self {
            Self::Intent(intent) => Some(intent.at),
            Self::Done(done) => Some(done.at),
            Self::Answered(answered) => Some(answered.at),
            Self::Fence { .. } => None,
        }
    }

    pub fn token(&self) -> (&InstanceName, Token) {
        match self {
            Self::Intent(intent) => (&intent.order.instance, intent.order.token),
            Self::Done(done) => (&done.instance, done.token),
            Self::Answered(answered) => (&answered.instance, answered.token),
            Self::Fence { instance, token } => (instance, *token),
        }
    }
}

/// What a step command asks for, without what may differ from attempt to attempt. A second command under the same key
/// with another digest is not a repetition.
pub fn content_digest(order: &StepCommand) -> Digest {
    let mut content = order.clone();
    content.attempt = Attempt::FIRST;
    content.not_after = Timestamp::UNIX_EPOCH;
    content.token = Token { epoch: 0, counter: 0 };
    // A person may agree between two attempts.
    content.force_agreed = false;
    content.because.now = Timestamp::UNIX_EPOCH;
    content.because.event = String::new();
    content.because.delay_ms = 0;
    Digest::of(&serde_json::to_vec(&content).expect("a step command is plain data"))
}
