//! `instance orchestrate`: sends a RemediationCommand, and tells what becomes of it.

pub mod complete; // Also what `instance consume` takes in.
pub mod follow; // Also what `instance fix` waits for.
pub mod trace_context; // Of whoever calls us.

use std::{env, path::PathBuf, time::Duration};

use anyhow::{Context as _, Result};
use instance_bus::{Bus, Headers};
use instance_contract::{
    AnswerStatus, CommandAnswer, InstanceName, RemediationCommand, RemediationId, subject,
};
use instance_redaction::redacted;
use tracing::Instrument as _;

use crate::{
    exit::{Exit, Stop},
    halt, input, online,
    output::{print, print_json, printable},
    session::{Session, Tone},
};

const EXAMPLES: &str = "\
Examples:
  instance orchestrate --command-file command.json --dry-run --wait     What would change?
  instance orchestrate --command-file command.json --wait               Do it, and tell the end.
  instance orchestrate --command-file examples/os.json --complete       A new command from an example.
A caller that is traced (variable TRACEPARENT) goes on in the same trace: with --complete, and where the file names no other.
With --wait the exit code is the verdict: 0 success, 1 failure, 3 refused, 4 not verified, 5 undone.";

/// A remediation ends within an hour unless policy says otherwise; then this is over, not the remediation.
pub const LONGEST_WAIT: Duration = Duration::from_mins(65);

#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// The RemediationCommand (JSON); `-` for stdin
    #[arg(long, value_name = "FILE")]
    command_file: PathBuf,
    /// Tell what would change, and change nothing
    #[arg(short = 'n', long)]
    dry_run: bool,
    /// Wait for the end; progress on stderr
    #[arg(long)]
    wait: bool,
    /// Make the command ours: a fresh id, trace and time, and who asks, so that an example can be sent again
    #[arg(long)]
    complete: bool,
    /// The instance, for a command that names none; with --complete, whatever the file names
    #[arg(long, value_name = "NAME")]
    instance: Option<InstanceName>,
}

pub fn run(args: &Args, session: &Session) -> Result<Exit> {
    let bytes = input::read(&args.command_file, complete::LARGEST_COMMAND)?;
    let wishes = complete::Wishes {
        dry_run: args.dry_run,
        complete: args.complete,
        instance: args.instance.as_ref(),
        now: online::now(),
        operator: online::operator(),
        caller: trace_context::of_caller(&|name| env::var(name).ok()),
    };
    let (command, bytes) = match complete::legal(bytes, &wishes) {
        Ok(legal) => legal,
        Err(refusal) => {
            show_answer(&refusal, session)?;
            return Ok(Exit::Refused);
        }
    };
    online::run(session, async |bus| {
        let traceparent = complete::traceparent(&command, wishes.caller.as_ref());
        let span = tracing::info_span!("orchestrate", otel.kind = "internal");
        // The command says which trace it belongs to; what we do is part of it.
        instance_bus::continue_from(&span, &traceparent);
        let parcel = Parcel { command: &command, bytes, traceparent };
        send(&bus, parcel, args, session).instrument(span).await
    })
}

/// A legal command as it is sent.
struct Parcel<'a> {
    command: &'a RemediationCommand,
    bytes: Vec<u8>,
    traceparent: String,
}

/// Sends a command that was made here, in its own trace; what the router says.
pub async fn tell_router(
    bus: &Bus,
    command: &RemediationCommand,
    session: &Session,
) -> Result<CommandAnswer> {
    let traceparent = complete::traceparent(command, None);
    let bytes = serde_json::to_vec(command).context("could not write the command")?;
    publish(bus, Parcel { command, bytes, traceparent }, session).await
}

async fn publish(bus: &Bus, parcel: Parcel<'_>, session: &Session) -> Result<CommandAnswer> {
    let Parcel { command, bytes, traceparent } = parcel;
    let mut inbox = bus.inbox().await?;
    let headers = Headers::new()
        .with(CommandAnswer::REPLY_HEADER, inbox.subject())
        // A tracer of ours, where one runs, writes its own over it.
        .with("traceparent", &traceparent);
    bus.publish_bytes(&subject::command(&command.instance), bytes.into(), None, headers).await?;
    let patience = session.global.timeout.map_or(online::ANSWER, |timeout| timeout.min(online::ANSWER));
    let Ok(reply) = tokio::time::timeout(patience, inbox.next()).await else {
        return Err(nobody_answered(command.command_id.into()));
    };
    let reply = reply.context("the connection was closed before an answer came")?;
    serde_json::from_slice(&reply.payload).context("could not read the router's answer")
}

async fn send(bus: &Bus, parcel: Parcel<'_>, args: &Args, session: &Session) -> Result<Exit> {
    halt::note(bus, session).await;
    let answer = publish(bus, parcel, session).await?;
    let accepted = is_accepted(&answer);
    match answer.remediation_id.filter(|_| accepted && args.wait) {
        None => {
            show_answer(&answer, session)?;
            Ok(if accepted { Exit::Done } else { Exit::Refused })
        }
        Some(id) => {
            session.note(text_of(&answer, session));
            let timeout = session.global.timeout.unwrap_or(LONGEST_WAIT);
            follow::to_the_end(bus, id, timeout, session).await
        }
    }
}

/// Did the router take it, now or before?
pub const fn is_accepted(answer: &CommandAnswer) -> bool {
    matches!(answer.status, AnswerStatus::Accepted | AnswerStatus::Repeated)
}

fn nobody_answered(id: RemediationId) -> anyhow::Error {
    let message = "no router answered in time; the command is kept until one does";
    Stop::new(Exit::TimedOut, message)
        .next(format_args!("instance status {id}   or   instance doctor"))
        .into()
}

pub fn show_answer(answer: &CommandAnswer, session: &Session) -> Result<()> {
    // Faults repeat what was sent.
    let mut answer = answer.clone();
    for fault in &mut answer.faults {
        for text in [&mut fault.field, &mut fault.value, &mut fault.rule] {
            *text = redacted(std::mem::take(text));
        }
    }
    if session.json() { print_json(&answer) } else { print(text_of(&answer, session)) }
}

fn text_of(answer: &CommandAnswer, session: &Session) -> String {
    let (word, tone) = match answer.status {
        AnswerStatus::Accepted => ("accepted", Tone::Good),
        AnswerStatus::Repeated => ("accepted before, not done twice", Tone::Warn),
        AnswerStatus::Refused => ("refused", Tone::Bad),
        AnswerStatus::Expired => ("expired", Tone::Bad),
    };
    let mut lines = vec![session.paint(tone, word)];
    let mut add = |name: &str, value: Option<String>| {
        lines.extend(value.map(|value| format!("  {name:11} {value}")));
    };
    add("remediation", answer.remediation_id.map(|id| id.to_string()));
    add("trace", answer.trace_id.as_ref().map(ToString::to_string));
    add(
        "place",
        answer.place.map(|place| if place == 0 { "next".to_owned() } else { format!("behind {place}") }),
    );
    lines.extend(answer.faults.iter().map(|fault| format!("  {}", printable(&fault.to_string()))));
    lines.join("\n")
}
