//! `GET /v1/remediations` and `GET /v1/remediations/ID`: what the remediation log tells.

use std::{str::FromStr as _, sync::Arc};

use axum::{
    Json,
    extract::{Path, Query, State, rejection::QueryRejection},
    http::StatusCode,
};
use instance_bus::Bus;
use instance_contract::{Fault, Faults, InstanceName};
use instance_story::{Newest, NoPlace, Open, Phase, Place, Story};
use jiff::Timestamp;
use serde::Deserialize;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::{Gateway, problem::Problem};

/// Remediations in one answer, where the asker does not say how many.
const LIMIT: usize = 100;
const MOST: usize = 1_000;
/// Records that are read for one answer; a window of each shard may come on top.
const MOST_READ: u64 = 50_000;

/// Which remediations are listed.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Wanted {
    instance: Option<String>,
    /// `queued`, `waiting_approval`, `running`, `unwinding`, `ended`, or `open` for all but the last.
    phase: Option<String>,
    limit: Option<String>,
    /// `next` of an earlier answer.
    before: Option<String>,
    /// Only what began at this instant or later.
    since: Option<String>,
}

/// Phases that are asked for.
#[derive(Clone, Copy)]
enum Wish {
    All,
    /// All but `ended`.
    Open,
    One(Phase),
}

/// A question that can be answered.
struct Question {
    instance: Option<InstanceName>,
    phase: Wish,
    limit: usize,
    before: Option<Place>,
    since: Option<Timestamp>,
}

/// The newest first, and no more of the log is read than that takes.
pub(crate) async fn list(
    State(gateway): State<Arc<Gateway>>,
    wanted: Result<Query<Wanted>, QueryRejection>,
) -> Result<Json<Value>, Problem> {
    let question = wanted
        .map_err(|rejection| Faults::one("query", "", rejection.body_text()))
        .and_then(|Query(wanted)| wanted.understood())
        .map_err(|faults| Problem::faulty("the question breaks rules", faults))?;
    // Reading a log is dear, so few do it at a time.
    let _reading = gateway.readings.acquire().await.expect("nobody closes the semaphore");
    let (documents, next): (Vec<Value>, _) = match question.phase {
        Wish::All | Wish::One(Phase::Ended) => {
            let (told, next) = newest(&gateway.bus, &question).await?;
            let waits = |story: &Story| matches!(story.phase(), Phase::Queued | Phase::WaitingApproval);
            let open =
                if told.iter().any(waits) { Some(instance_story::open(&gateway.bus).await?) } else { None };
            let among = open.as_ref().map(Open::stories).unwrap_or_default();
            (told.iter().map(|story| with_place(story, among)).collect(), next)
        }
        Wish::Open | Wish::One(_) => {
            let open = instance_story::open(&gateway.bus).await?;
            let page = open.page(question.before.as_ref(), question.limit, |story| question.wants(story));
            let (told, next) = page.map_err(foreign)?;
            (told.into_iter().map(|story| with_place(story, open.stories())).collect(), next)
        }
    };
    let next = next.map(|place| place.to_string());
    Ok(Json(json!({"remediations": documents, "found": documents.len(), "next": next})))
}

async fn newest(bus: &Bus, question: &Question) -> Result<(Vec<Story>, Option<Place>), Problem> {
    let newest = Newest::from(bus, question.before.as_ref()).await?;
    let mut newest = newest.map_err(foreign)?;
    let mut told = Vec::new();
    while told.len() < question.limit && newest.records_read() < MOST_READ {
        let Some(story) = newest.next().await? else { return Ok((told, None)) };
        if question.since.is_some_and(|since| story.began_at() < since) {
            return Ok((told, None));
        }
        if question.wants(&story) {
            told.push(story);
        }
    }
    Ok((told, newest.place()))
}

impl Wanted {
    /// Every fault at once.
    fn understood(self) -> Result<Question, Faults> {
        let mut faults = Vec::new();
        let limit = read("limit", self.limit, &mut faults, limit).unwrap_or(LIMIT);
        let question = Question {
            instance: read("instance", self.instance, &mut faults, |text| {
                InstanceName::from_str(text).map_err(|error| error.to_string())
            }),
            phase: read("phase", self.phase, &mut faults, phase).unwrap_or(Wish::All),
            limit,
            before: read("before", self.before, &mut faults, |text| {
                Place::from_str(text).map_err(|_| NOT_A_PLACE.to_owned())
            }),
            since: read("since", self.since, &mut faults, |text| {
                let rule = "must be an instant of RFC 3339, such as 2026-11-21T08:00:00Z";
                Timestamp::from_str(text).map_err(|_| rule.to_owned())
            }),
        };
        if faults.is_empty() { Ok(question) } else { Err(Faults(faults)) }
    }
}

impl Question {
    fn wants(&self, story: &Story) -> bool {
        let of_instance =
            |name: &InstanceName| story.command().is_some_and(|command| command.instance == *name);
        let in_phase = match self.phase {
            Wish::All => true,
            Wish::Open => story.phase() != Phase::Ended,
            Wish::One(phase) => story.phase() == phase,
        };
        in_phase
            && self.since.is_none_or(|since| story.began_at() >= since)
            && self.instance.as_ref().is_none_or(of_instance)
    }
}

const NOT_A_PLACE: &str = "must be the \"next\" of an earlier answer of this gateway";

/// A place of another bus.
fn foreign(_: NoPlace) -> Problem {
    Problem::faulty("the question breaks rules", Faults::one("before", "", NOT_A_PLACE))
}

/// One value of the query; what is wrong with it joins the faults.
fn read<T>(
    field: &str,
    text: Option<String>,
    faults: &mut Vec<Fault>,
    understand: impl Fn(&str) -> Result<T, String>,
) -> Option<T> {
    let text = text?;
    understand(&text).map_err(|rule| faults.push(Fault::new(field, &text, rule))).ok()
}

fn limit(text: &str) -> Result<usize, String> {
    let limit = text.parse().ok().filter(|limit| (1..=MOST).contains(limit));
    limit.ok_or_else(|| format!("must be a number, 1 to {MOST}"))
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

fn phase(word: &str) -> Result<Wish, String> {
    let known = [Phase::Queued, Phase::WaitingApproval, Phase::Running, Phase::Unwinding, Phase::Ended];
    if word == "open" {
        return Ok(Wish::Open);
    }
    known.into_iter().find(|phase| phase.as_str() == word).map(Wish::One).ok_or_else(|| {
        let words: Vec<&str> = known.iter().map(|phase| phase.as_str()).collect();
        format!("must be open, {}", words.join(", "))
    })
}
