//! Remediations that others asked for, under way before the analyst starts or begun while it works.

use instance_bus::Headers;
use instance_contract::{
    AgentKind, Attempt, RemediationId, Shard,
    subject::{self, IncidentRecord, RecordKind},
};
use serde_json::{Value, json};

use crate::desk::{Desk, accepted, command, message};

/// Of which no two are alike.
const TEXTS: [&str; 8] = [
    "The frobnicator has lost its marbles",
    "Nobody ever counted so many penguins",
    "An umbrella was left in the kitchen",
    "Seventeen violins play out of tune",
    "Yesterday's porridge is cold again",
    "Grandmother's bicycle squeaks terribly",
    "Purple clouds above an empty harbour",
    "This lighthouse keeper sleeps too long",
];

/// A restart of that instance that a router has taken.
async fn taken(desk: &Desk, instance: &str) -> RemediationId {
    let bytes = json!({
        "schema": "instance.v1.remediation_command", "command_id": uuid::Uuid::new_v4().to_string(),
        "trace_id": "0af7651916cd43dd8448eb211c80319c", "instance": instance, "error_type": "other", "severity": 3,
        "recommended_action": "restart it", "requires_restart": true, "requested_by": "ada",
        "issued_at": "2026-11-21T08:00:00Z", "execution_order": ["iris_restart"], "parameters": {},
    });
    let bytes = bytes.to_string().into_bytes();
    let command = command(&bytes);
    let id = RemediationId::from(command.command_id);
    let subject = subject::record(Shard(0), id, &RecordKind::Accepted);
    desk.bus.publish_once(&subject, &accepted(&command, &bytes), Headers::new()).await.unwrap();
    id
}

/// Its first step is sent.
async fn stepped(desk: &Desk, id: RemediationId) {
    let (host, step) = ("h".parse().unwrap(), "restart".parse().unwrap());
    let subject = subject::step(Shard(0), id, AgentKind::Restart, &host, &step, Attempt::FIRST);
    desk.bus.publish_once(&subject, &json!({}), Headers::new()).await.unwrap();
}

/// A grave text that nobody knows, each of a process of its own.
async fn stumbles(desk: &Desk, instance: &str, text: &str) {
    let id = uuid::Uuid::new_v4().as_u128();
    let mut message = message(id, text, 2);
    message["instance"] = instance.into();
    message["process_id"] = u32::try_from(id % 1_000_000).unwrap().into();
    let subject = subject::error(&"h".parse().unwrap(), &instance.parse().unwrap(), 2.try_into().unwrap());
    desk.bus.publish_bytes(&subject, message.to_string().into(), None, Headers::new()).await.unwrap();
}

/// Was a person told of it?
fn told(records: &[(IncidentRecord, Value)], instance: &str, text: &str) -> bool {
    records.iter().any(|(kind, record)| {
        matches!(kind, IncidentRecord::Finding(_))
            && record["instance"] == instance
            && record["evidence"][0]["excerpt"] == text
    })
}

/// One is begun before the start, the other waits for a person.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_begun_is_heard_and_what_waits_is_not() {
    let desk = Desk::new().await;
    let begun = taken(&desk, "BEGUN").await;
    stepped(&desk, begun).await;
    taken(&desk, "WAITING").await;
    stumbles(&desk, "BEGUN", TEXTS[0]).await;
    let _analyst = desk.analyst(&[]);
    // Entries are taken in their order: with the later ones told of, the first one would have been.
    for text in &TEXTS[..2] {
        stumbles(&desk, "WAITING", text).await;
        desk.until("a person for who waits", |records| told(records, "WAITING", text)).await;
    }
    let records = desk.records().await;
    assert!(!told(&records, "BEGUN", TEXTS[0]), "{records:#?}");
}

/// Steps that are sent while the analyst works reach it by the logs that it follows.
#[tokio::test(flavor = "multi_thread")]
async fn a_step_that_is_sent_later_is_followed() {
    let desk = Desk::new().await;
    let id = taken(&desk, "BEGUN").await;
    let _analyst = desk.analyst(&[]);
    let mut before: Option<&str> = None;
    for (round, text) in TEXTS.iter().enumerate() {
        stumbles(&desk, "BEGUN", text).await;
        stumbles(&desk, "OTHER", text).await;
        let records = desk.until("a person for the other one", |records| told(records, "OTHER", text)).await;
        match before.replace(text) {
            None => stepped(&desk, id).await,
            // A whole round later it would have been told.
            Some(before) if !told(&records, "BEGUN", before) => {
                assert!(round > 1, "nothing was begun when it was said: {records:#?}");
                return;
            }
            Some(_) => {}
        }
    }
    panic!("the step was never heard of: {}", desk.log());
}
