//! What was seen of a run: on the bus, in the world, and in what the rules said. All that a score is made of.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::target::Target;

/// What was seen of one run. Times count from the first step of the fault that trouble can come from.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Evidence {
    /// For each symptom: did it show on the instance, and is it there at the end?
    pub symptoms: Vec<Shown>,
    /// Conditions that were published, and when each was for the first time.
    pub detected: BTreeMap<String, Duration>,
    /// Conditions that the rules have left to a person.
    pub left_to_a_person: Vec<String>,
    /// What was asked for, and what came of it.
    pub handled: Vec<Handled>,
    /// Everything that differs between the world after the fault and the world at the end, but what the instance itself
    /// does to its own files.
    pub changes: Vec<Change>,
    /// How often the instance was started since, by others than the fault.
    pub starts: usize,
    /// How often it was forced down since (`iris force`), by others than the fault.
    pub forced: usize,
    /// It was stopped or forced down by others than the fault, and is down at the end.
    pub left_down: bool,
    /// From the fault to the end of the last remediation.
    pub repaired_after: Option<Duration>,
}

/// A symptom of the run.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Shown {
    /// It was seen before anybody acted.
    pub at_first: bool,
    /// It is there at the end.
    pub at_last: bool,
}

/// A remediation of the run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Handled {
    /// What it changes; empty for one that only looks.
    pub targets: Vec<Target>,
    /// Whether it starts the instance again.
    pub restart: bool,
    /// Condition of the message that caused it.
    pub condition: Option<String>,
    /// All conditions that its finding names.
    pub named: Vec<String>,
    /// `success`, `undone` ...; `None` when it has not ended.
    pub ended: Option<String>,
    /// A step of it says that a person has to act.
    pub calls_a_person: bool,
}

impl Handled {
    /// Whether it was asked for because of that condition, alone or with others.
    pub fn names(&self, condition: &String) -> bool {
        self.condition.as_ref() == Some(condition) || self.named.contains(condition)
    }

    /// Whether it only looks.
    pub fn only_looks(&self) -> bool {
        self.targets.is_empty() && !self.restart
    }
}

/// Something that is other than it was.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// What.
    pub target: Target,
    /// `absent` when there was nothing.
    pub before: String,
    /// `absent` when there is nothing any more.
    pub after: String,
}
