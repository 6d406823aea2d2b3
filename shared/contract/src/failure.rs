//! Whoever sees the failure says what may happen next.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What went wrong, for a program (`code`) and for a person (`message`).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Cause {
    /// Low-cardinality name in snake case, with a page in `docs/errors/`.
    pub code: String,
    /// At most 500 characters; says what to do where an operator can do something.
    pub message: String,
}

impl Cause {
    pub fn new(code: &str, message: impl fmt::Display) -> Self {
        let text = message.to_string();
        let message = if text.chars().count() > 500 {
            text.chars().take(497).chain("...".chars()).collect()
        } else {
            text
        };
        Self { code: code.to_owned(), message }
    }
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.message, self.code)
    }
}

/// The three ways an effect may fail. The third breaks databases when it is forgotten.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error, JsonSchema)]
// Not `kind`: a failure may stand inside a message that has a `kind` of its own.
#[serde(tag = "failure", rename_all = "snake_case")]
pub enum Failure {
    /// Nothing changed; the same call may work later.
    #[error("{cause}; nothing changed, may work later")]
    Transient { cause: Cause },
    /// Nothing changed; the same call will never work.
    #[error("{cause}; nothing changed")]
    Permanent { cause: Cause },
    /// Refused before anything was touched: by policy, by a precondition or because the world has drifted.
    #[error("{cause}; refused")]
    Refused { cause: Cause },
    /// The answer was lost, or the effect stopped half-way: probe what is true before doing anything else.
    #[error("{cause}; outcome unknown")]
    Unknown { cause: Cause },
}

impl Failure {
    pub fn transient(code: &str, message: impl fmt::Display) -> Self {
        Self::Transient { cause: Cause::new(code, message) }
    }

    pub fn permanent(code: &str, message: impl fmt::Display) -> Self {
        Self::Permanent { cause: Cause::new(code, message) }
    }

    pub fn refused(code: &str, message: impl fmt::Display) -> Self {
        Self::Refused { cause: Cause::new(code, message) }
    }

    pub fn unknown(code: &str, message: impl fmt::Display) -> Self {
        Self::Unknown { cause: Cause::new(code, message) }
    }

    pub const fn cause(&self) -> &Cause {
        match self {
            Self::Transient { cause }
            | Self::Permanent { cause }
            | Self::Refused { cause }
            | Self::Unknown { cause } => cause,
        }
    }
}
