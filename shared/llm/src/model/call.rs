//! One call of a provider, within breaker and budget, recorded or replayed; what it cost.

use std::sync::Arc;

use super::{
    Shared,
    asking::{Ended, Progress},
};
use crate::{
    budget::{self, Budget},
    digest::hex_digest,
    error::Failure,
    form::Form,
    provider::{CallError, Provider, Reply, Request, Usage, guessed_tokens},
    question::Question,
    recording::{self, Take},
    telemetry,
};

impl Shared {
    /// One call, within budget and breaker, recorded or replayed.
    pub(super) async fn call<F: Form>(
        &self,
        provider: &Provider,
        question: &Question<'_, F>,
        request: &Request,
        progress: &mut Progress,
    ) -> Result<Reply, Ended> {
        let (label, model) = (&question.prompt.label, &provider.settings.model);
        let key = key(request, provider);
        if let Some(played) = self.played(&key, label, provider) {
            return played;
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
        let failed = outcome.as_ref().err().map(CallError::kind);
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

    /// What the recording holds for that call. `None` where calls are made.
    fn played(&self, key: &str, label: &str, provider: &Provider) -> Option<Result<Reply, Ended>> {
        let played = self.tape.play(key, label, &provider.settings.model)?;
        Some(match played {
            Ok(Take::Answered(reply)) => Ok(reply),
            Ok(Take::Failed(kind)) => {
                let provider = provider.settings.name.clone();
                Err(Ended::Here(Failure::Recorded { provider, kind }))
            }
            // Another provider may have been asked.
            Err(missing @ recording::Error::Missing { .. }) => Err(Ended::Here(missing.into())),
            Err(error) => Err(Ended::Altogether(error.into())),
        })
    }

    fn budget(&self) -> Arc<Budget> {
        Arc::clone(self.budget.as_ref().expect("whoever can be called has a budget"))
    }
}

/// What a call cost: as the endpoint says, else guessed. A call without an answer may have been worked on all the same.
fn spent(outcome: &Result<Reply, CallError>, most: Usage) -> Usage {
    match outcome {
        Ok(reply) => reply.usage.unwrap_or_else(|| Usage {
            input_tokens: most.input_tokens,
            output_tokens: guessed_tokens(reply.text.len()),
        }),
        Err(CallError::Status { .. } | CallError::Unreachable { .. } | CallError::Held { .. }) => {
            Usage::default()
        }
        Err(_) => Usage { input_tokens: most.input_tokens, output_tokens: 0 },
    }
}

/// Digest of model, parameters and prompt. How an answer travels is not part of it.
pub(super) fn key(request: &Request, provider: &Provider) -> String {
    let mut body = request.body(&provider.settings);
    if let Some(fields) = body.as_object_mut() {
        fields.retain(|name, _| name != "stream" && name != "stream_options");
    }
    hex_digest(&["instance.model.v1", &body.to_string()])
}

/// The disk is waited for on a thread of its own.
pub(super) async fn on_disk<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, budget::Error> + Send + 'static,
) -> Result<T, budget::Error> {
    tokio::task::spawn_blocking(work).await.expect("the work on the disk does not panic")
}
