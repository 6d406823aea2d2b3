//! Calling a person: findings that ask for one are told to the endpoint of the settings, beside everything else.

use std::{fs, sync::Arc, time::Duration};

use instance_bus::BusError;
use instance_chassis::{Context, error_chain};
use instance_llm::breaker::{Breaker, Permit};
use instance_transport::{Escalation, Told, Webhook};

use crate::{Config, Error, config::WebhookSettings};

/// After an error of the bus, and while its streams are not there.
const PAUSE: Duration = Duration::from_secs(1);
/// How often an open breaker is asked again: an operator may have reset it.
const LOOK: Duration = Duration::from_millis(500);
/// Of the breaker, for operators.
const NAME: &str = "webhook";

/// The way to the endpoint of the settings.
pub(crate) struct Line {
    webhook: Webhook,
    pub(crate) breaker: Arc<Breaker>,
}

impl Line {
    /// `None`: the settings name no endpoint.
    pub(crate) fn new(ctx: &Context<Config>) -> Result<Option<Self>, Error> {
        let Some(settings) = &ctx.config.webhook else { return Ok(None) };
        let breaker = Breaker::new(NAME, settings.breaker.clone(), ctx.clock.clone());
        Ok(Some(Self { webhook: webhook(settings)?, breaker: Arc::new(breaker) }))
    }
}

/// Tells findings until drained. Without a webhook in the settings that is nothing: the inbox has them all the same.
pub(crate) async fn call(ctx: &Context<Config>, line: Option<Line>) -> Result<(), Error> {
    let Some(Line { webhook, breaker }) = line else { return Ok(()) };
    tracing::info!(webhook = webhook.name(), "calling people");
    let Some(mut escalation) = open(ctx, &webhook).await else { return Ok(()) };
    // While the breaker is open nothing is taken: findings wait in the log.
    while let Some(permit) = admitted(ctx, &breaker).await {
        let Some(next) = ctx.drain.unless_draining(escalation.next()).await else { break };
        let outcome = match next {
            // What was taken is finished, also while draining: a try is bounded by its timeout.
            Ok(delivery) => escalation.tell(delivery).await,
            Err(error) => Err(error),
        };
        match outcome {
            Ok(told) => {
                tracing::debug!(?told, "a finding");
                settle(permit, told);
            }
            Err(error) => waited(ctx, &error).await,
        }
    }
    Ok(())
}

/// Waits until the endpoint may be called. `None` when the drain came first.
async fn admitted<'a>(ctx: &Context<Config>, breaker: &'a Breaker) -> Option<Permit<'a>> {
    loop {
        match breaker.admit() {
            Ok(permit) => return Some(permit),
            Err(open) => {
                tracing::debug!(until = %open.until, "the webhook is left alone");
                ctx.drain.unless_draining(tokio::time::sleep(LOOK)).await?;
            }
        }
    }
}

/// Where nobody was called, and where a finding was refused for good, nothing is known of the next one.
fn settle(permit: Permit<'_>, told: Told) {
    match told {
        Told::Taken => permit.succeeded(),
        Told::Later => permit.failed("away"),
        Told::NotAsked | Told::Acknowledged | Told::Dead => drop(permit),
    }
}

/// `None` when the drain came first.
async fn open(ctx: &Context<Config>, webhook: &Webhook) -> Option<Escalation> {
    loop {
        match ctx.drain.unless_draining(Escalation::open(&ctx.bus, webhook.clone())).await? {
            Ok(escalation) => return Some(escalation),
            Err(error) => waited(ctx, &error).await,
        }
    }
}

/// Nothing is lost by an error of the bus: what was not settled comes again.
async fn waited(ctx: &Context<Config>, error: &BusError) {
    tracing::warn!(error = error_chain(error), "could not read what people are called for");
    ctx.drain.unless_draining(tokio::time::sleep(PAUSE)).await;
}

fn webhook(settings: &WebhookSettings) -> Result<Webhook, Error> {
    let token = match &settings.token_file {
        None => None,
        Some(path) => {
            let failed = |source| Error::WebhookToken { path: path.clone(), source };
            Some(fs::read_to_string(path).map_err(failed)?.trim().to_owned())
        }
    };
    let timeout = Duration::from_secs(settings.timeout_seconds.into());
    Ok(Webhook::new(&settings.url, timeout, token)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_comes_from_a_file_and_one_that_cannot_be_read_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let token = folder.path().join("token");
        let settings = |path: &std::path::Path| WebhookSettings {
            url: "http://127.0.0.1:9/hook".to_owned(),
            timeout_seconds: 5,
            token_file: Some(path.to_owned()),
            breaker: instance_llm::breaker::Settings::default(),
        };
        let error = webhook(&settings(&token)).unwrap_err();
        assert!(error.to_string().contains(&token.display().to_string()), "{error}");
        fs::write(&token, "k3y\n").unwrap();
        assert!(webhook(&settings(&token)).is_ok());
    }
}
