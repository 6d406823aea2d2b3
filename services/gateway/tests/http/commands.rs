//! Commands by HTTP: as on the bus, in one's own name, with every fault told.

use instance_contract::{AnswerStatus, CommandAnswer, Fault};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::desk::{Desk, desk};

fn restart(requested_by: &str) -> Value {
    json!({
        "schema": "instance.v1.remediation_command", "command_id": Uuid::new_v4(),
        "trace_id": Uuid::new_v4().simple().to_string(), "instance": "PROD", "error_type": "other", "severity": 3,
        "recommended_action": "what the test wants", "requires_restart": true, "requested_by": requested_by,
        "issued_at": "2026-11-21T08:00:00Z", "execution_order": ["iris_restart"], "parameters": {},
    })
}

pub async fn answered(desk: &Desk, status: AnswerStatus) -> (Value, crate::desk::Answer) {
    let command = restart("tests");
    let router = desk.answer_as_router("PROD", |command| CommandAnswer {
        status,
        place: Some(2),
        ..CommandAnswer::refused(
            Some(command["command_id"].as_str().unwrap().parse().unwrap()),
            None,
            vec![Fault::new("instance", "PROD", "is known to nobody")],
        )
    });
    let (answer, ()) = tokio::join!(desk.post("/v1/commands", &command), router);
    (command, answer)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_command_goes_to_the_bus_as_it_came_and_can_be_followed() {
    let desk = desk().await;
    let (command, answer) = answered(&desk, AnswerStatus::Accepted).await;
    assert_eq!(answer.status, 202, "{answer:?}");
    let taken = answer.json();
    assert_eq!((&taken["status"], &taken["place"]), (&json!("accepted"), &json!(2)));
    let location = format!("/v1/remediations/{}", taken["remediation_id"].as_str().unwrap());
    assert_eq!(answer.header("location"), location);
    assert_eq!(desk.newest_command("PROD").await.unwrap(), (1, command));
    // No router has written anything yet.
    assert_eq!(desk.get(&location).await.status, 404);
}

/// The older form has no field for who asks: what goes out names the credential's owner all the same.
#[tokio::test(flavor = "multi_thread")]
async fn a_command_of_an_older_sender_goes_out_in_the_name_of_the_credential() {
    let desk = desk().await;
    let mut command = restart("tests");
    for field in ["schema", "requested_by", "issued_at"] {
        command.as_object_mut().unwrap().remove(field);
    }
    let router = desk.answer_as_router("PROD", |command| CommandAnswer {
        status: AnswerStatus::Accepted,
        ..CommandAnswer::refused(Some(command["command_id"].as_str().unwrap().parse().unwrap()), None, vec![])
    });
    let (answer, ()) = tokio::join!(desk.post("/v1/commands", &command), router);
    assert_eq!(answer.status, 202, "{answer:?}");
    let (_, sent) = desk.newest_command("PROD").await.unwrap();
    assert_eq!(
        (&sent["requested_by"], &sent["command_id"]),
        (&json!("tests"), &command["command_id"]),
        "{sent}"
    );
    assert_eq!(sent["execution_order"], command["execution_order"], "{sent}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_router_refuses_is_told_with_its_faults() {
    let desk = desk().await;
    let (_, answer) = answered(&desk, AnswerStatus::Refused).await;
    assert_eq!((answer.status, &answer.json()["faults"][0]["rule"]), (409, &json!("is known to nobody")));
}

#[tokio::test(flavor = "multi_thread")]
async fn every_fault_is_told_at_once_and_nothing_is_sent() {
    let desk = desk().await;
    let mut command = restart("tests");
    command["severity"] = json!(9);
    command["recommended_action"] = json!("");
    command["colour"] = json!("red");
    let answer = desk.post("/v1/commands", &command).await;
    assert_eq!(answer.status, 422);
    let faults: Vec<Fault> = serde_json::from_value(answer.json()["faults"].clone()).unwrap();
    let fields: Vec<&str> = faults.iter().map(|fault| fault.field.as_str()).collect();
    assert_eq!(fields, ["severity", "recommended_action", "colour"]);

    let foreign = desk.post("/v1/commands", &restart("root")).await;
    assert_eq!((foreign.status, &foreign.json()["faults"][0]["field"]), (403, &json!("requested_by")));
    for (text, status) in [("{", 422), ("", 422), ("[]", 422), ("{\"a\": 1, \"a\": 2}", 422)] {
        assert_eq!(desk.post_text("/v1/commands", text).await.status, status, "{text}");
    }
    let deep = "[".repeat(40_000);
    assert_eq!(desk.post_text("/v1/commands", deep).await.status, 422);
    assert!(desk.newest_command("*").await.is_none(), "nothing was sent");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_gateway_that_runs_dry_lets_nothing_pass_that_changes_something() {
    let desk = desk().await;
    let dry = desk.dry_gateway().await;
    let mut command = restart("tests");
    assert_eq!(dry.post("/v1/commands", &command).await.status, 403);
    let down = json!({"version": "4", "alerts": [{
        "status": "firing", "labels": {"alertname": "IrisDown", "iris_instance": "TEST"},
        "startsAt": "2026-11-21T08:00:00Z", "fingerprint": "f1",
    }]});
    assert_eq!(dry.post("/v1/alerts/alertmanager", &down).await.status, 200);
    let (place, sent) = desk.newest_command("*").await.unwrap();
    assert_eq!((place, &sent["dry_run"]), (1, &json!(true)), "{sent}");
    command["dry_run"] = json!(true);
    let router = desk.answer_as_router("PROD", |_| CommandAnswer {
        status: AnswerStatus::Accepted,
        ..CommandAnswer::refused(None, None, Vec::new())
    });
    let (answer, ()) = tokio::join!(dry.post("/v1/commands", &command), router);
    assert_eq!(answer.status, 202, "{answer:?}");
}
