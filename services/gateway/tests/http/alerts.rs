//! Alerts by HTTP: each for its own instance, each once.

use instance_bus::Headers;
use instance_clock::{Clock as _, SystemClock};
use instance_contract::{
    Decision, Finding, FindingSource, RemediationId, Shard,
    subject::{self, RecordKind},
};
use instance_gateway::Limits;
use serde_json::{Value, json};

use crate::desk::{Answer, Desk, desk, desk_with};

fn alert(name: &str, instance: &str, fingerprint: &str) -> Value {
    json!({
        "status": "firing", "labels": {"alertname": name, "iris_instance": instance, "instance": "db1:52773"},
        "annotations": {"value": SystemClock.now().to_string()}, "startsAt": "2026-11-21T08:00:00.123Z",
        "endsAt": "0001-01-01T00:00:00Z", "generatorURL": "http://p/graph", "fingerprint": fingerprint,
    })
}

fn resolved(mut alert: Value) -> Value {
    alert["status"] = json!("resolved");
    alert["endsAt"] = json!("2026-11-21T08:02:00Z");
    alert
}

fn group(alerts: &[Value]) -> Value {
    json!({
        "version": "4", "groupKey": "{}:{}", "truncatedAlerts": 0, "status": "firing", "receiver": "instance",
        "groupLabels": {}, "commonLabels": {}, "commonAnnotations": {}, "externalURL": "http://a", "alerts": alerts,
    })
}

async fn tell(desk: &Desk, alerts: &[Value]) -> Answer {
    desk.post("/v1/alerts/alertmanager", &group(alerts)).await
}

