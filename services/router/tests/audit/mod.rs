//! The audit trail: one record for each record of the log, whoever dies meanwhile.

use std::time::Duration;

use instance_bus::{
    LogMessage, TopologyOptions,
    topology::{AUDIT, AUDIT_KEPT},
};
use instance_contract::{
    AuditEntry, AuditKind, AuditRecord, Digest, Finding, FindingSource, IncidentAcknowledged, OverallStatus,
    Shard, StepStatus,
    subject::{self, IncidentRecord},
};
use instance_engine::audit::{Chain, Defect};
use instance_testkit::{TestIncident, eventually};
use jiff::SignedDuration;
use serde_json::json;

use crate::desk::{Desk, command};

/// The trail of a shard as it stands, with what is wrong with it.
async fn trail(desk: &Desk, shard: Shard) -> (Vec<AuditRecord>, Vec<Defect>) {
    let mut chain = Chain::new(shard);
    let (mut records, mut defects) = (Vec::new(), Vec::new());
    let mut reading = desk.bus.read_audit(shard).await.unwrap();
    while let Some(message) = reading.next().await.unwrap() {
        let kept = SignedDuration::try_from(AUDIT_KEPT).unwrap();
        let (more, wrong) = chain.take(message.sequence, &message.payload, (message.published_at, kept));
        records.extend(more);
        defects.extend(wrong);
    }
    (records, defects)
}

async fn log(desk: &Desk, shard: Shard) -> Vec<LogMessage> {
    desk.bus.read_log(shard, &subject::shard_log(shard)).await.unwrap()
}

/// Waits until each message of a shard's log is told, exactly once and in its order, and gives the records.
async fn told(desk: &Desk, shard: Shard) -> Vec<AuditRecord> {
    eventually(Duration::from_secs(30), || async move {
        let log = log(desk, shard).await;
        let (records, defects) = trail(desk, shard).await;
        assert!(defects.is_empty(), "{defects:?}");
        assert!(records.len() <= log.len(), "{} records of {} messages", records.len(), log.len());
        (records.len() == log.len()).then(|| {
            for (record, message) in records.iter().zip(&log) {
                assert_eq!(record.entry.log_sequence, message.sequence);
            }
            records
        })
    })
    .await
}

/// What the trail of shard 0 tells of these kinds, once there are as many.
async fn notices(desk: &Desk, about: &[AuditKind], many: usize) -> Vec<AuditEntry> {
    eventually(Duration::from_secs(30), || async {
        let (records, defects) = trail(desk, Shard(0)).await;
        assert!(defects.is_empty(), "{defects:?}");
        let entries = records.into_iter().map(|record| record.entry);
        let found: Vec<AuditEntry> = entries.filter(|entry| about.contains(&entry.kind)).collect();
        (found.len() >= many).then_some(found)
    })
    .await
}

async fn shard_of(desk: &Desk, answer: &instance_contract::CommandAnswer) -> Shard {
    let messages = desk.bus.find_remediation(answer.remediation_id.unwrap()).await.unwrap();
    subject::parse_record(&messages[0].subject).unwrap().0
}

#[tokio::test(flavor = "multi_thread")]
async fn every_decision_is_told_once_with_who_what_why_and_digest() {
    let desk = Desk::new().await;
    let router = desk.router_with("a", crate::desk::often());
    desk.agents("PROD", |_| Some(StepStatus::Success)).await;
    let answer = desk.ask(&command(71, "PROD"), "PROD").await;
    let id = answer.remediation_id.unwrap();
    desk.approve(id).await;
    desk.ended(id).await;
    let shard = shard_of(&desk, &answer).await;
    let records = told(&desk, shard).await;
    let about: Vec<&AuditRecord> =
        records.iter().filter(|record| record.entry.remediation_id == Some(id)).collect();
    let kinds: Vec<AuditKind> = about.iter().map(|record| record.entry.kind).collect();
    let (sent, answered) = (AuditKind::StepSent, AuditKind::StepAnswered);
    let asked = [AuditKind::Accepted, AuditKind::ApprovalAsked, AuditKind::Approved];
    let steps = [sent, answered, sent, answered, sent, answered, AuditKind::Ended];
    assert_eq!(kinds, [asked.as_slice(), &steps].concat());
    let digest = about[0].entry.digest.clone();
    for record in about {
        let entry = &record.entry;
        assert_eq!(entry.instance.as_ref().map(ToString::to_string).as_deref(), Some("PROD"));
        assert!(entry.digest == digest && digest.is_some(), "{entry:?}");
        assert_eq!(entry.trace_id, answer.trace_id);
        assert!(!entry.who.is_empty() && !entry.what.is_empty() && !entry.why.is_empty(), "{entry:?}");
    }
    // What a router does last is told before it is gone.
    router.drained().await;
    assert_eq!(trail(&desk, shard).await.0.len(), log(&desk, shard).await.len());
}

