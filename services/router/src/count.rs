//! Counting what the router does, once each record stands in the log.

use std::time::Duration;

use instance_contract::{AnswerStatus, CommandAnswer, Shard, Verdict, WorkflowTrace, subject::RecordKind};
use instance_engine::{Core, Record};
use instance_signals::metrics::{
    APPROVALS, ARRIVING, COMMANDS, INCIDENT_DURATION, OPEN, OWNED, REMEDIATION_DURATION, REMEDIATIONS,
    TAKEOVERS, VERIFIED,
};
use jiff::Timestamp;

/// Name of a plan's last step.
const VERIFY: &str = "verify";

/// A record that this router has written.
pub(crate) fn written(record: &Record) {
    match record {
        Record::Accepted(_) => COMMANDS.add(1, &["accepted"]),
        Record::ApprovalAsked(_) => APPROVALS.add(1, &["asked"]),
        Record::Ended(ended) => ended_with(&ended.trace),
        _ => {}
    }
}

/// A first record that this router has written: an end without a beginning is a refusal.
pub(crate) fn begun(kind: &RecordKind, record: &Record) {
    if *kind == RecordKind::Ended {
        COMMANDS.add(1, &["refused"]);
    }
    written(record);
}

/// A command that came at `since` has its answer, and it is a yes. From when the bus had it: what is said of its issue may
/// be the beginning of an alert.
pub(crate) fn answered(answer: &CommandAnswer, since: Timestamp, now: Timestamp) {
    if answer.status == AnswerStatus::Accepted
        && let Ok(took) = Duration::try_from(now.duration_since(since))
    {
        INCIDENT_DURATION.record(took.as_secs_f64(), &["plan"]);
    }
}

/// A command that is none.
pub(crate) fn unreadable() {
    COMMANDS.add(1, &["unreadable"]);
}

/// The answer to an approval, read from the log, whoever wrote it there.
pub(crate) fn heard(record: &Record) {
    if let Record::ApprovalAnswered(answer) = record {
        let verdict = match answer.verdict {
            Verdict::Granted => "granted",
            Verdict::Denied => "denied",
            Verdict::Expired => "expired",
        };
        APPROVALS.add(1, &[verdict]);
    }
}

/// How much is in hand.
pub(crate) fn standing(shard: Shard, core: &Core, looked_at: usize) {
    let shard = shard.to_string();
    let number = |count: usize| i64::try_from(count).unwrap_or(i64::MAX);
    OPEN.set(number(core.remediations().count()), &[&shard]);
    ARRIVING.set(number(looked_at + core.arriving()), &[&shard]);
}

/// The shard is ours.
pub(crate) fn taken(shard: Shard) {
    let shard = shard.to_string();
    OWNED.set(1, &[&shard]);
    TAKEOVERS.add(1, &[&shard]);
}

/// The shard is ours no more, nor what it holds.
pub(crate) fn left(shard: Shard) {
    let shard = shard.to_string();
    for gauge in [&OWNED, &OPEN, &ARRIVING] {
        gauge.set(0, &[&shard]);
    }
}

fn ended_with(trace: &WorkflowTrace) {
    let status = [trace.overall_status.as_str()];
    let seconds = |milliseconds| Duration::from_millis(milliseconds).as_secs_f64();
    REMEDIATIONS.add(1, &status);
    REMEDIATION_DURATION.record(seconds(trace.completion_time_ms), &status);
    if trace.steps_executed.is_empty() {
        return;
    }
    for (phase, took) in phases(trace) {
        INCIDENT_DURATION.record(took.as_secs_f64(), &[phase]);
    }
    if let Some(verification) = &trace.verification {
        VERIFIED.add(1, &[if verification.held { "verified" } else { "not_fixed" }]);
    }
}

