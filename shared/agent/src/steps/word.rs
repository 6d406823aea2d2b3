//! What the ledger is told about a step, by name: each telling has a crash point before it and one after it.

use instance_chassis::crash_point;
use instance_contract::StepCommand;

use super::Settle;
use crate::ledger::undone_by;

/// One thing that the ledger is told.
#[derive(Clone, Copy)]
pub enum Word {
    Intent,
    UndoIntent,
    Done,
    UndoDone,
    /// The answer to one attempt.
    Answer,
}

impl Word {
    pub fn intent(order: &StepCommand) -> Self {
        if undone_by(order).is_some() { Self::UndoIntent } else { Self::Intent }
    }

    pub fn last(order: &StepCommand, how: &Settle) -> Self {
        match how {
            Settle::Final(_) if undone_by(order).is_some() => Self::UndoDone,
            Settle::Final(_) => Self::Done,
            Settle::Unchanged | Settle::Open => Self::Answer,
        }
    }

    pub fn to_write(self) {
        match self {
            Self::Intent => crash_point("agent.intent-to-write"),
            Self::UndoIntent => crash_point("agent.undo-intent-to-write"),
            Self::Done => crash_point("agent.done-to-write"),
            Self::UndoDone => crash_point("agent.undo-done-to-write"),
            Self::Answer => crash_point("agent.answer-to-write"),
        }
    }

    pub fn written(self) {
        match self {
            Self::Intent => crash_point("agent.intent-written"),
            Self::UndoIntent => crash_point("agent.undo-intent-written"),
            Self::Done => crash_point("agent.done-written"),
            Self::UndoDone => crash_point("agent.undo-done-written"),
            Self::Answer => crash_point("agent.answer-written"),
        }
    }
}
