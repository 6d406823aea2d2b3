//! A person is called through a webhook: a real endpoint that is away, slow, rude or gone, and a real nats-server.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on says where")]

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use instance_bus::Bus;
use instance_contract::{Decision, IncidentAcknowledged, subject::IncidentRecord};
use instance_testkit::{Endpoint, NatsServer, Seen, TestIncident, bus};
use instance_transport::{Escalation, Told, Webhook};
use serde_json::json;

/// Nothing waits for it but a test that hangs.
const PATIENCE: Duration = Duration::from_mins(3);

async fn escalation(bus: &Bus, address: SocketAddr) -> Escalation {
    let webhook = Webhook::new(&format!("http://{address}/hook"), PATIENCE, Some("k3y".to_owned())).unwrap();
    Escalation::open(bus, webhook).await.unwrap()
}

/// What becomes of the next so many deliveries.
async fn told(escalation: &mut Escalation, deliveries: usize) -> Vec<Told> {
    let mut all = Vec::new();
    for _ in 0..deliveries {
        let delivery = tokio::time::timeout(PATIENCE, escalation.next()).await.unwrap().unwrap();
        all.push(escalation.tell(delivery).await.unwrap());
    }
    all
}

/// Incidents of one instance that ask for a person.
async fn waiting(bus: &Bus, numbers: impl IntoIterator<Item = u8>) -> Vec<TestIncident> {
    let mut all = Vec::new();
    for number in numbers {
        let at = "2026-11-21T10:00:00Z".parse().unwrap();
        let incident =
            TestIncident::new("PROD", Some("journal-not-started"), number, "Journaling NOT started.", at);
        incident.call_a_person(bus).await;
        all.push(incident);
    }
    all
}

#[tokio::test]
async fn nothing_is_lost_while_the_endpoint_is_away() {
    let server = NatsServer::start();
    let bus = bus(&server).await;
    let (address, seen) = (Endpoint::nobody(), Seen::default());
    let incidents = waiting(&bus, 1..=3).await;
    let decision = Decision::Nothing { why: "it is gone".to_owned() };
    incidents[0].write(&bus, IncidentRecord::Finding(2), &incidents[0].finding(2, decision)).await;
    let mut first = escalation(&bus, address).await;
    let mut outcomes = told(&mut first, 4).await;
    outcomes.sort_by_key(|told| *told != Told::NotAsked);
    assert_eq!(outcomes, [Told::NotAsked, Told::Later, Told::Later, Told::Later]);
    // Its process dies; the next one meets an endpoint that is busy at first, dies too, and comes back.
    drop(first);
    let busy = Endpoint::start(address, &seen, |_, _| 503);
    let mut second = escalation(&bus, address).await;
    assert_eq!(told(&mut second, 3).await, [Told::Later; 3]);
    drop(busy);
    let keys: BTreeMap<String, usize> =
        incidents.iter().map(|incident| (incident.id.finding(1).to_string(), 1)).collect();
    assert_eq!(seen.answered(503), keys, "the same keys on every try");
    let _back = Endpoint::start(address, &seen, |_, _| 204);
    assert_eq!(told(&mut second, 3).await, [Told::Taken; 3]);
    assert_eq!(seen.answered(204), keys);
    for posted in seen.all() {
        let header = |name: &str| posted.headers[name].as_str();
        assert_eq!(
            (header("authorization"), header("instance-schema")),
            ("Bearer k3y", "instance.v1.finding")
        );
        let sent = &posted.document;
        assert_eq!(
            (&sent["decision"]["kind"], &sent["finding_id"]),
            (&json!("person"), &json!(posted.key()))
        );
    }
    assert!(bus.dead_letters().await.unwrap().is_empty());
    // And never again.
    let again = tokio::time::timeout(Duration::from_secs(2), second.next()).await;
    assert!(again.is_err(), "{again:?}");
}

#[tokio::test]
async fn what_is_refused_is_a_dead_letter_and_what_a_person_has_is_not_told() {
    let server = NatsServer::start();
    let bus = bus(&server).await;
    let seen = Seen::default();
    let incidents = waiting(&bus, 1..=2).await;
    let acknowledged = waiting(&bus, [3]).await.remove(0);
    let record = IncidentAcknowledged {
        schema: IncidentAcknowledged::SCHEMA.to_owned(),
        trace_id: acknowledged.trace_id(),
        incident_id: acknowledged.id,
        by: "operator".to_owned(),
        at: acknowledged.at,
        note: None,
        seen_finding: None,
        try_again: false,
    };
    acknowledged.write(&bus, IncidentRecord::Acknowledged, &record).await;
    acknowledged.write(&bus, IncidentRecord::Finding(9), &json!({"schema": "something else"})).await;
    let refused = incidents[0].id.finding(1).to_string();
    let rude = refused.clone();
    let address = Endpoint::nobody();
    let _endpoint = Endpoint::start(address, &seen, move |key, times| match times {
        _ if key == rude => 404,
        1 => 429,
        _ => 200,
    });
    let mut escalation = escalation(&bus, address).await;
    let outcomes = told(&mut escalation, 5).await;
    assert_eq!(outcomes, [Told::Dead, Told::Later, Told::Acknowledged, Told::Dead, Told::Taken]);
    assert_eq!(seen.answered(404), BTreeMap::from([(refused, 1)]));
    assert_eq!(seen.all().len(), 3, "what a person has is not told");
    let letters = bus.dead_letters().await.unwrap();
    let reasons: Vec<&str> = letters.iter().map(|letter| letter.reason.as_str()).collect();
    assert!(reasons[0].starts_with("refused: ") && reasons[0].contains("404"), "{reasons:?}");
    assert!(!reasons[0].contains("/hook"), "the path of a webhook is its secret: {reasons:?}");
    assert!(reasons[1].starts_with("unreadable: missing field"), "{reasons:?}");
}
