//! Alerts by HTTP: each for its own instance, each once.

use instance_clock::{Clock as _, SystemClock};
use serde_json::{Value, json};

use crate::desk::{Answer, Desk, desk};

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
    let letters = desk.bus.dead_letters().await.unwrap();
    let reasons: Vec<&str> = letters.iter().map(|letter| letter.reason.as_str()).collect();
    assert_eq!(reasons.len(), 3, "{reasons:?}");
    assert!(reasons[0].contains("no row") && reasons[1].contains("carries Instance"), "{reasons:?}");
    assert!(reasons[2].contains("labels: is required"), "{reasons:?}");
    assert!(letters.iter().all(|letter| letter.stream == "ALERTS"));
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
    let letters = desk.bus.dead_letters().await.unwrap();
    let [letter] = letters.as_slice() else { panic!("{letters:?}") };
    assert!(letter.reason.contains("journal files are never deleted"), "{}", letter.reason);
    let kept: Value = serde_json::from_slice(&letter.payload).unwrap();
    assert_eq!(kept["labels"]["iris_instance"], "PROD");
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
