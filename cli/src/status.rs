//! `instance status`: what is open, or where one remediation stands.

use anyhow::Result;
use instance_engine::Phase;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::{
    exit::Exit,
    halt, online,
    output::{print, print_json, table, when},
    session::{self, Session},
    story::{self, Open, Story},
};

const EXAMPLES: &str = "\
Examples:
  instance status                                Everything that is not ended.
  instance status 6f1d2c0a-52b7-4c43-9a3e-1b6077a1d5c8
  instance status --json | jq '.remediations[] | select(.phase == \"waiting_approval\")'";

#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// Remediation id or command id; without it everything that is open is listed
    #[arg(value_parser = session::id)]
    id: Option<Uuid>,
}

pub fn run(args: &Args, session: &Session) -> Result<Exit> {
    online::run(session, async |bus| {
        halt::note(&bus, session).await;
        match args.id {
            Some(id) => {
                let story = story::find(&bus, id).await?;
                let may_wait = matches!(story.phase(), Phase::Queued | Phase::WaitingApproval);
                let open = if may_wait { Some(story::open(&bus).await?) } else { None };
                let among = open.as_ref().map(Open::stories).unwrap_or_default();
                show(&story, story.place(among), session)?;
            }
            None => list(story::open(&bus).await?.stories(), session)?,
        }
        Ok(Exit::Done)
    })
}

/// Oldest first.
fn list(stories: &[Story], session: &Session) -> Result<()> {
    let open: Vec<&Story> = stories.iter().rev().collect();
    if session.json() {
        let documents: Vec<Value> =
            open.iter().map(|story| with_place(story.document(), story.place(stories))).collect();
        return print_json(&json!({"schema": "instance.cli.v1.status_list", "remediations": documents}));
    }
    if open.is_empty() {
        session.note("nothing is open; `instance history` lists what has ended");
        return Ok(());
    }
    let rows = open.iter().map(|story| {
        let command = story.command();
        let (instance, action) = command
            .map(|command| (command.instance.to_string(), command.recommended_action))
            .unwrap_or_default();
        [story.id.to_string(), instance, phase(story, story.place(stories)), step_at(story), action]
    });
    print(table(["remediation", "instance", "phase", "step", "action"], rows))
}

/// `queued` also says behind how many.
fn phase(story: &Story, place: Option<usize>) -> String {
    let word = story.phase().as_str();
    match place {
        Some(before) if before > 0 => format!("{word} behind {before}"),
        _ => word.to_owned(),
    }
}

fn with_place(mut document: Value, place: Option<usize>) -> Value {
    document["place"] = json!(place);
    document
}

fn step_at(story: &Story) -> String {
    let running = story.steps().into_iter().find(|row| row.word() == "running");
    running.map_or_else(|| "-".to_owned(), |row| row.id.to_string())
}

/// Where one remediation stands; `place`: how many go first, where that is known.
pub fn show(story: &Story, place: Option<usize>, session: &Session) -> Result<()> {
    if session.json() {
        let mut document = json!({"schema": "instance.cli.v1.status"});
        if let (Value::Object(document), Value::Object(fields)) =
            (&mut document, with_place(story.document(), place))
        {
            document.extend(fields);
        }
        return print_json(&document);
    }
    let mut lines = vec![format!("remediation {}: {}", story.id, phase(story, place))];
    if let (Some(remediation), Some(command)) = (story.remediation(), story.command()) {
        lines.push(format!("  {} on {}", command.recommended_action, command.instance));
        lines.push(format!(
            "  asked by {}, accepted {}, trace {}",
            command.requested_by,
            when(remediation.accepted.accepted_at),
            command.trace_id
        ));
    }
    lines.extend(story.oddities().into_iter().map(|oddity| format!("  {oddity}")));
    if let Some(ended) = story.ended() {
        lines.push(format!("  ended: {}", ended.trace.overall_status.as_str()));
    }
    if let Some((_, asked)) = story.open_question() {
        lines.push(format!("  waits until {} for: instance approve {}", when(asked.expires_at), story.id));
        lines.extend(crate::approve::question(&asked).lines().map(|line| format!("  {line}")));
    }
    print(crate::output::printable(&lines.join("\n")))?;
    let rows = story.steps().into_iter().map(|row| {
        let attempt = if row.attempt == 0 { "-".to_owned() } else { row.attempt.to_string() };
        let (risk, reason) = row
            .outline
            .as_ref()
            .map(|outline| (outline.risk.as_str(), outline.reason.clone()))
            .unwrap_or_default();
        [row.id.to_string(), row.word().to_owned(), attempt, row.agent, row.host, risk.to_owned(), reason]
    });
    let rows: Vec<_> = rows.collect();
    if rows.is_empty() {
        Ok(())
    } else {
        print(table(["step", "status", "attempt", "agent", "host", "risk", "why"], rows))
    }
}
