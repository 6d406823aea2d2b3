//! Follows one remediation to its end: progress on stderr, the end on stdout.

use std::time::Duration;

use anyhow::Result;
use instance_bus::Bus;
use instance_contract::{Plan, RemediationId, Verdict, WorkflowTrace};
use instance_engine::Record;

use crate::{
    approve::{self, Agreed},
    exit::{Exit, Stop},
    output::printable,
    session::Session,
    story::{self, exit_of},
    trace,
};

/// Waits for the end, at most `timeout`, and shows it; the exit code is the verdict.
pub async fn to_the_end(bus: &Bus, id: RemediationId, timeout: Duration, session: &Session) -> Result<Exit> {
    match until_ended(bus, id, timeout, None, session).await? {
        Some(ended) => {
            trace::show(&ended, session)?;
            Ok(exit_of(ended.overall_status))
        }
        None => Ok(Exit::Interrupted),
    }
}

/// Waits for the end, at most `timeout`; `None`: the user has had enough. Where exactly the changes are asked for that were
/// agreed to, they are approved.
pub async fn until_ended(
    bus: &Bus,
    id: RemediationId,
    timeout: Duration,
    agreed: Option<Agreed<'_>>,
    session: &Session,
) -> Result<Option<WorkflowTrace>> {
    let following = follow(bus, id, agreed, session);
    tokio::select! {
        ended = tokio::time::timeout(timeout, following) => ended.unwrap_or_else(|_| {
            let message = format!("remediation {id} has not ended within {timeout:?}; it goes on");
            Err(Stop::new(Exit::TimedOut, message).next(format_args!("instance status {id}")).into())
        }),
        _ = tokio::signal::ctrl_c() => {
            session.note(format_args!("remediation {id} goes on; ask with: instance status {id}"));
            Ok(None)
        }
    }
}

async fn follow(
    bus: &Bus,
    id: RemediationId,
    agreed: Option<Agreed<'_>>,
    session: &Session,
) -> Result<Option<WorkflowTrace>> {
    let mut log = bus.follow_remediation(id).await?;
    loop {
        let message = match log.next().await {
            Ok(message) => message,
            Err(error) if error.is_unreachable() => {
                session.note(format_args!("the bus is silent ({error}); still waiting"));
                continue;
            }
            Err(error) => return Err(error.into()),
        };
        let record = match story::record(&message) {
            Ok(Some((_, _, _, record))) => record,
            Ok(None) => continue,
            Err(error) => {
                session.note(printable(&format!("{error:#}")));
                continue;
            }
        };
        if let Record::Ended(ended) = record {
            return Ok(Some(ended.trace));
        }
        if let Some(line) = progress(&record) {
            session.note(printable(&line));
        }
        if let (Record::ApprovalAsked(asked), Some(agreed)) = (&record, agreed)
            && *agreed.digest == asked.digest
        {
            approve::agree(bus, id, agreed, session).await?;
        }
    }
}

/// What a record means to somebody who waits.
fn progress(record: &Record) -> Option<String> {
    let line = match record {
        Record::Accepted(accepted) => match &accepted.plan {
            Some(plan) => planned(plan),
            None => "waits for its turn".to_owned(),
        },
        Record::Planned(planned_now) => planned(&planned_now.plan),
        Record::Step(step) => {
            format!("{} -> {} on {} (attempt {})", step.step_id, step.agent, step.host, step.attempt)
        }
        Record::Result(result) => {
            let why = result.error_message.as_ref().map(|message| format!(": {message}")).unwrap_or_default();
            format!(
                "{} {} after {} ms{why}",
                result.step_id,
                result.status.as_str(),
                result.execution_time_ms
            )
        }
        Record::ApprovalAsked(asked) => {
            format!(
                "waits for approval: instance approve {}\n{}",
                asked.remediation_id,
                approve::question(asked)
            )
        }
        Record::ApprovalAnswered(answered) => match answered.verdict {
            Verdict::Granted => format!("approved by {}", answered.by),
            Verdict::Denied => format!("denied by {}", answered.by),
            Verdict::Expired => "nobody approved in time".to_owned(),
        },
        Record::Illegible(answer) => format!("an answer that cannot be read counts as no: {}", answer.why),
        Record::Ended(_) => return None,
    };
    Some(line)
}

/// What will be done, under which digest, and what to know about it.
fn planned(plan: &Plan) -> String {
    let steps = plan
        .steps
        .iter()
        .map(|step| format!("  {} by {}, risk {}: {}", step.id, step.agent, step.risk, step.reason));
    let changes = plan
        .changes()
        .into_iter()
        .map(|change| format!("  {}: {}: {} -> {}", change.step, change.target, change.before, change.after));
    let warnings = plan.warnings.iter().map(|warning| format!("  warning: {warning}"));
    let head = format!("planned, changes {}", plan.digest.short());
    std::iter::once(head).chain(steps).chain(changes).chain(warnings).collect::<Vec<_>>().join("\n")
}
