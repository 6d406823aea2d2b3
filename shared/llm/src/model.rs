//! Asking: cache, budget, breaker, call, repair, check; the next try, the next provider, and at last an honest error.

mod asking;
mod call;

use std::{path::PathBuf, sync::Arc};

use instance_clock::Clock;

use self::{asking::Ended, call::on_disk};
use crate::{
    breaker::Breaker,
    budget::{self, Budget, CostReport},
    cache::Cache,
    credential,
    error::{Error, Failure},
    form::Form,
    provider::Provider,
    question::{Answered, Question},
    recording::Tape,
    settings::{Fault, Settings},
};

/// What a model is given besides its settings.
pub struct Parts {
    pub clock: Arc<dyn Clock>,
    /// `$CREDENTIALS_DIRECTORY`, when the service manager hands credentials over.
    pub credentials_directory: Option<PathBuf>,
    /// Breakers of other outside services of this process, shown to operators and reset by them beside ours.
    pub beside: Vec<Arc<Breaker>>,
}

impl Parts {
    /// Nothing but the clock.
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        Self { clock, credentials_directory: None, beside: Vec::new() }
    }
}

/// Settings that no model can be made of.
#[derive(Debug, thiserror::Error)]
pub enum SetupError {
    #[error("{}", .0.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "))]
    Settings(Vec<Fault>),
    #[error(transparent)]
    Key(#[from] credential::Error),
    #[error(transparent)]
    Cache(#[from] crate::cache::Error),
    #[error(transparent)]
    Budget(#[from] budget::Error),
}

/// Whoever answers questions. Clones are the same one.
#[derive(Clone)]
pub struct Model(Arc<Shared>);

struct Shared {
    settings: Settings,
    providers: Vec<Provider>,
    cache: Cache,
    /// Absent when nobody can be called, so that no folder is needed either.
    budget: Option<Arc<Budget>>,
    tape: Tape,
    beside: Vec<Arc<Breaker>>,
}

impl Model {
    /// Reads keys, opens the folder; calls nobody.
    pub fn new(settings: Settings, parts: Parts) -> Result<Self, SetupError> {
        let faults = settings.faults();
        if !faults.is_empty() {
            return Err(SetupError::Settings(faults));
        }
        let Parts { clock, credentials_directory, beside } = parts;
        let tape = Tape::new(settings.record.as_deref(), settings.replay.as_deref());
        let mut providers = Vec::new();
        for provider in &settings.providers {
            // Who calls nobody needs no key.
            let key = match &tape {
                Tape::Replay(_) => None,
                _ => credential::read(provider, credentials_directory.as_deref())?,
            };
            let breaker = Breaker::new(&provider.name, settings.breaker.clone(), Arc::clone(&clock));
            providers.push(Provider::new(provider.clone(), key, Arc::new(breaker), Arc::clone(&clock)));
        }
        let calls = !providers.is_empty() && !tape.is_replay();
        let budget =
            calls.then(|| Budget::open(settings.budget.clone(), &settings.folder, Arc::clone(&clock)));
        let mut caching = settings.cache.clone();
        // A recording holds every call; a replay needs no second memory.
        caching.enabled &= calls && settings.record.is_none();
        Ok(Self(Arc::new(Shared {
            cache: Cache::open(&caching, &settings.breaker, &settings.folder, clock)?,
            budget: budget.transpose()?.map(Arc::new),
            providers,
            tape,
            beside,
            settings,
        })))
    }

    /// Asks the providers in their order until one gives an answer of that form.
    pub async fn ask<F: Form>(&self, question: &Question<'_, F>) -> Result<Answered<F::Answer>, Error> {
        let mut failures = Vec::new();
        for provider in &self.0.providers {
            match self.0.ask(provider, question).await {
                Ok(answered) => return Ok(answered),
                Err(Ended::Here(failure)) => {
                    tracing::info!(
                        provider = provider.settings.name,
                        reason = failure.kind(),
                        "a model gave no answer"
                    );
                    failures.push(failure);
                }
                Err(Ended::Altogether(error)) => return Err(error),
            }
        }
        Err(match failures.pop() {
            None => Error::NoModel,
            Some(Failure::Recording(error)) if failures.iter().all(Failure::is_missing) => error.into(),
            Some(last) => {
                failures.push(last);
                Error::Unanswered { failures }
            }
        })
    }

    #[cfg(test)]
    pub(crate) fn provider(&self, place: usize) -> &Provider {
        &self.0.providers[place]
    }

    /// Is there anybody to ask?
    pub fn is_set_up(&self) -> bool {
        !self.0.providers.is_empty()
    }

    /// May entries of a log be shown to it?
    pub fn shows_entries(&self) -> bool {
        self.0.settings.show_entries
    }

    /// The breakers of all outside services: providers, the levels of the cache that others serve, and those beside them.
    pub fn breakers(&self) -> impl Iterator<Item = &Arc<Breaker>> {
        let providers = self.0.providers.iter().map(|provider| &provider.breaker);
        providers.chain(self.0.cache.breakers()).chain(&self.0.beside)
    }

    pub fn cache_statistics(&self) -> crate::cache::Statistics {
        self.0.cache.statistics()
    }

    /// What was spent. `None` when nobody can be called.
    pub async fn cost(&self) -> Result<Option<CostReport>, budget::Error> {
        let Some(budget) = self.0.budget.clone() else { return Ok(None) };
        on_disk(move || budget.report()).await.map(Some)
    }
}
