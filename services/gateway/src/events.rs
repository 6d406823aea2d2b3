//! `GET /v1/events`: the remediation log as it is written, as server-sent events.

use std::{collections::BTreeMap, convert::Infallible, sync::Arc, time::Duration};

use axum::{
    extract::{Query, State, rejection::QueryRejection},
    http::{HeaderMap, StatusCode},
    response::{
        IntoResponse as _, Response, Sse,
        sse::{Event, KeepAlive},
    },
};
use futures::{StreamExt as _, stream};
use instance_bus::{LogFollow, LogMessage};
use instance_contract::{
    Faults, RemediationId, Shard,
    subject::{self, RecordKind, parse_record},
};
use serde::Deserialize;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::{Gateway, problem::Problem};

/// Shows that the stream lives, through proxies too.
const HEARTBEAT: Duration = Duration::from_secs(10);

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Wanted {
    /// Only of this one.
    remediation: Option<Uuid>,
    /// From the first record that the bus remembers, not from now on.
    #[serde(default)]
    from_start: bool,
}

/// Where a listener stands in each shard's log; the id of an event, given back in `Last-Event-ID`.
type Places = BTreeMap<u16, u64>;

pub(crate) async fn stream(
    State(gateway): State<Arc<Gateway>>,
    wanted: Result<Query<Wanted>, QueryRejection>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let bad = |field: &str, rule: String| {
        Problem::faulty("the question breaks rules", Faults::one(field, "", rule))
    };
    let Query(wanted) = wanted.map_err(|rejection| bad("query", rejection.body_text()))?;
    let before =
        match headers.get("last-event-id") {
            None => None,
            Some(value) => Some(value.to_str().ok().and_then(places).ok_or_else(|| {
                bad("Last-Event-ID", "must be the id of an event of this stream".to_owned())
            })?),
        };
    let slot = Arc::clone(&gateway.event_streams).try_acquire_owned().map_err(|_| {
        Problem::later(
            StatusCode::SERVICE_UNAVAILABLE,
            "too many event streams; the setting \"limits\" says how many",
        )
    })?;
    let mut places = Places::new();
    let mut logs = Vec::new();
    for shard in gateway.bus.topology().await?.shards() {
        let place = match before.as_ref().and_then(|before| before.get(&shard.0)) {
            Some(place) => *place,
            None if wanted.from_start => 0,
            None => gateway.bus.last_sequence(shard).await?,
        };
        places.insert(shard.0, place);
        let filter = match wanted.remediation {
            Some(id) => subject::remediation_of(shard, RemediationId::from_uuid(id)),
            None => subject::shard_log(shard),
        };
        logs.push(endless(gateway.bus.follow(shard, &[filter], place.saturating_add(1))));
    }
    let drain = gateway.drain.clone();
    let events = stream::select_all(logs)
        .filter_map(move |message| {
            // The slot is the stream's, and free when it ends.
            let _held = &slot;
            std::future::ready(event(&message, &mut places).map(Ok::<_, Infallible>))
        })
        .take_until(async move { drain.requested().await });
    Ok(Sse::new(events).keep_alive(KeepAlive::new().interval(HEARTBEAT)).into_response())
}

/// Goes on over an absence of the bus: the follow opens again where it was.
fn endless(log: LogFollow) -> stream::BoxStream<'static, LogMessage> {
    stream::unfold(log, |mut log| async move {
        loop {
            match log.next().await {
                Ok(message) => return Some((message, log)),
                Err(error) => {
                    let error = instance_chassis::error_chain(&error);
                    tracing::warn!(error, "an event stream waits for the bus");
                }
            }
        }
    })
    .boxed()
}

/// `None` for what is not about a remediation.
fn event(message: &LogMessage, places: &mut Places) -> Option<Event> {
    let (Shard(shard), id, kind) = parse_record(&message.subject)?;
    places.insert(shard, message.sequence);
    let text: Vec<String> = places.iter().map(|(shard, place)| format!("{shard}:{place}")).collect();
    // A record that cannot be read is told as text, and hides none of the others.
    let mut record: Value = serde_json::from_slice(&message.payload)
        .unwrap_or_else(|_| Value::String(String::from_utf8_lossy(&message.payload).into_owned()));
    instance_redaction::redact_document(&mut record);
    let data = json!({
        "remediation_id": id, "kind": kind.to_string(), "at": message.published_at, "shard": shard,
        "sequence": message.sequence, "record": record,
    });
    Some(Event::default().id(text.join(",")).event(word(&kind)).data(data.to_string()))
}

const fn word(kind: &RecordKind) -> &'static str {
    match kind {
        RecordKind::Accepted => "accepted",
        RecordKind::Planned => "planned",
        RecordKind::Step { .. } => "step",
        RecordKind::Result { .. } => "result",
        RecordKind::ApprovalAsked(_) => "approval_asked",
        RecordKind::ApprovalAnswered(_) => "approval_answered",
        RecordKind::Ended => "ended",
    }
}

fn places(text: &str) -> Option<Places> {
    let place = |part: &str| {
        let (shard, place) = part.split_once(':')?;
        Some((shard.parse().ok()?, place.parse().ok()?))
    };
    text.split(',').take(1_024).map(place).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn where_a_listener_stands_is_read_as_it_was_written() {
        assert_eq!(places("0:7,3:0"), Some(Places::from([(0, 7), (3, 0)])));
        for bad in ["", "7", "a:b", "0:1;1:2", "0:-1"] {
            assert_eq!(places(bad), None, "{bad}");
        }
    }
}
