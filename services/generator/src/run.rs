//! Which of the modes this process is in: the service, a replay, or inventing once.

use std::collections::HashSet;
use std::path::Path;
use std::sync::Arc;

use instance_chassis::{Context, error_chain};
use instance_knowledge::Catalogue;

use crate::deliver::{Consumer, deliver_to};
use crate::emit::tail_instance;
use crate::replay::replay;
use crate::requests::{Inventing, announce, invent_once, serve};
use crate::window::Turns;
use crate::{Config, RunError};
use instance_invent::Templates;

/// Tails every instance of the settings and answers requests until the drain; or replays, or invents, and returns.
pub async fn run(context: Context<Config>) -> Result<(), RunError> {
    let config = &context.config;
    use_knowledge(config.knowledge_dir.as_deref())?;
    match (&config.replay, &config.invent) {
        (Some(_), Some(_)) => return Err(RunError::TwoModes),
        (Some(path), None) => return replay(&context, path).await,
        (None, Some(wanted)) => {
            let inventing = Inventing::new(&context, templates(config).await?, &[])?;
            return invent_once(&context, &inventing, wanted).await;
        }
        (None, None) => {}
    }
    check(config)?;
    let path = config.state_dir.clone();
    tokio::fs::create_dir_all(&path).await.map_err(|source| RunError::StateFolder { path, source })?;
    let consumers: Vec<_> =
        config.deliver.iter().map(|consumer| Consumer::new(&context, consumer.clone())).collect();
    let inventing = Arc::new(Inventing::new(&context, templates(config).await?, &consumers)?);
    let service = announce(&context, &inventing).await?;
    let turns = Turns::default();
    for instance in config.instances.clone() {
        context.tasks.spawn(tail_instance(context.clone(), instance, turns.clone()));
    }
    for consumer in consumers {
        let context = context.clone();
        context.tasks.clone().spawn(async move {
            if let Err(error) = deliver_to(context, consumer).await {
                tracing::error!(error = error_chain(&error), "cannot deliver");
            }
        });
    }
    serve(context, inventing, service).await;
    Ok(())
}

/// Rows of the user's own, before the first text is looked at.
fn use_knowledge(folder: Option<&Path>) -> Result<(), RunError> {
    let Some(folder) = folder else { return Ok(()) };
    let path = || folder.to_owned();
    let texts = instance_chassis::texts_in(folder, ".toml")
        .map_err(|source| RunError::KnowledgeFolder { path: path(), source })?;
    let files = texts.iter().map(|(file, text)| (file.as_str(), text.as_str()));
    Ok(Catalogue::with_extra(files)?.put_in_force()?)
}

/// Two tails would share one cursor, and two consumers one place.
fn check(config: &Config) -> Result<(), RunError> {
    let mut names = HashSet::new();
    if let Some(instance) = config.instances.iter().find(|instance| !names.insert(&instance.name)) {
        return Err(RunError::SameName(instance.name.clone()));
    }
    let mut names = HashSet::new();
    match config.deliver.iter().find(|consumer| !names.insert(&consumer.name)) {
        Some(consumer) => Err(RunError::SameConsumer(consumer.name.clone())),
        None => Ok(()),
    }
}

async fn templates(config: &Config) -> Result<Templates, RunError> {
    let mut templates = Templates::builtin()?;
    for path in &config.learn_from {
        match tokio::fs::read(path).await {
            Ok(log) => {
                let learnt = templates.learn(&log);
                tracing::info!(path = %path.display(), ?learnt, "learnt from a log");
            }
            // The templates that are built in always answer.
            Err(error) => tracing::warn!(path = %path.display(), %error, "could not learn from a log"),
        }
    }
    Ok(templates)
}
