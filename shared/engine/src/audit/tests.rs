use instance_contract::{AuditKind, AuditRecords};
use jiff::SignedDuration;
use serde_json::{Value, json};

use super::*;

const ID: &str = "6f1d2c0a-52b7-4c43-9a3e-1b6077a1d5c8";
const TRACE: &str = "0123456789abcdef0123456789abcdef";
const YEAR: SignedDuration = SignedDuration::from_hours(24 * 365);

fn now() -> Timestamp {
    "2026-11-21T08:00:00Z".parse().unwrap()
}

fn digest() -> String {
    "ab".repeat(32)
}

/// The log of one remediation, owner first.
fn log() -> Vec<(String, Value)> {
    let of = |end: &str| format!("instance.v1.remediation.2.{ID}.{end}");
    let because = json!({"now": "2026-11-21T08:00:00Z", "event": "accepted", "delay_ms": 0, "epoch": 7});
    let command = json!({
        "command_id": ID, "instance": "PROD", "error_type": "config", "severity": 2, "priority": "high",
        "recommended_action": "more routine buffers", "requested_by": "operator", "caused_by": [ID],
    });
    let step =
        json!({"id": "config", "agent": "config-agent", "risk": "medium", "reason": "as the command asks"});
    let owner =
        json!({"schema": "instance.v1.owner", "epoch": 7, "router": "a", "process": "p", "at": now()});
    let result = json!({
        "schema": "instance.v1.tool_result", "trace_id": TRACE, "tool_name": "iris_config", "command_id": ID,
        "remediation_id": ID, "step_id": "config", "attempt": 1, "status": "success", "execution_time_ms": 12,
        "changes_applied": {"cpf [config] routines": {"parameter": "routines", "old_value": "64",
            "new_value": "128", "validated": true}},
        "error_code": null, "error_message": null, "retryable": false, "requires_user_action": false,
        "rollback_available": true, "warnings": [],
        "agent": {"name": "config-agent", "version": "0.1.0", "host": "db1"},
    });
    vec![
        ("instance.v1.remediation.2.owner.7".to_owned(), owner),
        (
            of("accepted"),
            json!({"trace_id": TRACE, "command": command, "plan": {"steps": [step], "digest": digest()}}),
        ),
        (
            of("approval.1.answered"),
            json!({"schema": "instance.v1.approval_answered", "trace_id": TRACE, "remediation_id": ID,
                "digest": digest(), "verdict": "granted", "by": "lead", "at": now(), "note": "go on"}),
        ),
        (
            of("step.config-agent.db1.config.1"),
            json!({"trace_id": TRACE, "instance": "PROD", "agent": "config-agent", "host": "db1",
                "action": {"kind": "set_cpf", "cpf_section": "config", "parameter": "routines", "new_value": "128"},
                "change": {"step": "config", "target": "cpf [config] routines", "before": "64", "after": "128"},
                "plan_digest": digest(), "because": because}),
        ),
        (of("result.config.1"), result),
        (
            of("ended"),
            json!({"trace_id": TRACE, "command_received": command, "overall_status": "success",
                "plan_digest": digest(), "reason": null, "because": because}),
        ),
    ]
}

fn tell(trail: &mut Trail, log: &[(String, Value)]) -> Vec<AuditRecord> {
    let mut records = Vec::new();
    for (index, (subject, payload)) in log.iter().enumerate() {
        let sequence = index as u64 + 1;
        if sequence < trail.next_sequence() {
            continue;
        }
        if let Some(id) = trail.wants(subject) {
            log[..index].iter().for_each(|(subject, payload)| {
                trail.learn(subject, payload.to_string().as_bytes());
            });
            trail.looked_for(id);
        }
        let payload = payload.to_string();
        records.push(trail.tell(&Source { subject, payload: payload.as_bytes(), sequence, at: now() }));
    }
    records
}