/// Where the time from acceptance to end went: the work of the steps by the agents' own account (side by side it adds up),
/// the proof, and the rest, which is waiting: for others before it, for a person, for a message to be taken.
fn phases(trace: &WorkflowTrace) -> Vec<(&'static str, Duration)> {
    let worked = |verifying: bool| -> Duration {
        let steps = trace.steps_executed.iter();
        let steps = steps.filter(|step| (step.step_id.as_str() == VERIFY) == verifying);
        steps.map(|step| Duration::from_millis(step.execution_time_ms)).sum()
    };
    let (executing, verifying) = (worked(false), worked(true));
    let whole = Duration::from_millis(trace.completion_time_ms);
    let mut all = vec![("wait", whole.saturating_sub(executing + verifying)), ("execute", executing)];
    if trace.verification.is_some() {
        all.push(("verify", verifying));
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    fn trace(verification: bool) -> WorkflowTrace {
        let step = |id: &str, milliseconds: u64| {
            serde_json::json!({
                "schema": "instance.v1.tool_result", "trace_id": "a".repeat(32), "tool_name": "iris_config",
                "command_id": "6f1d2c0a-52b7-4c43-9a3e-1b6077a1d5c8",
                "remediation_id": "6f1d2c0a-52b7-4c43-9a3e-1b6077a1d5c8", "step_id": id, "attempt": 1,
                "status": "success", "execution_time_ms": milliseconds, "changes_applied": {},
                "error_code": null, "error_message": null, "retryable": false, "requires_user_action": false,
                "rollback_available": true, "warnings": [],
                "agent": {"name": "config-agent", "version": "1.0.0", "host": "db1", "process": "p"},
            })
        };
        let held = verification.then(|| serde_json::json!({"held": true, "findings": []}));
        serde_json::from_value(serde_json::json!({
            "schema": "instance.v1.workflow_trace", "trace_id": "a".repeat(32),
            "remediation_id": "6f1d2c0a-52b7-4c43-9a3e-1b6077a1d5c8", "command_received": null,
            "initiated_at": "2026-11-21T08:00:00Z",
            "steps_executed": [step("config", 1_500), step("restart", 2_500), step("verify", 500)],
            "overall_status": "success", "failed_at_step": null, "verification": held,
            "completion_time_ms": 604_500, "totals": {"total": 3, "completed": 3, "failed": 0, "skipped": 0},
        }))
        .unwrap()
    }

    #[test]
    fn waiting_for_a_person_is_not_work() {
        let seconds = |(phase, took): (&'static str, Duration)| (phase, took.as_millis());
        let told: Vec<_> = phases(&trace(true)).into_iter().map(seconds).collect();
        assert_eq!(told, [("wait", 600_000), ("execute", 4_000), ("verify", 500)]);
        let without: Vec<_> = phases(&trace(false)).into_iter().map(|(phase, _)| phase).collect();
        assert_eq!(without, ["wait", "execute"]);
    }

    #[test]
    fn steps_side_by_side_may_work_for_longer_than_it_took() {
        let trace = WorkflowTrace { completion_time_ms: 3_000, ..trace(true) };
        assert_eq!(phases(&trace)[0], ("wait", Duration::ZERO));
    }

    #[test]
    fn only_a_command_that_is_accepted_was_planned() {
        let count = || {
            let each = INCIDENT_DURATION.each().into_iter();
            let plans = each.filter(|(labels, _)| labels.iter().any(|label| label == "plan"));
            plans
                .map(|(_, measured)| (measured.counts.iter().sum::<u64>(), measured.sum))
                .next()
                .unwrap_or_default()
        };
        let at: Timestamp = "2026-11-21T08:00:00Z".parse().unwrap();
        let now = at + jiff::SignedDuration::from_secs(2);
        let refused = CommandAnswer::refused(None, None, Vec::new());
        answered(&refused, at, now);
        assert_eq!(count().0, 0);
        answered(&CommandAnswer { status: AnswerStatus::Accepted, ..refused.clone() }, at, now);
        assert_eq!(count(), (1, 2.0));
        // A clock that is behind measures nothing.
        answered(&CommandAnswer { status: AnswerStatus::Accepted, ..refused }, now, at);
        assert_eq!(count().0, 1);
    }
}
