//! One question at one provider: the cache, then tries until an answer has the form; why it ended without one.

use std::time::Duration;

use tokio::time::Instant;
use tracing::Instrument as _;

use super::{Shared, call::key};
use crate::{
    error::{Error, Failure},
    form::{Form, WrongAnswer},
    provider::{Provider, Reply, Request, Usage},
    question::{Answered, Question, Source, Task},
    recording::Take,
    repair, telemetry,
};

/// All that one question at one provider came to.
#[derive(Default)]
pub(super) struct Progress {
    pub(super) calls: u32,
    pub(super) usage: Usage,
    pub(super) micro_usd: u64,
    pub(super) first_piece: Option<Duration>,
}

/// Why the asking of one provider ended without an answer.
pub(super) enum Ended {
    /// Another provider may do better.
    Here(Failure),
    /// No other provider would help.
    Altogether(Error),
}

impl Shared {
    pub(super) async fn ask<F: Form>(
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
                    let wrong = match read(question.form, &reply.text) {
                        Ok(taken) => {
                            self.tell(&request, &reply, progress);
                            return Ok(taken);
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
}

/// The value that a text holds, and the text that is kept of it.
fn read<F: Form>(form: &F, text: &str) -> Result<(F::Answer, String), WrongAnswer> {
    let answer = repair::read(text).ok_or_else(|| WrongAnswer::new("it is no JSON object"))?;
    let kept = answer.to_string();
    Ok((form.read(answer)?, kept))
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
