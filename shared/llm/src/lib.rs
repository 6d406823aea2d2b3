//! Questions to language models: asked within limits, cached, checked. Whoever asks goes on without an answer.
//!
//! Invariant: an answer is handed out only when it has the form that was asked for ([`Form`]); a wrong one is tried again
//! and then an error, never passed on.
//! Invariant: what may be done is fixed before any text reaches a model ([`Choices`]); a model answers with a number.
//! Invariant: nothing is spent beyond the budgets ([`budget`]), over restarts and over the processes of a host.
//! Invariant: keys come from files alone, and neither they nor questions nor answers get into logs or traces, unless
//! `trace_contents` asks for questions and answers.
//! Invariant: no other crate names `async_openai` or `redis`.
//!
//! Absent on purpose: tools and agents of a model, conversations, proxies, embeddings, a broker or a bus.
//!
//! May be imported by improvise, generator, analyst, cli and tests. Imports clock, signals and redaction.

mod model; // Read this first: how a question becomes an answer.
mod question;

mod choice; // What a model may answer.
mod choosing;
mod form;
mod placeholder;
mod prompt; // What it is told.
pub mod untrusted;

pub mod breaker; // What keeps calls within bounds.
pub mod budget;
pub mod cache;
mod repair;
mod retry;

pub mod credential;
mod digest;
mod error;
pub mod operate;
mod provider;
mod recording;
pub mod settings;
mod telemetry;

pub use crate::{
    budget::{Account, CostReport},
    choice::{Choice, Choices, Choosable, Error as ChoicesError, Range},
    choosing::{Asking, Case, ChoosingError, Offer, Told, Verdict, choose},
    error::{Error, Failure},
    form::{Form, Typed, WrongAnswer},
    model::{Model, Parts, SetupError},
    placeholder::Placeholders,
    prompt::{Error as PromptError, Fill, Prompt, Template},
    provider::{CallError, Listener, Usage},
    question::{Answered, Question, Source, Task},
    recording::Error as RecordingError,
    settings::Settings,
    untrusted::Excerpt,
};
