//! The analyst: from the entries of a log to a command, a person, or nothing.
//!
//! A thin shell around `instance-diagnosis`: it takes entries and records from the bus, hands them to the core as events,
//! and does what the core wants done. Everything that could be decided is decided there.
//!
//! Invariant: nothing is kept here that is not in the logs. One that dies reads them and goes on.
//! Invariant: an entry is settled only when nothing that is still to be written needs it.
//! Invariant: a finding stands in the log before its command is published; the command follows from the finding, so
//! publishing it once more after a death is publishing it once.
//! Invariant: it changes nothing but by commands, which the router holds against policy as anybody's.
//!
//! Imported by tests only.

mod config;
mod error;

mod desk; // Read this first: events in, actions out.

mod ask; // Where the rules are unsure.
mod books; // What is read at the start, and followed.
mod facts;
mod webhook;
mod write;

use std::collections::HashMap;

use instance_bus::ServiceError;
use instance_chassis::{Context, error_chain};
use instance_contract::subject;
use instance_llm::operate;

pub use ask::ask;
pub use config::Config;
pub use error::Error;

const DESCRIPTION: &str =
    "Makes incidents of the entries of a log, and decides: a command, a person, or nothing.";

/// Analyses until drained.
pub async fn run(ctx: Context<Config>) -> Result<(), Error> {
    use_knowledge(&ctx.config)?;
    let Some(topology) = ctx.topology().await? else { return Ok(()) };
    let webhook = webhook::Line::new(&ctx)?;
    let beside: Vec<_> = webhook.iter().map(|line| line.breaker.clone()).collect();
    let has_breakers = !beside.is_empty();
    let model = ask::model(&ctx, beside)?;
    let mut service = ctx.bus.service("analyst", env!("CARGO_PKG_VERSION"), DESCRIPTION, HashMap::new());
    // Who calls nobody outside has no breakers and no costs to show.
    for question in operate::ENDPOINTS.iter().filter(|_| model.is_set_up() || has_breakers) {
        service = service.endpoint(question, &subject::model(ctx.process_id, question), HashMap::new());
    }
    let mut service = service.start().await?;
    // No other endpoint: entries come through the stream. Polled so that PING, INFO and STATS are answered.
    let discovered = async {
        while let Some(request) = service.next().await {
            let answer = model.operate(request.endpoint(), request.payload()).await;
            let answer = answer.map(Into::into).map_err(|no| ServiceError::new(no.code, no.text));
            if let Err(error) = request.respond(answer).await {
                tracing::warn!(error = error_chain(&error), "could not answer an operator");
            }
        }
        std::future::pending::<()>().await;
    };
    let asked = model.is_set_up().then(|| model.clone());
    let work =
        async { tokio::try_join!(desk::work(&ctx, topology, asked), webhook::call(&ctx, webhook)).map(drop) };
    tokio::select! {
        outcome = work => outcome,
        () = discovered => Ok(()),
    }
}

fn use_knowledge(config: &Config) -> Result<(), Error> {
    let Some(folder) = &config.knowledge_dir else { return Ok(()) };
    let texts = instance_chassis::texts_in(folder, ".toml")
        .map_err(|source| Error::KnowledgeFolder { path: folder.clone(), source })?;
    let files = texts.iter().map(|(file, text)| (file.as_str(), text.as_str()));
    Ok(instance_knowledge::Catalogue::with_extra(files)?.put_in_force()?)
}
