//! Counting what the router does, once each record stands in the log.

use std::time::Duration;

use instance_contract::{Shard, ToolResult, Verdict, WorkflowTrace, subject::RecordKind};
use instance_engine::{Core, Record};
use instance_signals::metrics::{
    APPROVALS, ARRIVING, COMMANDS, INCIDENT_DURATION, OPEN, OWNED, REMEDIATION_DURATION, REMEDIATIONS,
    TAKEOVERS, VERIFIED,
};

/// Name of a plan's last step.
const VERIFY: &str = "verify";

/// A record that this router has written.
pub(crate) fn written(record: &Record) {
    match record {
        Record::Accepted(accepted) => {
            COMMANDS.add(1, &["accepted"]);
            let since = accepted.accepted_at.duration_since(accepted.command.issued_at);
            if let Ok(since) = Duration::try_from(since) {
                INCIDENT_DURATION.record(since.as_secs_f64(), &["plan"]);
            }
        }
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
    let is_verify = |step: &&ToolResult| step.step_id.as_str() == VERIFY;
    let verifying: u64 =
        trace.steps_executed.iter().filter(is_verify).map(|step| step.execution_time_ms).sum();
    INCIDENT_DURATION.record(seconds(trace.completion_time_ms.saturating_sub(verifying)), &["execute"]);
    if let Some(verification) = &trace.verification {
        INCIDENT_DURATION.record(seconds(verifying), &["verify"]);
        VERIFIED.add(1, &[if verification.held { "verified" } else { "not_fixed" }]);
    }
}
