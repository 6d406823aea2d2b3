//! A question, and its answer.

use std::fmt;

use crate::{
    budget::Account,
    prompt::Prompt,
    provider::{Listener, Usage},
};

/// What an answer is wanted for; decides the temperature.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Task {
    /// Always the same answer to the same question: temperature 0.
    Judge,
    /// Variety: the temperature of the settings.
    Invent,
}

/// A question to whichever model answers.
pub struct Question<'a, F> {
    pub prompt: &'a Prompt,
    pub form: &'a F,
    pub task: Task,
    pub account: &'a Account,
    /// The longest answer in tokens, when less than the provider's.
    pub answer_tokens: Option<u32>,
    /// A number of one's own in place of the seed of the settings: the same number, the same question.
    pub seed: Option<u32>,
    /// Hears pieces of an answer as they come.
    pub listener: Option<Listener<'a>>,
}

impl<'a, F> Question<'a, F> {
    /// A question that is judged.
    pub const fn judge(prompt: &'a Prompt, form: &'a F, account: &'a Account) -> Self {
        Self { prompt, form, task: Task::Judge, account, answer_tokens: None, seed: None, listener: None }
    }

    /// A question for something new.
    pub const fn invent(prompt: &'a Prompt, form: &'a F, account: &'a Account) -> Self {
        Self { task: Task::Invent, ..Self::judge(prompt, form, account) }
    }
}

/// Where an answer came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Source {
    Model,
    Cache,
    Recording,
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Model => "model",
            Self::Cache => "cache",
            Self::Recording => "recording",
        })
    }
}

/// An answer that has its form.
#[derive(Debug, Clone, PartialEq)]
pub struct Answered<A> {
    pub value: A,
    pub source: Source,
    /// Ours for the endpoint, and the model that was asked there.
    pub provider: String,
    pub model: String,
    /// `name@version` of the prompt.
    pub prompt: String,
    /// Digest of model, parameters and prompt: the name of its recording.
    pub key: String,
    /// Over all tries; nothing when no model was called.
    pub usage: Usage,
    pub micro_usd: u64,
    /// How often the provider was called.
    pub calls: u32,
}
