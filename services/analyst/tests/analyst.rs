//! The analyst as a process on a real NATS server: storms, and what a restart keeps.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test may panic")]

#[cfg(feature = "crashpoints")]
#[path = "analyst/deaths.rs"]
mod deaths;
#[path = "analyst/desk.rs"]
mod desk;
#[path = "analyst/model.rs"]
mod model; // Where a model may choose.
#[path = "analyst/steps.rs"]
mod steps; // What is done to an instance while its log is read.
#[path = "analyst/webhook.rs"]
mod webhook; // Who does not take findings is left alone.

use std::sync::atomic::Ordering;

use desk::{DIED, Desk, PANIC, PATIENCE, message, message_subject};
use instance_bus::Headers;
use instance_contract::subject::IncidentRecord;
use instance_testkit::eventually;
use serde_json::Value;

const LIMIT: &str = "License limit exceeded 1 times since instance start.";

fn opened(records: &[(IncidentRecord, Value)]) -> usize {
    records.iter().filter(|(kind, _)| matches!(kind, IncidentRecord::Opened)).count()
}

fn decided(records: &[(IncidentRecord, Value)], decision: &str, condition: &Value) -> bool {
    records.iter().any(|(kind, record)| {
        matches!(kind, IncidentRecord::Finding(_))
            && record["decision"]["kind"] == decision
            && record["condition"] == *condition
    })
}

/// Ten thousand entries of three causes wait, and a critical one behind them all.
#[tokio::test(flavor = "multi_thread")]
async fn a_storm_is_an_incident_a_cause_and_the_critical_one_comes_through() {
    let desk = Desk::new().await;
    for number in 0..10_000_u128 {
        let (text, severity) = match number % 3 {
            0 => (PANIC.to_owned(), 2),
            1 => (format!("Frobnicator {number} could not write /x/{number}"), 2),
            _ => ("everyday line".to_owned(), 0),
        };
        let payload = message(number + 10, &text, severity).to_string().into();
        desk.bus.publish_core(&message_subject(severity), payload, Headers::new()).await.unwrap();
    }
    desk.says(1, DIED, 3).await;
    let _analyst = desk.analyst(&[]);
    let records = desk
        .until("an answer to each", |records| {
            decided(records, "remediation", &"write-daemon-died".into())
                && decided(records, "remediation", &"global-buffers-insufficient".into())
                && decided(records, "person", &Value::Null)
        })
        .await;
    assert_eq!(opened(&records), 3);
    // Everything is taken in the end, and nothing more was made of it.
    desk.says(2, LIMIT, 2).await;
    let last =
        |records: &[(IncidentRecord, Value)]| decided(records, "person", &"license-limit-exceeded".into());
    let records = desk.until("the last one", last).await;
    assert_eq!(opened(&records), 4);
    let asked = || async { (desk.real_commands().len() == 3).then_some(()) };
    eventually(PATIENCE, asked).await;
}

/// Killed while a remediation is under way and while a person is told; the next one repeats neither.
#[tokio::test(flavor = "multi_thread")]
async fn a_restart_keeps_incidents() {
    let desk = Desk::new().await;
    desk.router_works.store(false, Ordering::SeqCst);
    let mut first = desk.analyst(&[]);
    desk.says(1, "Nobody has ever heard of this trouble", 2).await;
    desk.until("a person", |records| decided(records, "person", &Value::Null)).await;
    desk.says(2, DIED, 3).await;
    desk.until("an incident", |records| opened(records) == 2).await;
    first.kill();
    desk.router_works.store(true, Ordering::SeqCst);
    let _second = desk.analyst(&[]);
    desk.says(3, "Nobody has ever heard of this trouble", 2).await;
    let closed = |records: &[(IncidentRecord, Value)]| {
        records.iter().any(|(kind, _)| matches!(kind, IncidentRecord::Closed))
    };
    let records = desk.until("the end of the remediation", closed).await;
    assert_eq!(opened(&records), 2, "{records:#?}");
    assert_eq!(desk.real_commands().len(), 1);
}
