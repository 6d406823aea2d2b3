//! Why no model gave an answer. Whoever asked goes on without one.

use crate::{breaker, budget, form::WrongAnswer, provider::CallError, recording};

/// No answer.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("no model is set up")]
    NoModel,
    /// The budget is spent, and nobody was called; or what a call cost could not be written down, before or after it.
    #[error(transparent)]
    Budget(#[from] budget::Error),
    #[error("no model gave an answer: {}", told(failures))]
    Unanswered {
        /// One for each provider, in the order in which they were asked.
        failures: Vec<Failure>,
    },
    #[error(transparent)]
    Recording(#[from] recording::Error),
}

impl Error {
    /// One word, for metrics and findings.
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::NoModel => "no_model",
            Self::Budget(budget::Error::Spent { .. }) => "budget_spent",
            Self::Budget(budget::Error::Record { .. }) => "budget_record",
            Self::Unanswered { .. } => "unanswered",
            Self::Recording(_) => "recording",
        }
    }
}

/// Why one provider gave no answer.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    #[error(transparent)]
    Call(#[from] CallError),
    #[error(transparent)]
    Open(#[from] breaker::Open),
    #[error("provider \"{provider}\" gave {tries} wrong answer(s); of the last one, {wrong}")]
    Wrong { provider: String, tries: u32, wrong: WrongAnswer },
    /// It was so when it was recorded.
    #[error("provider \"{provider}\" gave no answer when it was recorded ({kind})")]
    Recorded { provider: String, kind: String },
    /// Replayed, and never asked of this provider.
    #[error(transparent)]
    Recording(#[from] recording::Error),
    #[error("provider \"{provider}\" declined to answer")]
    Declined { provider: String },
}

impl Failure {
    /// One word, for metrics.
    pub fn kind(&self) -> String {
        match self {
            Self::Call(error) => error.kind(),
            Self::Open(_) => "breaker_open".to_owned(),
            Self::Wrong { .. } => "wrong_answer".to_owned(),
            Self::Declined { .. } => "declined".to_owned(),
            Self::Recorded { kind, .. } => kind.clone(),
            Self::Recording(_) => "recording".to_owned(),
        }
    }

    pub(crate) const fn is_missing(&self) -> bool {
        matches!(self, Self::Recording(_))
    }
}

fn told(failures: &[Failure]) -> String {
    failures.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")
}
