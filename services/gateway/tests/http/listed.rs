//! Lists: of a log that is longer than an answer, in parts, each remediation once.

use futures::StreamExt as _;
use instance_bus::{Bus, Headers, OpenHint};
use instance_contract::{
    RemediationId, Shard,
    subject::{self, RecordKind},
};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::desk::{Desk, desk};

const COMMAND: &str = include_str!("../../../../examples/config-restart.json");
/// Remediations that are open at the same time: of some, the end stands in another window of the log than the beginning.
const AT_A_TIME: usize = 300;

async fn write(bus: &Bus, shard: Shard, id: RemediationId, kind: &RecordKind, mut record: Value) -> u64 {
    record["schema"] = json!("any");
    record["trace_id"] = json!("4bf92f3577b34da6a3ce929d0e0e4736");
    record["remediation_id"] = json!(id);
    record["because"] = json!({"now": "2026-11-21T08:00:00Z", "event": "any", "delay_ms": 0});
    let subject = subject::record(shard, id, kind);
    bus.publish_once_confirmed(&subject, &record, Headers::new()).await.unwrap().sequence
}

async fn accept(bus: &Bus, shard: Shard, id: RemediationId) -> u64 {
    let command: Value = serde_json::from_str(COMMAND).unwrap();
    let plan = json!({"steps": [], "digest": "a".repeat(64), "approvals": [], "warnings": []});
    let record = json!({
        "command": command, "command_digest": "b".repeat(64), "accepted_at": "2026-11-21T08:00:00Z",
        "deadline": "2026-11-21T09:00:00Z", "policy": "", "facts": null, "traceparent": null, "plan": plan,
    });
    write(bus, shard, id, &RecordKind::Accepted, record).await
}

async fn end(bus: &Bus, shard: Shard, id: RemediationId) -> u64 {
    let record = json!({
        "command_received": null, "initiated_at": "2026-11-21T08:00:00Z", "steps_executed": [],
        "overall_status": "refused", "failed_at_step": null, "verification": null, "completion_time_ms": 1,
        "totals": {"total": 0, "completed": 0, "failed": 0, "skipped": 0}, "reason": "a test",
    });
    write(bus, shard, id, &RecordKind::Ended, record).await
}

fn new_id() -> RemediationId {
    RemediationId::from_uuid(Uuid::new_v4())
}

/// So many that have ended, oldest first.
async fn ended(bus: &Bus, shard: Shard, count: usize) -> Vec<RemediationId> {
    let ids: Vec<RemediationId> = (0..count).map(|_| new_id()).collect();
    let mut accepted = Vec::new();
    for some in ids.chunks(AT_A_TIME) {
        let begun = futures::stream::iter(some.iter().copied())
            .map(|id| async move { (accept(bus, shard, id).await, id) })
            .buffer_unordered(50);
        accepted.extend(begun.collect::<Vec<_>>().await);
        let ended = futures::stream::iter(some).map(|id| end(bus, shard, *id)).buffer_unordered(50);
        ended.collect::<Vec<_>>().await;
    }
    accepted.sort_unstable_by_key(|(sequence, _)| *sequence);
    accepted.into_iter().map(|(_, id)| id).collect()
}

