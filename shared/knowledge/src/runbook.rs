//! Runbooks: the authored answers to conditions, as rows of data, made concrete by facts.
//!
//! [`Runbook::plan`] is a pure function: the same facts give the same [`Work`], or the reason why a person has to
//! decide. Values are computed by documented arithmetic ([`Formula`]), never taken from the text of a message but where
//! a fact says that IRIS names the figure there, and each stays within bounds of its own.
//! [`together`] folds the work of several runbooks for one instance into one, with one restart.

mod change;
mod formula;
mod plan;
mod row;
mod together;

use serde::Deserialize;

use crate::error_type::ErrorType;
use crate::given::Given;

pub use self::change::{Change, Target};
pub use self::formula::{Computed, Formula, NoValue};
pub use self::plan::{NotApplicable, Step, Work};
pub use self::row::{cured_by, runbook, runbooks, runbooks_for};
pub use self::together::{Clash, together};

/// The authored answer to one or more conditions.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct Runbook {
    /// Stable name, kebab-case; the name of its file too.
    pub id: String,
    /// Ids of the conditions that it answers.
    pub conditions: Vec<String>,
    /// False when it only looks, and a person has to do the rest.
    pub cures: bool,
    /// The `error_type` of the command.
    pub error_type: ErrorType,
    /// The `recommended_action` of the command, 1 to 200 characters.
    pub action: String,
    /// The `priority` of the command.
    pub priority: Priority,
    /// What it risks.
    pub risk: Risk,
    /// What the risk is, in words.
    pub risk_why: String,
    /// For how long it may wait for other conditions of the same instance, so that one restart serves all of them, in
    /// seconds, 0 to 60. Default 0: it is urgent.
    #[serde(default)]
    pub company_seconds: u32,
    /// What must never be touched on the way, in words and targets.
    pub never_touch: Vec<String>,
    /// Tag of the source; explained in the crate's README.
    pub source: String,
    /// What must be so before anything is done; the first that is not tells why a person has to decide.
    #[serde(default)]
    pub precondition: Vec<Given>,
    /// The steps, each after those that it depends on.
    pub step: Vec<StepRow>,
    /// The proof.
    pub verification: Verification,
}

/// How much can go wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Risk {
    /// Reads only.
    None,
    /// Can be taken back with nobody noticing.
    Low,
    /// Users notice a restart.
    Medium,
    /// The host or its other instances feel it.
    High,
}

/// The `priority` of a command; the most urgent is the least.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Priority {
    /// Data or all users are at stake.
    Critical,
    /// Users notice.
    High,
    /// The usual case.
    Medium,
    /// May wait.
    Low,
}

impl Priority {
    /// The name on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Critical => "critical",
            Self::High => "high",
            Self::Medium => "medium",
            Self::Low => "low",
        }
    }
}

impl Risk {
    /// The word for it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Low => "low",
            Self::Medium => "medium",
            Self::High => "high",
        }
    }
}

/// One step as the file has it: what it changes, and how its value is found.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct StepRow {
    /// Name within the runbook: lower-case letters, digits and hyphens, at most 48.
    pub id: String,
    /// What is changed or looked at.
    pub target: Target,
    /// How the new value is computed; `none` for a restart and a look at the license.
    #[serde(default)]
    pub formula: Formula,
    /// Left out where one of these does not hold, or where the value is already enough. Without it, that is a
    /// reason not to act at all.
    #[serde(default)]
    pub only_if: Option<Vec<Given>>,
    /// Steps that must have succeeded before; those that were left out do not count.
    #[serde(default)]
    pub depends_on: Vec<String>,
}

/// What proves that it helped.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct Verification {
    /// What a person or the analyst sees when it has worked, each one sentence.
    pub success_signs: Vec<String>,
    /// Conditions that the runbook itself may bring about: they are no failure, and nobody is troubled with them.
    #[serde(default)]
    pub may_cause: Vec<String>,
}

#[cfg(test)]
mod tests;
