//! Follows one remediation to its end: progress on stderr, the end on stdout.

use std::{future::Future, io, pin::Pin, time::Duration};

use anyhow::Result;
use instance_bus::{Bus, LogFollow};
use instance_contract::{ApprovalAsked, Plan, RemediationId, Verdict, WorkflowTrace};
use instance_engine::Record;
use tokio::time::Instant;

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
    let mut following = Following::start(bus, id, timeout, session).await?;
    loop {
        match following.next().await? {
            Came::Ended(trace) => return Ok(Some(*trace)),
            Came::Interrupted => return Ok(None),
            Came::Asked(asked) => {
                if let Some(agreed) = agreed.filter(|agreed| *agreed.digest == asked.digest) {
                    approve::agree(bus, id, agreed, session).await?;
                }
            }
        }
    }
}

/// What whoever waits has to act on.
pub enum Came {
    /// A person is asked; somebody may have answered since.
    Asked(Box<ApprovalAsked>),
    Ended(Box<WorkflowTrace>),
    /// The user has had enough.
    Interrupted,
}

/// One remediation, read from its beginning and told on stderr.
pub struct Following<'a> {
    id: RemediationId,
    session: &'a Session,
    log: LogFollow,
    timeout: Duration,
    until: Instant,
    /// One for all waits: what is said between them counts after it.
    stop: Pin<Box<dyn Future<Output = io::Result<()>>>>,
}

impl<'a> Following<'a> {
    /// Waits at most `timeout` in all, from now on.
    pub async fn start(
        bus: &Bus,
        id: RemediationId,
        timeout: Duration,
        session: &'a Session,
    ) -> Result<Self> {
        let log = bus.follow_remediation(id).await?;
        let stop = Box::pin(tokio::signal::ctrl_c());
        Ok(Self { id, session, log, timeout, until: Instant::now() + timeout, stop })
    }

    /// The time begins anew: what passed was a person's.
    pub fn wait_anew(&mut self) {
        self.until = Instant::now() + self.timeout;
    }

    /// What comes next.
    pub async fn next(&mut self) -> Result<Came> {
        let (id, timeout) = (self.id, self.timeout);
        tokio::select! {
            came = tokio::time::timeout_at(self.until, heard(&mut self.log, self.session)) => came.unwrap_or_else(|_| {
                let message = format!("remediation {id} has not ended within {timeout:?}; it goes on");
                Err(Stop::new(Exit::TimedOut, message).next(format_args!("instance status {id}")).into())
            }),
            _ = &mut self.stop => {
                self.session.note(format_args!("remediation {id} goes on; ask with: instance status {id}"));
                Ok(Came::Interrupted)
            }
        }
    }
}

async fn heard(log: &mut LogFollow, session: &Session) -> Result<Came> {
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
        if let Some(line) = progress(&record) {
            session.note(printable(&line));
        }
        match record {
            Record::Ended(ended) => return Ok(Came::Ended(Box::new(ended.trace))),
            Record::ApprovalAsked(asked) => return Ok(Came::Asked(Box::new(asked))),
            _ => {}
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
