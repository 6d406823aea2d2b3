//! `instance replay`: fold a remediation's log again, and show that the same inputs give the same records.

use anyhow::Result;
use instance_engine::Replayed;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::{
    exit::{Exit, Stop},
    online,
    output::{print, print_json, table},
    session::Session,
    story,
};

const EXAMPLES: &str = "\
Examples:
  instance replay 0c6e4d0e-5c1f-5d1c-9a53-0d6a2b8f7e11
  instance replay 0c6e4d0e-5c1f-5d1c-9a53-0d6a2b8f7e11 --json | jq '.records[] | select(.same | not)'

Exits 1 when a record differs: this version decides otherwise than the one that wrote the log.";

#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// Id of the remediation or of its command
    id: Uuid,
}

pub fn run(args: &Args, session: &Session) -> Result<Exit> {
    online::run(session, async |bus| {
        let story = story::find(&bus, args.id).await?;
        let replayed = instance_engine::replay(story.records());
        if replayed.is_empty() {
            let why = format!("remediation {} was refused before anything was decided", story.id);
            return Err(Stop::new(Exit::NotFound, why).into());
        }
        let same = replayed.iter().all(Replayed::is_same);
        if session.json() {
            let records: Vec<Value> = replayed.iter().map(row_json).collect();
            let id = story.id;
            print_json(
                &json!({"schema": "instance.cli.v1.replay", "remediation_id": id, "same": same, "records": records}),
            )?;
        } else {
            let rows = replayed.iter().map(|record| {
                let because = record.because.as_ref();
                let now = because.map_or_else(String::new, |because| because.now.to_string());
                let event = because.map_or_else(|| "command".to_owned(), |because| because.event.clone());
                [record.kind.to_string(), event, now, verdict(record).to_owned()]
            });
            print(table(["record", "because of", "decided at", "again"], rows))?;
        }
        Ok(if same { Exit::Done } else { Exit::Failure })
    })
}

fn verdict(record: &Replayed) -> &'static str {
    match (record.stale, record.is_same()) {
        (true, _) => "not compared: its writer had been followed by another owner",
        (false, true) => "the same bytes",
        (false, false) => "DIFFERENT",
    }
}

fn row_json(record: &Replayed) -> Value {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let differs = !record.is_same();
    json!({
        "record": record.kind.to_string(),
        "because": record.because,
        "same": record.is_same(),
        "compared": !record.stale,
        "written": differs.then(|| text(&record.written)),
        "again": differs.then(|| record.again.as_deref().map(text)),
    })
}
