//! What the agents' disks remember of each step.

use std::collections::{BTreeMap, BTreeSet};

use instance_contract::{Attempt, StepKey, ToolResult};

/// What a step is about to change.
#[derive(Debug, Clone)]
pub struct Intent {
    pub before: String,
    pub wanted: String,
    /// The run of the instance then: a restart has happened when there is another one.
    pub run: String,
}

#[derive(Debug, Clone)]
pub enum Line {
    Intent(Intent),
    Done { result: Box<ToolResult>, effect: Option<Intent> },
}

/// How a result is remembered.
pub enum Settled {
    /// The last word about the step.
    Final(Option<Intent>),
    /// The answer to this attempt; nothing is changed.
    Unchanged,
    /// The answer to this attempt; what is true must still be found out.
    Open,
    /// Not at all.
    Never,
}

#[derive(Default)]
pub struct Ledger {
    lines: BTreeMap<StepKey, Line>,
    last_intents: BTreeMap<StepKey, Intent>,
    answers: BTreeMap<(StepKey, Attempt), ToolResult>,
    /// Steps that were taken back, or were about to be.
    closed: BTreeSet<StepKey>,
}

impl Ledger {
    /// The last word about a step, or the answer to this attempt.
    pub fn answer(&self, key: &StepKey, attempt: Attempt) -> Option<ToolResult> {
        if let Some(Line::Done { result, .. }) = self.lines.get(key) {
            return Some(ToolResult { attempt, ..ToolResult::clone(result) });
        }
        self.answers.get(&(key.clone(), attempt)).cloned()
    }

    pub fn line(&self, key: &StepKey) -> Option<&Line> {
        self.lines.get(key)
    }

    pub fn intent(&self, key: &StepKey) -> Option<Intent> {
        match self.lines.get(key) {
            Some(Line::Intent(intent)) => Some(intent.clone()),
            _ => None,
        }
    }

    /// Also of a step that is not open any more.
    pub fn last_intent(&self, key: &StepKey) -> Option<Intent> {
        self.last_intents.get(key).cloned()
    }

    pub fn is_closed(&self, key: &StepKey) -> bool {
        self.closed.contains(key)
    }

    pub fn close(&mut self, key: StepKey) {
        self.closed.insert(key);
    }

    pub fn intend(&mut self, key: StepKey, intent: Intent) {
        self.last_intents.insert(key.clone(), intent.clone());
        self.lines.insert(key, Line::Intent(intent));
    }

    pub fn settle(&mut self, key: StepKey, result: ToolResult, how: Settled) {
        match how {
            Settled::Final(effect) => {
                self.lines.insert(key, Line::Done { result: Box::new(result), effect });
            }
            Settled::Unchanged => {
                self.lines.remove(&key);
                self.answers.insert((key, result.attempt), result);
            }
            Settled::Open => {
                self.answers.insert((key, result.attempt), result);
            }
            Settled::Never => {}
        }
    }
}
