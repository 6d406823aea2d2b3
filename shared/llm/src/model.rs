//! Asking: cache, budget, breaker, call, repair, check; the next try, the next provider, and at last an honest error.

use std::{path::PathBuf, sync::Arc, time::Duration};

use instance_clock::Clock;
use tokio::time::Instant;
use tracing::Instrument as _;

use crate::{
    breaker::Breaker,
    budget::{self, Budget, CostReport},
    cache::Cache,
    credential,
    digest::hex_digest,
    error::{Error, Failure},
    form::{Form, WrongAnswer},
    provider::{Provider, Reply, Request, Usage, guessed_tokens},
    question::{Answered, Question, Source, Task},
    recording::{self, Take, Tape},
    repair,
    settings::{Fault, Settings},
    telemetry,
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

/// All that one question at one provider came to.
#[derive(Default)]
struct Progress {
    calls: u32,
    usage: Usage,
    micro_usd: u64,
    first_piece: Option<Duration>,
}

/// Why the asking of one provider ended without an answer.
enum Ended {
    /// Another provider may do better.
    Here(Failure),
    /// No other provider would help.
    Altogether(Error),
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

impl Shared {
    async fn ask<F: Form>(
        &self,
        provider: &Provider,
        question: &Question<'_, F>,
    ) -> Result<Answered<F::Answer>, Ended> {
        let request = self.request(question);
        let key = key(&request, provider);
        if let Some(value) = self.remembered(&key, question.form).await {
            return Ok(answered(provider, question, key, value, Source::Cache, &Progress::default()));
        }
        let conversation = question.account.remediation.as_deref();
        let span = telemetry::span(&provider.settings, &request, conversation);
        let began = Instant::now();
        let mut progress = Progress::default();
        let outcome =
            self.converse(provider, question, request, &mut progress).instrument(span.clone()).await;
        let error = match &outcome {
            Ok(_) => None,
            Err(Ended::Here(failure)) => Some(failure.kind()),
            Err(Ended::Altogether(error)) => Some(error.kind().to_owned()),
        };
        if let Some(kind) = &error {
            telemetry::failed(&span, kind);
        }
        telemetry::operated(
            &provider.settings,
            began.elapsed(),
            progress.usage,
            progress.first_piece,
            error.as_deref(),
        );
        let (value, text) = outcome?;
        self.cache.put(&key, &text).await;
        let source = if self.tape.is_replay() { Source::Recording } else { Source::Model };
        Ok(answered(provider, question, key, value, source, &progress))
    }

    fn request<F: Form>(&self, question: &Question<'_, F>) -> Request {
        Request {
            system: question.prompt.system.clone(),
            user: question.prompt.user.clone(),
            objections: Vec::new(),
            temperature: match question.task {
                Task::Judge => 0.0,
                Task::Invent => self.settings.inventing_temperature,
            },
            seed: question.seed.unwrap_or(self.settings.seed),
            form: question.form.name().to_owned(),
            schema: question.form.schema(),
            answer_tokens: question.answer_tokens,
        }
    }

    /// An answer from the cache, checked like a new one.
    async fn remembered<F: Form>(&self, key: &str, form: &F) -> Option<F::Answer> {
        let kept = self.cache.get(key).await;
        let value = match &kept {
            Some(entry) => repair::read(&entry.answer).and_then(|answer| form.read(answer).ok()),
            None => None,
        };
        if kept.is_some() && value.is_none() {
            self.cache.remove(key).await;
        }
        telemetry::looked_up(value.is_some());
        value
    }

    /// Tries until there is an answer of the form; gives it with its text.
    async fn converse<F: Form>(
        &self,
        provider: &Provider,
        question: &Question<'_, F>,
        mut request: Request,
        progress: &mut Progress,
    ) -> Result<(F::Answer, String), Ended> {
        let retry = self.settings.retry();
        let name = || provider.settings.name.clone();
        let mut failed = 0;
        loop {
            match self.call(provider, question, &request, progress).await {
                Ok(reply) if reply.refused => {
                    return Err(Ended::Here(Failure::Declined { provider: name() }));
                }
                Ok(reply) => {
                    let read =
                        repair::read(&reply.text).ok_or_else(|| WrongAnswer::new("it is no JSON object"));
                    let wrong =
                        match read.and_then(|answer| Ok((question.form.read(answer.clone())?, answer))) {
                            Ok((value, answer)) => {
                                self.tell(&request, &reply, progress);
                                return Ok((value, answer.to_string()));
                            }
                            Err(wrong) => wrong,
                        };
                    failed += 1;
                    if failed >= retry.tries {
                        return Err(Ended::Here(Failure::Wrong { provider: name(), tries: failed, wrong }));
                    }
                    // The rule is in our words: nothing of the answer is said again.
                    request.objections =
                        vec![format!("Answer number {failed} was not taken: {wrong}. Answer again.")];
                }
                Err(Ended::Here(Failure::Call(error))) if error.is_transient() => {
                    failed += 1;
                    match retry.pause(failed, error.retry_after(), rand::random()) {
                        Some(pause) => tokio::time::sleep(pause).await,
                        None => return Err(self.gave_up(provider, question, &request, error.into())),
                    }
                }
                Err(Ended::Here(failure)) => return Err(self.gave_up(provider, question, &request, failure)),
                Err(ended) => return Err(ended),
            }
        }
    }

    /// There is no answer to keep: that it was so is kept instead, so that a replay goes on with the next provider too.
    fn gave_up<F: Form>(
        &self,
        provider: &Provider,
        question: &Question<'_, F>,
        request: &Request,
        failure: Failure,
    ) -> Ended {
        let (label, model) = (&question.prompt.label, &provider.settings.model);
        match self.tape.keep(&key(request, provider), label, model, Take::Failed(failure.kind())) {
            Ok(()) => Ended::Here(failure),
            Err(error) => Ended::Altogether(error.into()),
        }
    }

    fn tell(&self, request: &Request, reply: &Reply, progress: &Progress) {
        let span = tracing::Span::current();
        telemetry::answered(&span, reply, progress.usage);
        if self.settings.trace_contents {
            telemetry::contents(&span, request, reply);
        }
    }

    /// One call, within budget and breaker, recorded or replayed.
    async fn call<F: Form>(
        &self,
        provider: &Provider,
        question: &Question<'_, F>,
        request: &Request,
        progress: &mut Progress,
    ) -> Result<Reply, Ended> {
        let (label, model) = (&question.prompt.label, &provider.settings.model);
        let key = key(request, provider);
        if let Some(played) = self.tape.play(&key, label, model) {
            return match played {
                Ok(Take::Answered(reply)) => Ok(reply),
                Ok(Take::Failed(kind)) => {
                    let provider = provider.settings.name.clone();
                    Err(Ended::Here(Failure::Recorded { provider, kind }))
                }
                // Another provider may have been asked.
                Err(missing @ recording::Error::Missing { .. }) => Err(Ended::Here(missing.into())),
                Err(error) => Err(Ended::Altogether(error.into())),
            };
        }
        let permit = provider.breaker.admit().map_err(|open| Ended::Here(open.into()))?;
        // One that is not let through now has told nothing of the service.
        provider.turn().await.map_err(|error| Ended::Here(error.into()))?;
        let price = |usage: Usage| {
            let settings = &provider.settings;
            budget::cost(usage, settings.input_usd_per_million, settings.output_usd_per_million)
        };
        let most = Usage {
            input_tokens: request.guessed_tokens(),
            output_tokens: u64::from(request.longest_answer(&provider.settings)),
        };
        let purpose = budget::Purpose {
            provider: provider.settings.name.clone(),
            model: model.clone(),
            prompt: label.clone(),
        };
        let (budget, account) = (self.budget(), question.account.clone());
        let dearest = price(most);
        let reserved = on_disk(move || budget.reserve(&account, &purpose, most, dearest)).await;
        let reserved = reserved.map_err(|error| Ended::Altogether(error.into()))?;
        progress.calls += 1;
        let outcome = provider.call(request, question.listener, &mut progress.first_piece).await;
        let usage = spent(&outcome, most);
        let cost = price(usage);
        progress.usage.input_tokens += usage.input_tokens;
        progress.usage.output_tokens += usage.output_tokens;
        progress.micro_usd += cost;
        let failed = outcome.as_ref().err().map(crate::CallError::kind);
        telemetry::called(&provider.settings, cost, failed.as_deref());
        match &outcome {
            Err(error) if error.is_failure_of_the_service() => permit.failed(&error.kind()),
            // "Too many calls" is an answer too; what it asks for is kept beside the breaker.
            _ => permit.succeeded(),
        }
        let budget = self.budget();
        on_disk(move || budget.settle(reserved, usage, cost))
            .await
            .map_err(|error| Ended::Altogether(error.into()))?;
        let reply = outcome.map_err(|error| Ended::Here(error.into()))?;
        let kept = self.tape.keep(&key, label, model, Take::Answered(reply.clone()));
        kept.map_err(|error| Ended::Altogether(error.into()))?;
        Ok(reply)
    }

    fn budget(&self) -> Arc<Budget> {
        Arc::clone(self.budget.as_ref().expect("whoever can be called has a budget"))
    }
}

/// What a call cost: as the endpoint says, else guessed. A call without an answer may have been worked on all the same.
fn spent(outcome: &Result<Reply, crate::CallError>, most: Usage) -> Usage {
    match outcome {
        Ok(reply) => reply.usage.unwrap_or_else(|| Usage {
            input_tokens: most.input_tokens,
            output_tokens: guessed_tokens(reply.text.len()),
        }),
        Err(
            crate::CallError::Status { .. }
            | crate::CallError::Unreachable { .. }
            | crate::CallError::Held { .. },
        ) => Usage::default(),
        Err(_) => Usage { input_tokens: most.input_tokens, output_tokens: 0 },
    }
}

/// Digest of model, parameters and prompt. How an answer travels is not part of it.
fn key(request: &Request, provider: &Provider) -> String {
    let mut body = request.body(&provider.settings);
    if let Some(fields) = body.as_object_mut() {
        fields.retain(|name, _| name != "stream" && name != "stream_options");
    }
    hex_digest(&["instance.model.v1", &body.to_string()])
}

fn answered<F: Form>(
    provider: &Provider,
    question: &Question<'_, F>,
    key: String,
    value: F::Answer,
    source: Source,
    progress: &Progress,
) -> Answered<F::Answer> {
    Answered {
        value,
        source,
        provider: provider.settings.name.clone(),
        model: provider.settings.model.clone(),
        prompt: question.prompt.label.clone(),
        key,
        usage: progress.usage,
        micro_usd: progress.micro_usd,
        calls: progress.calls,
    }
}

/// The disk is waited for on a thread of its own.
async fn on_disk<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, budget::Error> + Send + 'static,
) -> Result<T, budget::Error> {
    tokio::task::spawn_blocking(work).await.expect("the work on the disk does not panic")
}
