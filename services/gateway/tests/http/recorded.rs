//! What the gateway decides by itself is told for the audit trail; a flood of it is told as a number.

use instance_contract::{AnswerStatus, Notice, NoticeKind, NoticeSource, Shard, subject};
use instance_testkit::eventually;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::{
    commands::answered,
    desk::{Desk, LOOKER, PATIENCE, desk},
};

async fn notices(desk: &Desk) -> Vec<Notice> {
    let all = subject::notices(Shard(0), NoticeSource::Gateway);
    let records = desk.bus.read_log(Shard(0), &all).await.unwrap();
    records.iter().map(|record| record.json().unwrap()).collect()
}

/// Waits until so many are told.
async fn told(desk: &Desk, many: usize) -> Vec<Notice> {
    eventually(PATIENCE, || async {
        let found = notices(desk).await;
        (found.len() >= many).then_some(found)
    })
    .await
}

fn of<'a>(notices: &'a [Notice], what: &str) -> &'a Notice {
    notices.iter().find(|notice| notice.what.contains(what)).unwrap_or_else(|| panic!("{what}: {notices:#?}"))
}

#[tokio::test(flavor = "multi_thread")]
async fn who_was_refused_what_and_why_is_told_and_a_flood_is_a_number() {
    let mut desk = desk().await;
    let looker = desk.client.post(desk.url("/v1/commands")).bearer_auth(LOOKER).body("{}");
    assert_eq!(desk.send(looker).await.status, 403);
    let secret = "db_password=hunter2hunter2";
    let faulty = desk.post("/v1/commands", &json!({"priority": secret})).await;
    assert_eq!(faulty.status, 422);
    assert!(faulty.text.contains("[secret]") && !faulty.text.contains("hunter2"), "{faulty:?}");
    let id = Uuid::new_v4();
    assert_eq!(
        desk.get(&format!("/v1/remediations/{id}")).await.status,
        404,
        "a question, and no is its answer"
    );
    for _ in 0..30 {
        let stranger = desk.client.get(desk.url("/v1/remediations")).bearer_auth("token-of-nobody-at-all");
        assert_eq!(desk.send(stranger).await.status, 401);
    }
    let told_at_once = told(&desk, 3).await;
    let looker = of(&told_at_once, "refuses looker: POST /v1/commands, with 403");
    assert_eq!((looker.kind, looker.who.as_str()), (NoticeKind::Refused, "gateway"));
    assert!(looker.why.contains("does not hold"), "{looker:?}");
    let faulty = of(&told_at_once, "refuses tests: POST /v1/commands, with 422");
    assert!(faulty.why.contains("command_id") && !faulty.why.contains("hunter2"), "{faulty:?}");

    desk.drained().await;
    let all = notices(&desk).await;
    let strangers = all.iter().filter(|notice| notice.what.contains("somebody without a known credential"));
    let strangers: Vec<&str> = strangers.map(|notice| notice.what.as_str()).collect();
    assert!(strangers.len() <= 2, "the first, and the rest as a number: {strangers:#?}");
    let times =
        |what: &&str| what.rsplit_once(", ").and_then(|(_, rest)| rest.strip_suffix(" times")?.parse().ok());
    assert_eq!(strangers.iter().map(|what| times(what).unwrap_or(1_u32)).sum::<u32>(), 30, "{strangers:#?}");
    assert_eq!(all.len() - strangers.len(), 2, "{all:#?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_router_refuses_has_its_record_from_the_router_alone() {
    let mut desk = desk().await;
    assert_eq!(answered(&desk, AnswerStatus::Refused).await.1.status, 409);
    let looker = desk.client.post(desk.url("/v1/commands")).bearer_auth(LOOKER).body("{}");
    assert_eq!(desk.send(looker).await.status, 403);
    desk.drained().await;
    let notices = notices(&desk).await;
    let [only] = notices.as_slice() else { panic!("one of the gateway's own: {notices:#?}") };
    assert!(only.what.ends_with("with 403"), "{only:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_alert_about_which_nothing_is_done_is_told_once() {
    let desk = desk().await;
    let alert = |name: &str, status: &str| -> Value {
        json!({"version": "4", "alerts": [{
            "status": status, "labels": {"alertname": name, "iris_instance": "PROD"},
            "startsAt": "2026-11-21T08:00:00Z", "fingerprint": name,
        }]})
    };
    for (name, status) in
        [("Watchdog", "firing"), ("Watchdog", "firing"), ("IrisDown", "firing"), ("IrisDown", "firing")]
    {
        assert_eq!(desk.post("/v1/alerts/alertmanager", &alert(name, status)).await.status, 200);
    }
    assert_eq!(desk.post("/v1/alerts/alertmanager", &alert("IrisDown", "resolved")).await.status, 200);
    let told = told(&desk, 3).await;
    assert_eq!(told.len(), 3, "{told:#?}");
    for outcome in ["alert Watchdog", "ignored"].into_iter().chain(["repeated", "resolved"]) {
        let notice = of(&told, outcome);
        assert_eq!(notice.kind, NoticeKind::Alerted);
        assert!(notice.what.contains("told by tests") && !notice.why.is_empty(), "{notice:?}");
        assert_eq!(notice.instance.as_ref().map(instance_contract::InstanceName::as_str), Some("PROD"));
    }
}