fn outcomes(answer: &Answer) -> Vec<String> {
    assert_eq!(answer.status, 200, "{answer:?}");
    let alerts = answer.json()["alerts"].as_array().unwrap().clone();
    alerts.iter().map(|alert| alert["outcome"].as_str().unwrap().to_owned()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn each_alert_of_a_group_is_handled_for_its_own_instance() {
    let desk = desk().await;
    let mut alerts: Vec<Value> =
        (0..10).map(|number| alert("IrisDown", &format!("DB{number}"), &format!("f{number}"))).collect();
    alerts.push(alert("SomethingElse", "DB0", "g1"));
    alerts.push(alert("Watchdog", "DB0", "g2"));
    // It carries Instance.
    alerts.push(alert("IrisDown", "OPS", "g3"));
    alerts.push(json!({"status": "firing"}));
    let answer = tell(&desk, &alerts).await;
    let mut expected = vec!["commanded"; 10];
    expected.extend(["escalated", "ignored", "escalated", "escalated"]);
    assert_eq!(outcomes(&answer), expected);
    for number in 0..10 {
        let (_, command) = desk.newest_command(&format!("DB{number}")).await.unwrap();
        assert_eq!(command["execution_order"], json!(["iris_restart"]));
        assert_eq!(command["requested_by"], "tests");
    }
    assert_eq!(desk.newest_command("*").await.unwrap().0, 10);
    assert!(desk.newest_command("OPS").await.is_none());
    let calls = calls(&desk).await;
    let told: Vec<(&str, &str)> = calls.iter().map(|call| (call.instance.as_str(), why(call))).collect();
    let [(one, no_row), (two, carries), (three, unreadable)] = told.as_slice() else { panic!("{told:?}") };
    assert_eq!([*one, *two, *three], ["DB0", "OPS", "(none)"]);
    assert!(no_row.contains("no row") && carries.contains("carries Instance"), "{told:?}");
    assert!(unreadable.contains("labels: is required"), "{told:?}");
    assert!(desk.bus.dead_letters().await.unwrap().is_empty());
}

/// What people are called for.
async fn calls(desk: &Desk) -> Vec<Finding> {
    let records = desk.bus.read_incidents(&subject::findings()).await.unwrap();
    records.iter().map(|record| record.json().unwrap()).collect()
}

fn why(call: &Finding) -> &str {
    match &call.decision {
        Decision::Person { why, .. } => why,
        other => panic!("{other:?}"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_alert_that_is_told_again_is_done_once() {
    let desk = desk().await;
    let down = alert("IrisDown", "PROD", "f1");
    let first = tell(&desk, std::slice::from_ref(&down)).await;
    assert_eq!(outcomes(&first), ["commanded"]);
    // The annotations differ: they count for nothing.
    let again = tell(&desk, &[alert("IrisDown", "PROD", "f1")]).await;
    assert_eq!(outcomes(&again), ["repeated"]);
    let id = |answer: &Answer| answer.json()["alerts"][0]["remediation_id"].clone();
    assert_eq!(id(&first), id(&again));
    // A gateway that knows nothing of it sends the same bytes under the same id, and the bus keeps the first.
    let (place, command) = desk.newest_command("PROD").await.unwrap();
    let other = desk.another_gateway().await;
    assert_eq!(outcomes(&tell(&other, std::slice::from_ref(&down)).await), ["commanded"]);
    assert_eq!(desk.newest_command("PROD").await.unwrap(), (place, command));

    let over = tell(&desk, &[resolved(down)]).await;
    assert_eq!(outcomes(&over), ["resolved"]);
    assert_eq!(desk.newest_command("PROD").await.unwrap().0, place, "the end of an alert orders nothing");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_alert_for_a_person_is_told_to_one_once() {
    let desk = desk().await;
    for expected in ["escalated", "repeated", "repeated"] {
        let answer = tell(&desk, &[alert("IrisJournalSpaceLow", "PROD", "f1")]).await;
        assert_eq!(outcomes(&answer), [expected]);
    }
    // A gateway that knows nothing of it finds it told.
    let other = desk.another_gateway().await;
    let again = tell(&other, &[alert("IrisJournalSpaceLow", "PROD", "f1")]).await;
    assert_eq!(outcomes(&again), ["repeated"]);
    let calls = calls(&desk).await;
    let [call] = calls.as_slice() else { panic!("{calls:?}") };
    assert!(why(call).contains("journal files are never deleted"), "{call:?}");
    assert_eq!(
        (call.instance.as_str(), call.host.as_str(), call.source),
        ("PROD", "db1", FindingSource::Alert)
    );
    let [entry] = call.evidence.as_slice() else { panic!("{call:?}") };
    assert!(entry.excerpt.starts_with("alert IrisJournalSpaceLow: instance=db1:52773 iris_"), "{entry:?}");
    assert!(call.reasons[0].contains("\"tests\""), "{call:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_alert_that_goes_on_when_its_remediation_has_failed_calls_a_person() {
    let desk = desk().await;
    let down = || alert("IrisDown", "PROD", "f1");
    let first = tell(&desk, &[down()]).await;
    let id: RemediationId =
        serde_json::from_value(first.json()["alerts"][0]["remediation_id"].clone()).unwrap();
    assert_eq!(outcomes(&tell(&desk, &[down()]).await), ["repeated"], "nothing is known yet");
    // What a router writes that may not do it.
    let (_, command) = desk.newest_command("PROD").await.unwrap();
    let ended = json!({
        "schema": "instance.v1.workflow_trace", "trace_id": command["trace_id"], "remediation_id": id,
        "command_received": null, "initiated_at": SystemClock.now(), "steps_executed": [],
        "overall_status": "refused", "failed_at_step": null, "verification": null, "completion_time_ms": 1,
        "plan_digest": null, "planned": [], "warnings": [], "reason": "policy says no", "faults": [],
        "totals": {"completed": 0, "failed": 0, "skipped": 0, "total": 0},
        "because": {"now": SystemClock.now(), "event": "command", "delay_ms": 0, "epoch": 0, "halted": false},
    });
    let subject = subject::record(Shard(1), id, &RecordKind::Ended);
    desk.bus.publish_once(&subject, &ended, Headers::new()).await.unwrap();
    for expected in ["escalated", "repeated"] {
        let answer = tell(&desk, &[down()]).await;
        assert_eq!(outcomes(&answer), [expected], "{answer:?}");
        assert_eq!(answer.json()["alerts"][0]["remediation_id"], json!(id));
    }
    let calls = calls(&desk).await;
    assert_eq!(calls.len(), 1);
    assert!(why(&calls[0]).ends_with("ended as refused: policy says no"), "{}", why(&calls[0]));
    assert_eq!(desk.newest_command("*").await.unwrap().0, 1, "nothing is ordered twice");
}

#[tokio::test(flavor = "multi_thread")]
async fn of_a_flood_of_alerts_people_are_called_for_so_many_and_the_rest_is_kept() {
    // One request with 300 writes, each confirmed.
    let desk = desk_with(Limits { request_seconds: 60, ..Limits::default() }).await;
    let unknown = |number: usize| alert("SomethingElse", "PROD", &format!("f{number}"));
    let flood: Vec<Value> = (0..300).map(unknown).collect();
    let told = outcomes(&tell(&desk, &flood).await);
    assert!(told.iter().all(|outcome| outcome == "escalated"), "{told:?}");
    let (called, kept) = (calls(&desk).await.len(), desk.bus.dead_letters().await.unwrap().len());
    // One a minute more than at once; nothing is lost.
    assert!((100..110).contains(&called) && called + kept == 300, "{called} called, {kept} kept");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_only_forecast_may_still_be_done() {
    let desk = desk().await;
    let dry = desk.dry_gateway().await;
    let down = alert("IrisDown", "PROD", "f1");
    assert_eq!(outcomes(&tell(&dry, std::slice::from_ref(&down)).await), ["commanded"]);
    assert_eq!(desk.newest_command("PROD").await.unwrap().1["dry_run"], true);
    assert_eq!(outcomes(&tell(&desk, &[down]).await), ["commanded"]);
    let (place, command) = desk.newest_command("PROD").await.unwrap();
    assert_eq!((place, command["dry_run"].as_bool()), (2, Some(false)), "{command}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_webhook_is_refused_with_every_fault() {
    let desk = desk().await;
    let answer = desk.post("/v1/alerts/alertmanager", &json!({"version": "3", "alerts": 7})).await;
    assert_eq!(answer.status, 422);
    let fields: Vec<String> = answer.json()["faults"]
        .as_array()
        .unwrap()
        .iter()
        .map(|fault| fault["field"].as_str().unwrap().to_owned())
        .collect();
    assert_eq!(fields, ["version", "alerts"]);
    let many = vec![json!({}); 1_001];
    assert_eq!(tell(&desk, &many).await.status, 422);
    assert!(desk.bus.dead_letters().await.unwrap().is_empty());
}
