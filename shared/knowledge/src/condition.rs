//! What a row about a log message says.

use serde::Deserialize;

use crate::error_type::ErrorType;

/// One thing that goes wrong (or is quite normal), known by the text that IRIS writes about it.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Condition {
    /// Stable name, kebab-case: stored in messages and traces, so it is never reused for something else.
    pub id: String,
    /// The wordings that mean this condition; the first is the usual one. Empty only where `wording_known` is false:
    /// the condition is documented, its text is not, and nothing is ever taken for it.
    pub wordings: Vec<Wording>,
    /// The kind of problem, as an IrisMessage tells it.
    pub class: ErrorType,
    /// Severities seen with this text, 0..=3; empty when unknown. Not used for matching: IRIS logs parts of a
    /// serious event as information.
    pub severities: Vec<u8>,
    /// Categories seen, without brackets; empty when none or unknown. Not used for matching either.
    pub categories: Vec<String>,
    /// Where such a text is found.
    pub place: Place,
    /// False when no source shows the real wording: what `wordings` holds is our guess then.
    pub wording_known: bool,
    /// What brings it about.
    pub cause: String,
    /// What to look at before acting, each a few words.
    pub gather: Vec<String>,
    /// What cures it, in words for a person.
    pub remedy: String,
    /// Who acts.
    pub answer: Answer,
    /// Whether the cure needs the instance restarted.
    pub restart: Restart,
    /// True where an automatic restart loops, makes damage worse, or destroys evidence: nobody but a person
    /// may restart then.
    pub must_not_restart: bool,
    /// Tag of the source; explained in the crate's README.
    pub source: String,
}

/// One way in which a condition is written.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct Wording {
    /// Fixed parts that must all occur, in this order; case and blank runs do not matter.
    pub texts: Vec<String>,
    /// A whole message with the variable parts filled in.
    pub example: String,
}

/// Who answers a condition.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Answer {
    /// A row of the remedies cures it.
    Remedy,
    /// A person has to look.
    Person,
    /// Nothing is to be done.
    None,
}

/// Whether the cure of a condition needs a restart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Restart {
    /// The instance must be started again.
    Yes,
    /// The instance goes on running.
    No,
    /// The host must be rebooted.
    Host,
    /// Depends on the case, or the sources do not say.
    Maybe,
}

/// Where a text is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Place {
    /// `messages.log` and its copies on the console.
    #[default]
    MessagesLog,
    /// The error log of an application, in a global.
    ApplicationErrorLog,
    /// The answer of a configuration class or a program to its caller.
    StatusText,
    /// What a terminal session or the `iris` command prints.
    SessionOutput,
}
