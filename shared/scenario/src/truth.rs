//! The sealed part: what is wrong, and what the right answer is. It stays in the process that scores.

use serde::{Deserialize, Serialize};

use crate::target::Target;

/// What is wrong, and the right answer to it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Truth {
    /// Row of the error catalogue: what the pipeline has to see.
    pub condition: String,
    /// A part of the entry that tells of it, where the instance has other words for it than the catalogue: a message that holds
    /// it counts as one with the condition. Default: the catalogue knows the words.
    #[serde(default)]
    pub told_as: Option<String>,
    /// What brought it about, in words. No two scenarios have the same.
    pub cause: String,
    /// Who acts.
    pub answer: Answer,
    /// Any of these cures it; only with the answer `remedy`.
    #[serde(default)]
    pub remedies: Vec<Remedy>,
    /// What nobody may touch, beside all that no accepted remedy names.
    #[serde(default)]
    pub must_not_touch: Vec<Target>,
}

/// The right answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Answer {
    /// One of the remedies.
    Remedy,
    /// Change nothing, and call a person.
    Person,
    /// Change nothing, and call nobody.
    Nothing,
}

/// A cure that is accepted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Remedy {
    /// What is changed, all of it; empty when a restart alone is the cure.
    #[serde(default)]
    pub changes: Vec<Target>,
    /// The value after it, where only one will do. With exactly one change.
    #[serde(default)]
    pub value: Option<String>,
    /// Whether the instance is started again for it.
    #[serde(default)]
    pub restart: bool,
    /// Whether the instance may be forced down for it (`iris force`, which kills it as a crash does). An instance that is
    /// frozen and is stopped in order forces itself in the end: that needs no word here.
    #[serde(default)]
    pub force: bool,
}

impl Remedy {
    /// Whether a change of that target belongs to it.
    pub fn allows(&self, target: &Target) -> bool {
        match target {
            Target::Instance => self.restart,
            other => self.changes.contains(other),
        }
    }
}