fn check(messages: &[Value]) -> Vec<Defect> {
    let mut chain = Chain::new(Shard(2));
    let mut defects = Vec::new();
    for (index, message) in messages.iter().enumerate() {
        let (_, found) = chain.take(index as u64 + 1, message.to_string().as_bytes(), (now(), YEAR));
        defects.extend(found);
    }
    defects
}

/// Each record in a message of its own.
fn messages(records: &[AuditRecord]) -> Vec<Value> {
    let message = |record: &AuditRecord| json!(AuditRecords::new(vec![record.clone()]));
    records.iter().map(message).collect()
}

#[test]
fn who_did_what_and_why_is_told_of_every_record() {
    let records = tell(&mut Trail::new(Shard(2)), &log());
    let lines: Vec<[String; 4]> = records
        .iter()
        .map(|record| {
            let AuditEntry { kind, who, what, why, .. } = &record.entry;
            [kind.as_str().to_owned(), who.clone(), what.clone(), why.clone()]
        })
        .collect();
    let command = format!("command {ID}: more routine buffers; plan: config (config-agent, risk medium)");
    let why = format!(
        "config problem of severity 2, priority high; caused by messages {ID}; config: as the command asks"
    );
    let expected = [
        [
            "shard_taken",
            "router a",
            "takes shard 2 at epoch 7, as process p",
            "the lease was free, or its own from before",
        ],
        ["accepted", "operator", &command, &why],
        ["approved", "lead", "agrees to the changes of the digest", "go on"],
        [
            "step_sent",
            "router a",
            "step.config.1 to config-agent on db1: cpf [config] routines: 64 -> 128",
            "as planned; nothing stands in its way after accepted",
        ],
        [
            "step_answered",
            "config-agent on db1",
            "step config attempt 1: success; cpf [config] routines: 64 -> 128",
            "done, and read back",
        ],
        ["ended", "router a", "success: more routine buffers, asked for by operator", "every step succeeded"],
    ];
    assert_eq!(lines, expected.map(|line| line.map(str::to_owned)));
    for record in &records[1..] {
        let AuditEntry { instance, digest: of, trace_id, remediation_id, .. } = &record.entry;
        assert_eq!(instance.as_ref().map(InstanceName::as_str), Some("PROD"), "{record:?}");
        assert_eq!(of.as_ref().map(Digest::as_str), Some(digest().as_str()), "{record:?}");
        assert!(trace_id.is_some() && remediation_id.is_some(), "{record:?}");
    }
    assert!(check(&messages(&records)).is_empty());
}

#[test]
fn who_asked_is_told_short_and_without_secrets() {
    let mut log = log();
    log[1].1["command"]["requested_by"] = json!(format!("password=hunter2 {}", "x".repeat(500_000)));
    let records = tell(&mut Trail::new(Shard(2)), &log[..2]);
    let who = &records[1].entry.who;
    assert!(who.chars().count() <= 1_000 && !who.contains("hunter2"), "{who}");
}

#[test]
fn whoever_goes_on_after_any_record_tells_the_same() {
    let log = log();
    let whole = tell(&mut Trail::new(Shard(2)), &log);
    for told in 1..whole.len() {
        let mut trail = Trail::after(&whole[told - 1]);
        // What a new teller reads first: who owned the shard when.
        trail.learn(&log[0].0, log[0].1.to_string().as_bytes());
        assert_eq!(tell(&mut trail, &log), whole[told..], "after record {told}");
    }
}

