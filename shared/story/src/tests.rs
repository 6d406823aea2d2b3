use instance_bus::Headers;

use super::*;

const ID: &str = "11111111-1111-4111-8111-111111111111";
const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
const COMMAND: &str = include_str!("../../../examples/config-restart.json");

/// A record as it stands in the log: the end of its subject, and its fields.
type Written = (&'static str, Value);

fn story(records: &[Written]) -> Story {
    story_of(ID, records)
}

fn story_of(id: &str, records: &[Written]) -> Story {
    let messages: Vec<LogMessage> = records
        .iter()
        .zip(1..)
        .map(|((end, record), sequence)| {
            let mut record = record.clone();
            for (field, value) in [("schema", "any"), ("trace_id", TRACE), ("remediation_id", id)] {
                record[field] = value.into();
            }
            // The one record that knows only its own fields is the answer of a person.
            if !end.ends_with("answered") {
                record["because"] = json!({"now": "2026-11-21T08:00:00Z", "event": "any", "delay_ms": 0});
            }
            LogMessage {
                subject: format!("instance.v1.remediation.3.{id}.{end}"),
                payload: record.to_string().into(),
                sequence,
                published_at: Timestamp::UNIX_EPOCH,
                headers: Headers::new(),
            }
        })
        .collect();
    let mut found = stories(&messages);
    assert_eq!(found.len(), 1);
    found.remove(0)
}

fn accepted() -> Written {
    let command: Value = serde_json::from_str(COMMAND).unwrap();
    let step = |id: &str, agent: &str, action: Value| {
        json!({
            "id": id, "agent": agent, "host": "db1", "action": action, "depends_on": [], "limit_seconds": 60,
            "retry": true, "risk": "medium", "change": null, "reason": "asked for",
        })
    };
    let steps =
        [step("config", "config-agent", set()), step("restart", "restart-agent", json!({"kind": "restart"}))];
    let record = json!({
        "command": command, "command_digest": "b".repeat(64), "accepted_at": "2026-11-21T08:00:00Z",
        "deadline": "2026-11-21T09:00:00Z", "policy": "", "facts": null, "traceparent": null,
        "plan": {"steps": steps, "digest": "a".repeat(64), "approvals": [], "warnings": []},
    });
    ("accepted", record)
}

fn set() -> Value {
    json!({"kind": "set_cpf", "cpf_section": "config", "parameter": "globals", "new_value": "0,0,512,0,0,0"})
}

fn sent(step: &str, attempt: u32, action: &Value) -> Value {
    json!({
        "command_id": ID, "instance": "IRIS", "step_id": step, "attempt": attempt, "agent": "config-agent",
        "host": "db1", "tool": "iris_config", "action": action, "change": null,
        "plan_digest": "a".repeat(64), "not_after": "2026-11-21T09:00:00Z", "limit_seconds": 60,
        "token": {"epoch": 1, "counter": 1},
    })
}

fn result(step: &str, attempt: u32, status: &str) -> Value {
    json!({
        "tool_name": "iris_config", "command_id": ID, "step_id": step, "attempt": attempt, "status": status,
        "execution_time_ms": 1, "error_code": null, "error_message": null, "requires_user_action": false,
        "rollback_available": true, "agent": {"name": "config-agent", "version": "0.1.0", "host": "db1"},
    })
}

fn words(story: &Story) -> Vec<(String, &'static str, u32)> {
    story.steps().iter().map(|row| (row.id.to_string(), row.word(), row.attempt)).collect()
}

#[test]
fn steps_are_told_as_far_as_they_have_come() {
    let retried = [
        accepted(),
        ("step.config-agent.db1.config.1", sent("config", 1, &set())),
        ("result.config.1", result("config", 1, "failure")),
        ("step.config-agent.db1.config.2", sent("config", 2, &set())),
    ];
    let running = story(&retried);
    assert_eq!(words(&running), [("config".into(), "running", 2), ("restart".into(), "waiting", 0)]);
    let document = running.document();
    assert_eq!((&document["phase"], &document["state"]), (&json!("running"), &json!("executing")));

    let undo = json!({"kind": "undo", "step": "config", "tool": "iris_config"});
    let more = [
        ("result.config.2", result("config", 2, "success")),
        ("step.config-agent.db1.config-undo.1", sent("config-undo", 1, &undo)),
    ];
    let unwinding = story(&[retried.as_slice(), more.as_slice()].concat());
    assert_eq!(
        words(&unwinding),
        [
            ("config".into(), "success", 2),
            ("restart".into(), "waiting", 0),
            ("config-undo".into(), "running", 1)
        ]
    );
    assert_eq!(unwinding.phase(), Phase::Unwinding);
}

#[test]
fn a_question_is_open_until_it_is_answered() {
    let asked = json!({
        "instance": "IRIS", "digest": "a".repeat(64), "changes": [], "reasons": [],
        "expires_at": "2026-11-21T08:30:00Z",
    });
    let answer =
        json!({"digest": "a".repeat(64), "verdict": "granted", "by": "ann", "at": "2026-11-21T08:01:00Z"});
    let mut records = vec![accepted(), ("approval.1.asked", asked)];
    let waiting = story(&records);
    assert_eq!((waiting.phase(), waiting.open_question().map(|(k, _)| k)), (Phase::WaitingApproval, Some(1)));
    assert_eq!(waiting.document()["state"], "validating");
    records.push(("approval.1.answered", answer));
    let answered = story(&records);
    assert!(answered.open_question().is_none());
    let by = answered.newest_answer().and_then(|answer| answer.says.ok()).map(|says| says.by);
    assert_eq!(by.as_deref(), Some("ann"));
}

#[test]
fn who_waits_for_a_person_stands_behind_a_critical_one_and_before_its_equals() {
    let asked = json!({
        "instance": "IRIS", "digest": "a".repeat(64), "changes": [], "reasons": [],
        "expires_at": "2026-11-21T08:30:00Z",
    });
    let waiting = story(&[accepted(), ("approval.1.asked", asked)]);
    // Its acceptance stands where the first one's does, so it is held to be later by its priority alone.
    let with = |id: &str, priority: &str, begun: bool| {
        let (kind, mut record) = accepted();
        record["command"]["priority"] = priority.into();
        let step = ("step.config-agent.db1.config.1", sent("config", 1, &set()));
        let records = if begun { vec![(kind, record), step] } else { vec![(kind, record)] };
        story_of(id, &records)
    };
    let critical = with("22222222-2222-4222-8222-222222222222", "critical", false);
    let low = with("33333333-3333-4333-8333-333333333333", "low", false);
    let running = with("44444444-4444-4444-8444-444444444444", "low", true);
    let all = [waiting, low, critical, running];
    assert_eq!(all[0].place(&all[..2]), Some(0), "one that is less urgent");
    assert_eq!(all[0].place(&all[..3]), Some(1), "a critical one too");
    assert_eq!(all[0].place(&all), Some(2), "and one that has begun");
    assert_eq!((all[2].place(&all[..3]), all[3].place(&all)), (Some(0), None));
}

#[test]
fn a_command_that_was_never_accepted_has_only_its_end() {
    let ended = json!({
        "command_received": null, "initiated_at": "2026-11-21T08:00:00Z", "steps_executed": [],
        "overall_status": "refused", "failed_at_step": null, "verification": null, "completion_time_ms": 0,
        "totals": {"total": 0, "completed": 0, "failed": 0, "skipped": 0}, "reason": "no",
    });
    let refused = story(&[("ended", ended)]);
    assert_eq!(refused.phase(), Phase::Ended);
    let document = refused.document();
    assert_eq!((&document["state"], &document["overall_status"]), (&json!("failed"), &json!("refused")));
}

#[test]
fn what_moves_nothing_is_told_apart_and_hides_nothing() {
    let mut forged = result("config", 1, "success");
    forged["agent"]["name"] = "os-agent".into();
    let records = [
        accepted(),
        ("step.config-agent.db1.config.1", sent("config", 1, &set())),
        ("result.config.1", forged),
        ("result.restart.1", json!({"status": 7})),
    ];
    let story = story(&records);
    assert_eq!(words(&story), [("config".into(), "running", 1), ("restart".into(), "waiting", 0)]);
    let oddities = story.oddities();
    assert!(oddities[0].starts_with("record \"result.restart.1\" is not readable"), "{oddities:?}");
    assert_eq!(
        oddities[1],
        "result.config.1 does not count: agent.name = os-agent: must be config-agent, as the plan and the subject say"
    );
}
