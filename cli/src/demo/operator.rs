//! The demo as an operator: it says yes to the restart, to exactly the changes that were shown.

use anyhow::{Context as _, Result};
use instance_bus::{Bus, Headers, LogMessage, PublishError};
use instance_contract::{
    ApprovalAnswered, ApprovalAsked, Shard, Verdict,
    subject::{self, RecordKind},
};

use crate::online;

/// Who answers, in the remediation log.
const BY: &str = "operator (demo)";

/// What is asked, for the person to read.
pub fn question(asked: &ApprovalAsked) -> String {
    let mut lines = vec![format!("approval asked, digest {}:", asked.digest)];
    let change = |change: &instance_contract::Change| {
        format!("  {}: {}: {} -> {}", change.step, change.target, change.before, change.after)
    };
    lines.extend(asked.changes.iter().map(change));
    lines.extend(asked.reasons.iter().map(|(step, why)| format!("  because of {step}: {why}")));
    lines.join("\n")
}

/// Says yes, bound to the digest. Somebody else may have been first; then theirs counts.
pub async fn approve(
    bus: &Bus,
    shard: Shard,
    number: u32,
    asked: &ApprovalAsked,
    message: &LogMessage,
) -> Result<()> {
    let answer = ApprovalAnswered {
        schema: ApprovalAnswered::SCHEMA.to_owned(),
        trace_id: asked.trace_id.clone(),
        remediation_id: asked.remediation_id,
        digest: asked.digest.clone(),
        verdict: Verdict::Granted,
        by: BY.to_owned(),
        at: online::now(),
        note: None,
    };
    let subject = subject::record(shard, asked.remediation_id, &RecordKind::ApprovalAnswered(number));
    // The answer belongs to the trace of the question.
    let traceparent = message.headers.get("traceparent");
    let headers = traceparent.map_or_else(Headers::new, |parent| Headers::new().with("traceparent", parent));
    match bus.publish_once_confirmed(&subject, &answer, headers).await {
        Ok(_) | Err(PublishError::Exists { .. }) => Ok(()),
        Err(error) => Err(error).context("could not answer the approval"),
    }
}