/// The trail comes after the plans: without it they go on, and it is told when it is there again.
#[tokio::test(flavor = "multi_thread")]
async fn plans_end_without_an_audit_trail_which_tells_them_later() {
    let desk = Desk::new().await;
    instance_testkit::take_stream_away(&desk.server, AUDIT).await;
    let _router = desk.router("a");
    desk.agents("PROD", |_| Some(StepStatus::Success)).await;
    let mut shard = Shard(0);
    for number in [81, 82] {
        let answer = desk.ask(&command(number, "PROD"), "PROD").await;
        assert_eq!(desk.ended(answer.remediation_id.unwrap()).await.overall_status, OverallStatus::Success);
        shard = shard_of(&desk, &answer).await;
    }
    assert!(desk.bus.read_audit(shard).await.is_err(), "there is no trail");
    desk.bus.init(&TopologyOptions::default()).await.unwrap();
    let ends = told(&desk, shard).await.into_iter().filter(|record| record.entry.kind == AuditKind::Ended);
    assert_eq!(ends.count(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn halts_and_dead_letters_are_told_once_with_who_and_why() {
    let desk = Desk::new().await;
    desk.bus.halt("the operator", "a storm").await.unwrap();
    desk.bus.lift_halt("another operator").await.unwrap();
    let notices = async |many| {
        notices(&desk, &[AuditKind::Halted, AuditKind::Resumed, AuditKind::DeadLetter], many).await
    };
    let router = desk.router("a");
    let told = notices(2).await;
    assert_eq!((told[0].kind, told[0].who.as_str()), (AuditKind::Halted, "the operator"));
    assert_eq!(told[0].why, "a storm");
    assert_eq!((told[1].kind, told[1].who.as_str()), (AuditKind::Resumed, "another operator"));
    router.kill();

    // Whoever comes next tells what is new, and nothing again.
    let _router = desk.router("a");
    let inbox = desk.tell("{\"requested_by\": \"nobody\"}", "PROD").await;
    crate::desk::answer(inbox).await;
    let told = notices(3).await;
    assert_eq!(told.len(), 3, "{told:?}");
    assert_eq!((told[2].kind, told[2].who.as_str()), (AuditKind::DeadLetter, "nobody"));
    assert!(told[2].why.starts_with("unreadable") || told[2].why.starts_with("refused"), "{told:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_decided_about_incidents_is_told_once_with_who_why_digest_and_trace() {
    let desk = Desk::new().await;
    let at = "2026-11-21T08:00:00Z".parse().unwrap();
    let incident = TestIncident::new("PROD.1", Some("license-limit-exceeded"), 1, "limit exceeded", at);
    let alert = TestIncident::new("(none)", None, 2, "an alert", at);
    // What was decided while no router ran is told too.
    incident.call_a_person(&desk.bus).await;
    let notices = async |many| {
        notices(&desk, &[AuditKind::Found, AuditKind::Acknowledged, AuditKind::Closed], many).await
    };
    let router = desk.router("a");
    notices(1).await;
    router.kill();

    let _router = desk.router("a");
    let finding = Finding { source: FindingSource::Alert, ..alert.finding(1, alert.person()) };
    alert.write(&desk.bus, IncidentRecord::Finding(1), &finding).await;
    let acknowledged = IncidentAcknowledged {
        schema: IncidentAcknowledged::SCHEMA.to_owned(),
        trace_id: incident.trace_id(),
        incident_id: incident.id,
        by: "ada".to_owned(),
        at,
        note: Some("ticket 4711".to_owned()),
        seen_finding: None,
        try_again: false,
    };
    incident.write(&desk.bus, IncidentRecord::Acknowledged, &acknowledged).await;
    incident.write(&desk.bus, IncidentRecord::Closed, &json!({"nonsense": 1})).await;

    let told = notices(4).await;
    let [found, alerted, taken, strange] = told.as_slice() else { panic!("each once: {told:?}") };
    let words = |entry: &AuditEntry| (entry.kind, entry.who.clone(), entry.why.clone());
    let why = "no runbook may do this; the text is that of the catalogue".to_owned();
    assert_eq!(words(found), (AuditKind::Found, "analyst, by rules".to_owned(), why.clone()));
    assert!(found.what.contains("license-limit-exceeded") && found.what.ends_with("calls a person"));
    assert_eq!(words(alerted), (AuditKind::Found, "gateway, by an alert".to_owned(), why));
    let note = "ticket 4711".to_owned();
    assert_eq!(words(taken), (AuditKind::Acknowledged, "ada".to_owned(), note));
    assert_eq!(strange.who, "somebody on the bus");
    assert_eq!(
        [found, taken].map(|entry| entry.trace_id.clone()),
        [(); 2].map(|()| Some(incident.trace_id()))
    );
    assert_eq!(
        [found, taken].map(|entry| entry.instance.clone()),
        [(); 2].map(|()| Some(incident.instance.clone()))
    );
    assert_eq!(alerted.instance, None);
    let records = desk.bus.read_incidents(&subject::findings()).await.unwrap();
    assert_eq!(found.digest, Some(Digest::of(&records[0].payload)));
    assert!(told.iter().all(|entry| entry.digest.is_some()), "{told:?}");
}

/// The driver hands on what it writes and reads itself; the rest is looked up in the log.
#[tokio::test(flavor = "multi_thread")]
async fn what_others_write_into_the_log_is_told_in_its_place() {
    let desk = Desk::new().await;
    let _router = desk.router("a");
    desk.agents("PROD", |_| Some(StepStatus::Success)).await;
    let mut shard = None;
    for number in 0..3 {
        let answer = desk.ask(&command(75 + number, "PROD"), "PROD").await;
        desk.ended(answer.remediation_id.unwrap()).await;
        let found = shard_of(&desk, &answer).await;
        desk.ends_of_others(found, 3).await;
        shard = Some(found);
    }
    let records = told(&desk, shard.unwrap()).await;
    let others = records.iter().filter(|record| record.entry.kind == AuditKind::Unreadable);
    assert_eq!(others.count(), 9);
}

#[tokio::test(flavor = "multi_thread")]
async fn routers_that_die_lose_and_double_nothing_in_the_trail() {
    let desk = Desk::new().await;
    desk.agents("PROD", |_| Some(StepStatus::Success)).await;
    let mut last = None;
    for number in 0..6 {
        let router = desk.router("a");
        let answer = desk.ask(&command(80 + number, "PROD"), "PROD").await;
        let id = answer.remediation_id.unwrap();
        let shard = shard_of(&desk, &answer).await;
        // In the middle of the plan, or of telling of it.
        if number % 2 == 0 {
            desk.ended(id).await;
        }
        router.kill();
        last = Some((id, shard));
    }
    let (id, shard) = last.unwrap();
    let _router = desk.router("a");
    desk.ended(id).await;
    let records = told(&desk, shard).await;
    let taken = records.iter().filter(|record| record.entry.kind == AuditKind::ShardTaken);
    assert_eq!(taken.count(), 7);
}

#[tokio::test(flavor = "multi_thread")]
async fn two_who_write_the_same_trail_write_one() {
    let desk = Desk::new().await;
    let first = desk.router("a");
    desk.agents("PROD", |_| Some(StepStatus::Success)).await;
    let mut ids = Vec::new();
    let mut shard = None;
    for number in 0..3 {
        let answer = desk.ask(&command(90 + number, "PROD"), "PROD").await;
        shard = Some(shard_of(&desk, &answer).await);
        ids.push(answer.remediation_id.unwrap());
        if number == 0 {
            // It takes the shards back from the one who does not know that it was followed.
            let _second = desk.router("a");
            desk.ended(ids[0]).await;
        }
    }
    for id in ids {
        desk.ended(id).await;
    }
    told(&desk, shard.unwrap()).await;
    drop(first);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_record_that_was_taken_away_is_located_and_told_again_where_it_was_the_last() {
    let desk = Desk::new().await;
    let router = desk.router("a");
    desk.agents("PROD", |_| Some(StepStatus::Success)).await;
    let mut shard = None;
    for number in 0..2 {
        let answer = desk.ask(&command(95 + number, "PROD"), "PROD").await;
        desk.ended(answer.remediation_id.unwrap()).await;
        let found = shard_of(&desk, &answer).await;
        told(&desk, found).await;
        shard = Some(found);
    }
    let shard = shard.unwrap();
    router.drained().await;
    let newest = desk.bus.newest_audit(shard).await.unwrap().unwrap();
    let whole = trail(&desk, shard).await.0;

    instance_testkit::take_away(&desk.server, AUDIT, newest.sequence).await;
    let cut = trail(&desk, shard).await.0;
    assert!(cut.len() < whole.len());
    let router = desk.router("a");
    let again = told(&desk, shard).await;
    assert_eq!(again[..whole.len()], whole);
    router.drained().await;

    let first = desk.bus.read_audit(shard).await.unwrap().next().await.unwrap().unwrap();
    let kept = SignedDuration::try_from(AUDIT_KEPT).unwrap();
    let (gone, _) = Chain::new(shard).take(1, &first.payload, (first.published_at, kept));
    instance_testkit::take_away(&desk.server, AUDIT, first.sequence).await;
    let missing = Defect::Missing { from: 1, to: gone.last().unwrap().entry.number };
    assert_eq!(trail(&desk, shard).await.1, [missing]);
}
