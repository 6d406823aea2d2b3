//! `instance trace`: the whole run, as it was told to the asker.

use anyhow::Result;
use instance_contract::{StepOutline, ToolResult, WorkflowTrace};
use instance_engine::Phase;
use instance_redaction::{redact, redact_document, redacted};
use uuid::Uuid;

use crate::{
    exit::{Exit, Stop},
    online,
    output::{print, print_json, printable, table},
    session::{self, Session, Tone},
    story::{self, exit_of},
};

const EXAMPLES: &str = "\
Examples:
  instance trace 6f1d2c0a-52b7-4c43-9a3e-1b6077a1d5c8
  instance trace 6f1d2c0a-52b7-4c43-9a3e-1b6077a1d5c8 --json | instance validate -
  instance trace 6f1d2c0a-52b7-4c43-9a3e-1b6077a1d5c8 --exit-code";

#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// Remediation id or command id
    #[arg(value_parser = session::id)]
    id: Uuid,
    /// Exit as `orchestrate --wait` does: by the verdict
    #[arg(long)]
    exit_code: bool,
}

pub fn run(args: &Args, session: &Session) -> Result<Exit> {
    online::run(session, async |bus| {
        let story = story::find(&bus, args.id).await?;
        let Some(ended) = story.ended() else {
            let phase: Phase = story.phase();
            let message = format!("remediation {} has no trace yet: it is {}", story.id, phase.as_str());
            return Err(Stop::new(Exit::NotFound, message)
                .next(format_args!("instance status {}", story.id))
                .into());
        };
        show(&ended.trace, session)?;
        Ok(if args.exit_code { exit_of(ended.trace.overall_status) } else { Exit::Done })
    })
}

/// Prints a trace: a table of steps and the verdict, or the WorkflowTrace itself.
pub fn show(trace: &WorkflowTrace, session: &Session) -> Result<()> {
    if session.json() {
        let mut document = serde_json::to_value(trace)?;
        redact_document(&mut document);
        return print_json(&document);
    }
    if !trace.steps_executed.is_empty() {
        print(table(
            ["step", "status", "attempt", "ms", "agent", "what"],
            trace.steps_executed.iter().map(row),
        ))?;
    }
    for step in &trace.planned {
        let StepOutline { step_id, risk, reason, .. } = step;
        print(format_args!(
            "why       {}",
            printable(&redact(&format!("{step_id}, risk {risk}: {reason}")))
        ))?;
    }
    if let Some(verification) = &trace.verification {
        let held = if verification.held { "verified" } else { "not held" };
        for finding in &verification.findings {
            print(format_args!("{held}  {}", printable(&redact(finding))))?;
        }
    }
    for warning in &trace.warnings {
        print(format_args!("warning   {}", printable(&redact(warning))))?;
    }
    for fault in &trace.faults {
        print(format_args!("fault     {}", printable(&redact(&fault.to_string()))))?;
    }
    if let Some(reason) = trace.reason.as_ref().filter(|_| trace.faults.is_empty()) {
        print(format_args!("reason    {}", printable(&redact(reason))))?;
    }
    let status = trace.overall_status;
    let tone = if exit_of(status) == Exit::Done { Tone::Good } else { Tone::Bad };
    print(format_args!(
        "verdict   {} after {} ms",
        session.paint(tone, status.as_str()),
        trace.completion_time_ms
    ))?;
    if let Some(digest) = &trace.plan_digest {
        print(format_args!("changes   {digest}"))?;
    }
    print(format_args!("trace     {}", trace.trace_id))
}

fn row(result: &ToolResult) -> [String; 6] {
    [
        result.step_id.to_string(),
        result.status.as_str().to_owned(),
        result.attempt.to_string(),
        result.execution_time_ms.to_string(),
        result.agent.name.clone(),
        redacted(what(result)),
    ]
}

/// The failure, or what was changed.
fn what(result: &ToolResult) -> String {
    if let Some(message) = &result.error_message {
        return message.replace('\n', " ");
    }
    let value = |value: &Option<String>| value.clone().unwrap_or_else(|| "-".to_owned());
    let changes = result.changes_applied.iter().map(|(target, change)| {
        format!("{target}: {} -> {}", value(&change.old_value), value(&change.new_value))
    });
    changes.collect::<Vec<_>>().join("; ")
}
