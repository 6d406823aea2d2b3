//! `instance dead-letter`: messages that nobody could handle, with the reason.

use anyhow::Result;
use instance_bus::{BusError, DeadLetter};
use instance_redaction::redact;
use serde_json::{Map, Value, json};

use crate::{
    exit::Exit,
    online,
    output::{print, print_json, printable, table},
    session::Session,
};

const LIST_EXAMPLES: &str = "\
Examples:
  instance dead-letter list
  instance dead-letter list --json | jq '.dead_letters[].reason'";
const SHOW_EXAMPLES: &str = "\
Examples:
  instance dead-letter show 12
  instance dead-letter show 12 --json | jq -r .payload | instance validate -";
const REPLAY_EXAMPLES: &str = "\
Examples:
  instance dead-letter replay 12                 Publish it again; the dead letter stays.";

#[derive(Debug, clap::Args)]
#[command(arg_required_else_help = true)]
pub struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// List them, oldest first
    #[command(after_help = LIST_EXAMPLES)]
    List,
    /// Print one with its reason and payload
    #[command(after_help = SHOW_EXAMPLES)]
    Show {
        /// Its number in the list
        sequence: u64,
    },
    /// Publish one again as a new message
    #[command(after_help = REPLAY_EXAMPLES)]
    Replay {
        /// Its number in the list
        sequence: u64,
    },
}

pub fn run(args: &Args, session: &Session) -> Result<Exit> {
    online::run(session, async |bus| {
        match args.command {
            Command::List => list(&bus.dead_letters().await?, session)?,
            Command::Show { sequence } => {
                let letters = bus.dead_letters().await?;
                let found = letters.iter().find(|letter| letter.sequence == sequence);
                show(found.ok_or(BusError::NoDeadLetter { sequence })?, session)?;
            }
            Command::Replay { sequence } => {
                let written = bus.replay(sequence).await?;
                if session.json() {
                    print_json(&json!({
                        "schema": "instance.cli.v1.dead_letter_replay", "sequence": sequence,
                        "written_at": written.sequence,
                    }))?;
                } else {
                    print(format_args!(
                        "dead letter {sequence} is published again, as message {}",
                        written.sequence
                    ))?;
                }
            }
        }
        Ok(Exit::Done)
    })
}

fn list(letters: &[DeadLetter], session: &Session) -> Result<()> {
    if session.json() {
        let list: Vec<Value> = letters.iter().map(|letter| Value::Object(summary(letter))).collect();
        return print_json(&json!({"schema": "instance.cli.v1.dead_letter_list", "dead_letters": list}));
    }
    if letters.is_empty() {
        session.note("there are no dead letters");
        return Ok(());
    }
    let rows = letters.iter().map(|letter| {
        let reason = redact(&letter.reason).replace('\n', " ").chars().take(100).collect();
        [letter.sequence.to_string(), letter.died_at.to_string(), letter.subject.clone(), reason]
    });
    print(table(["number", "died", "subject", "reason"], rows))
}

fn show(letter: &DeadLetter, session: &Session) -> Result<()> {
    let payload = payload_of(letter);
    if session.json() {
        let headers = headers_of(letter);
        let mut document = Map::from_iter([("schema".to_owned(), "instance.cli.v1.dead_letter".into())]);
        document.extend(summary(letter));
        document.extend([("headers".to_owned(), headers.into()), ("payload".to_owned(), payload.into())]);
        return print_json(&document);
    }
    print(format_args!("dead letter {}, {}", letter.sequence, letter.died_at))?;
    print(format_args!("reason   {}", printable(&redact(&letter.reason))))?;
    print(format_args!("subject  {} ({} of {})", letter.subject, letter.stream_sequence, letter.stream))?;
    print(format_args!("tried    {} times", letter.deliveries))?;
    print(printable(&payload))
}

/// As it came, but for what looks like a secret. (`replay` publishes it as it came.)
fn payload_of(letter: &DeadLetter) -> String {
    redact(&String::from_utf8_lossy(&letter.payload)).into_owned()
}

fn headers_of(letter: &DeadLetter) -> Map<String, Value> {
    letter.headers.iter().map(|(name, value)| (name.to_owned(), redact(value).into())).collect()
}

fn summary(letter: &DeadLetter) -> Map<String, Value> {
    let fields = json!({
        "sequence": letter.sequence, "reason": redact(&letter.reason), "subject": letter.subject, "stream": letter.stream,
        "stream_sequence": letter.stream_sequence, "deliveries": letter.deliveries, "died_at": letter.died_at,
        "bytes": letter.payload.len(),
    });
    match fields {
        Value::Object(fields) => fields,
        _ => Map::new(),
    }
}

#[cfg(test)]
mod tests {
    use instance_bus::Headers;

    use super::*;

    #[test]
    fn what_is_shown_of_a_dead_letter_holds_no_secret() {
        let letter = DeadLetter {
            sequence: 1,
            reason: "refused: db_password=hunter2hunter2".to_owned(),
            subject: "instance.v1.command.PROD".to_owned(),
            stream: "INSTANCE_COMMANDS".to_owned(),
            stream_sequence: 1,
            deliveries: 1,
            died_at: jiff::Timestamp::UNIX_EPOCH,
            payload: r#"{"instance": "PROD", "recommended_action": "db_password=hunter2hunter2", "x": 1}"#
                .into(),
            headers: Headers::new().with("X-Auth", "Bearer hunter2hunter2").with("X-Plain", "stays"),
        };
        let shown = format!("{} {:?} {:?}", payload_of(&letter), headers_of(&letter), summary(&letter));
        assert!(!shown.contains("hunter2"), "{shown}");
        assert!(shown.contains(r#""instance": "PROD""#) && shown.contains("stays"), "{shown}");
    }
}