/// Every part of a list, newest first, and how many parts there were.
async fn listed(desk: &Desk, query: &str) -> (Vec<String>, usize) {
    let (mut all, mut parts, mut before) = (Vec::new(), 0, String::new());
    loop {
        let answer = desk.get(&format!("/v1/remediations?{query}{before}")).await;
        assert_eq!(answer.status, 200, "{answer:?}");
        let answer = answer.json();
        let ids = answer["remediations"].as_array().unwrap().iter();
        let ids: Vec<String> = ids.map(|one| one["remediation_id"].as_str().unwrap().to_owned()).collect();
        assert_eq!(answer["found"], ids.len());
        all.extend(ids);
        parts += 1;
        let Some(next) = answer["next"].as_str() else { return (all, parts) };
        before = format!("&before={next}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_log_longer_than_an_answer_is_told_in_parts_and_each_remediation_once() {
    let desk = desk().await;
    let (bus, shard) = (&desk.bus, Shard(1));
    let (oldest, refused) = ([new_id(), new_id()], new_id());
    let mut accepted = Vec::new();
    for id in oldest {
        accepted.push(accept(bus, shard, id).await);
    }
    let mut known = oldest.to_vec();
    known.extend(ended(bus, shard, 1_200).await);
    // Refused before it was accepted, as a router does it.
    end(bus, shard, refused).await;
    known.push(refused);
    let of_another_shard = ended(bus, Shard(3), 5).await;

    let (told, parts) = listed(&desk, "limit=500").await;
    let newest_first = |ids: &[RemediationId]| ids.iter().rev().map(ToString::to_string).collect::<Vec<_>>();
    let (newer, older) = told.split_at(5);
    assert_eq!(newer, newest_first(&of_another_shard));
    assert!(older == newest_first(&known), "each once, in the order of the log");
    assert_eq!(parts, 3);
    let usual = desk.get("/v1/remediations").await.json();
    assert_eq!((&usual["found"], usual["next"].is_string()), (&json!(100), true));
    assert_eq!(listed(&desk, "phase=ended&limit=1000").await.0.len(), told.len() - 2);
    assert_eq!(listed(&desk, "since=2100-01-01T00:00:00Z").await, (Vec::new(), 1));

    let open = newest_first(&oldest);
    assert_eq!(listed(&desk, "phase=open").await, (open.clone(), 1), "no router has left a hint");
    assert_eq!(listed(&desk, "phase=open&limit=1").await, (open.clone(), 2));
    // A hint is used when it is the newest owner's: by this one, which is short of one, that can be seen.
    let epoch = 7;
    bus.publish_once_confirmed(&subject::owner(shard, epoch), &json!({}), Headers::new()).await.unwrap();
    let read_to = bus.last_sequence(shard).await.unwrap();
    let hint = OpenHint { accepted: vec![accepted[1]], read_to, epoch, ..OpenHint::default() };
    bus.put_open_hint(shard, &hint).await.unwrap();
    assert_eq!(listed(&desk, "phase=open").await.0, open[..1]);
    let since_then = new_id();
    accept(bus, shard, since_then).await;
    assert_eq!(listed(&desk, "phase=open").await.0, [since_then.to_string(), open[0].clone()]);
    bus.put_open_hint(shard, &OpenHint { epoch: 6, ..hint }).await.unwrap();
    assert_eq!(listed(&desk, "phase=open").await.0.len(), 3, "one who was followed says nothing");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_question_that_breaks_rules_is_told_all_its_faults() {
    let desk = desk().await;
    let answer = desk.get("/v1/remediations?limit=0&before=x&since=monday&phase=over&instance=%20").await;
    assert_eq!(answer.status, 422, "{answer:?}");
    let faults = answer.json()["faults"].as_array().unwrap().clone();
    let fields: Vec<&str> = faults.iter().map(|fault| fault["field"].as_str().unwrap()).collect();
    assert_eq!(fields, ["limit", "instance", "phase", "before", "since"]);
    for (query, rule) in [
        ("limit=1001", "must be a number, 1 to 1000"),
        ("limit=many", "must be a number, 1 to 1000"),
        ("before=12", "must be the \"next\" of an earlier answer of this gateway"),
        ("before=12&phase=open", "must be the \"next\" of an earlier answer of this gateway"),
        ("before=..%2F..", "must be the \"next\" of an earlier answer of this gateway"),
        ("before=99999999999999999999-1-1-1", "must be the \"next\" of an earlier answer of this gateway"),
        ("since=yesterday", "must be an instant of RFC 3339, such as 2026-11-21T08:00:00Z"),
    ] {
        let answer = desk.get(&format!("/v1/remediations?{query}")).await;
        assert_eq!(
            (answer.status, answer.json()["faults"][0]["rule"].as_str()),
            (422, Some(rule)),
            "{query}"
        );
    }
    assert_eq!(desk.get("/v1/remediations?colour=red").await.status, 422);
}