#[test]
fn a_record_that_is_changed_missing_or_doubled_is_located() {
    let records = tell(&mut Trail::new(Shard(2)), &log());
    let good = messages(&records);
    for at in 0..good.len() {
        let number = at as u64 + 1;
        let mut changed = good.clone();
        changed[at]["records"][0]["who"] = json!("somebody else");
        assert_eq!(check(&changed), [Defect::Changed { number }], "{at}");

        let mut doubled = good.clone();
        doubled.insert(at, good[at].clone());
        assert_eq!(check(&doubled), [Defect::OutOfPlace { number }], "{at}");

        if number < good.len() as u64 {
            let mut missing = good.clone();
            missing.remove(at);
            assert_eq!(check(&missing), [Defect::Missing { from: number, to: number }], "{at}");

            let entry = AuditEntry { who: "somebody else".to_owned(), ..records[at].entry.clone() };
            let mut replaced = good.clone();
            replaced[at] = json!(AuditRecords::new(vec![AuditRecord::seal(entry)]));
            assert_eq!(check(&replaced), [Defect::Replaced { number }], "{at}");
        }
    }
    let mut moved = Chain::new(Shard(1));
    let (_, found) = moved.take(1, good[0].to_string().as_bytes(), (now(), YEAR));
    assert!(matches!(found[..], [Defect::Unreadable { message: 1, .. }]), "{found:?}");
}

#[test]
fn what_is_too_old_to_be_kept_is_not_missed() {
    let records = tell(&mut Trail::new(Shard(2)), &log());
    let rest = messages(&records[3..]);
    assert_eq!(check(&rest), [Defect::Missing { from: 1, to: 3 }]);
    let later = now() + YEAR + SignedDuration::from_hours(1);
    let mut chain = Chain::new(Shard(2));
    for message in &rest {
        assert!(chain.take(1, message.to_string().as_bytes(), (later, YEAR)).1.is_empty());
    }
    assert_eq!(chain.told_to(), 6);
}

#[test]
fn messages_of_the_log_that_were_never_told_are_found() {
    let log = log();
    let mut trail = Trail::new(Shard(2));
    let mut records = Vec::new();
    for sequence in [1, 2, 5] {
        let (subject, payload) = &log[sequence - 1];
        let payload = payload.to_string();
        let source = Source { subject, payload: payload.as_bytes(), sequence: sequence as u64, at: now() };
        records.push(trail.tell(&source));
    }
    assert_eq!(check(&messages(&records)), [Defect::Untold { from: 3, to: 4 }]);
}

const HALTED: &str = r#"{"schema": "instance.v1.notice", "kind": "halted", "at": "2026-11-21T08:00:00Z", "who": "x",
    "what": "stops all acting", "why": "a storm"}"#;
const REFUSED: &str = r#"{"schema": "instance.v1.notice", "kind": "refused", "at": "2026-11-21T08:00:00Z",
    "who": "gateway", "what": "refuses tests: POST /v1/commands, with 422", "why": "db_password=hunter2"}"#;

#[test]
fn whom_the_gateway_refuses_is_told() {
    let mut trail = Trail::new(Shard(0));
    let subject = "instance.v1.remediation.0.notice.gateway.7";
    let source = Source { subject, payload: REFUSED.as_bytes(), sequence: 1, at: now() };
    let entry = trail.tell(&source).entry;
    assert_eq!((entry.kind, entry.who.as_str()), (AuditKind::Refused, "gateway"));
    assert!(entry.what.contains("refuses tests") && !entry.why.contains("hunter2"), "{entry:?}");
}

#[test]
fn what_is_no_record_is_told_too() {
    let mut trail = Trail::new(Shard(0));
    for (subject, payload) in [
        (format!("instance.v1.remediation.0.{ID}.ended"), "{}"),
        (format!("instance.v1.remediation.0.{ID}.approval.1.answered"), "yes"),
        ("instance.v1.remediation.0.owner.9".to_owned(), "[]"),
        ("instance.v1.remediation.0.nonsense".to_owned(), "{}"),
        // The gateway throws no switch, and nobody else speaks for it.
        ("instance.v1.remediation.0.notice.gateway.7".to_owned(), HALTED),
        ("instance.v1.remediation.0.notice.halt.7".to_owned(), REFUSED),
    ] {
        let sequence = trail.next_sequence();
        let source = Source { subject: &subject, payload: payload.as_bytes(), sequence, at: now() };
        let record = trail.tell(&source);
        assert_eq!(record.entry.kind, AuditKind::Unreadable, "{record:?}");
        assert!(!record.entry.why.is_empty());
    }
}
