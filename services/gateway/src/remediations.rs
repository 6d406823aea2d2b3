//! `GET /v1/remediations` and `GET /v1/remediations/ID`: what the remediation log tells.

use std::sync::Arc;

use axum::{
    Json,
    extract::{Path, Query, State, rejection::QueryRejection},
    http::StatusCode,
};
use instance_contract::{Faults, InstanceName};
use instance_story::{Phase, Story};
use serde::Deserialize;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::{Gateway, problem::Problem};

const MOST: usize = 1_000;

/// Which remediations are listed.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Wanted {
    instance: Option<InstanceName>,
    /// `queued`, `waiting_approval`, `running`, `unwinding`, `ended`, or `open` for all but the last.
    phase: Option<String>,
    limit: Option<usize>,
}

/// The newest first.
pub(crate) async fn list(
    State(gateway): State<Arc<Gateway>>,
    wanted: Result<Query<Wanted>, QueryRejection>,
) -> Result<Json<Value>, Problem> {
    let Query(wanted) = wanted.map_err(|rejection| {
        Problem::faulty("the question breaks rules", Faults::one("query", "", rejection.body_text()))
    })?;
    let phase = wanted.phase.as_deref().map(phase).transpose()?;
    // Reading a log whole is dear, so few do it at a time.
    let reading = gateway.readings.acquire().await.expect("nobody closes the semaphore");
    let stories = instance_story::all(&gateway.bus).await?;
    drop(reading);
    let of_instance = |story: &&Story| {
        let name = wanted.instance.as_ref();
        name.is_none_or(|name| story.command().is_some_and(|command| command.instance == *name))
    };
    let in_phase = |story: &&Story| match phase {
        None => true,
        Some(None) => story.phase() != Phase::Ended,
        Some(Some(phase)) => story.phase() == phase,
    };
    let found: Vec<&Story> = stories.iter().rev().filter(of_instance).filter(in_phase).collect();
    let limit = wanted.limit.unwrap_or(100).min(MOST);
    let documents: Vec<Value> = found.iter().take(limit).map(|story| with_place(story, &stories)).collect();
    Ok(Json(json!({"remediations": documents, "found": found.len()})))
}

/// One, by its own id or by that of its command; `trace` is its WorkflowTrace once it has ended.
pub(crate) async fn one(
    State(gateway): State<Arc<Gateway>>,
    Path(id): Path<String>,
) -> Result<Json<Value>, Problem> {
    let story = find(&gateway, &id).await?;
    let mut document = story.document();
    document["trace"] = json!(story.ended().map(|ended| &ended.trace));
    instance_redaction::redact_document(&mut document);
    Ok(Json(document))
}

pub(crate) async fn find(gateway: &Gateway, id: &str) -> Result<Story, Problem> {
    let rule = || Faults::one("id", "", "must be a UUID in the form 8-4-4-4-12");
    let id = Uuid::try_parse(id).map_err(|_| Problem::faulty("the address breaks rules", rule()))?;
    instance_story::find(&gateway.bus, id).await?.ok_or_else(|| {
        let title = format!("no remediation and no command has the id {id}");
        Problem::new(StatusCode::NOT_FOUND, title)
    })
}

fn with_place(story: &Story, among: &[Story]) -> Value {
    let mut document = story.document();
    document["place"] = json!(story.place(among));
    document
}

/// `None` within stands for all that is open.
fn phase(word: &str) -> Result<Option<Phase>, Problem> {
    let known = [Phase::Queued, Phase::WaitingApproval, Phase::Running, Phase::Unwinding, Phase::Ended];
    if word == "open" {
        return Ok(None);
    }
    known.into_iter().find(|phase| phase.as_str() == word).map(Some).ok_or_else(|| {
        let words: Vec<&str> = known.iter().map(|phase| phase.as_str()).collect();
        let rule = format!("must be open, {}", words.join(", "));
        Problem::faulty("the question breaks rules", Faults::one("phase", word, rule))
    })
}
