//! `instance replay`: fold a remediation's log again, and show that the same inputs give the same records.

use anyhow::Result;
use instance_engine::{Again, Replayed};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::{
    exit::{Exit, Stop},
    online,
    output::{print, print_json, table},
    session::{self, Session},
    story,
};

const EXAMPLES: &str = "\
Examples:
  instance replay 0c6e4d0e-5c1f-5d1c-9a53-0d6a2b8f7e11
  instance replay 0c6e4d0e-5c1f-5d1c-9a53-0d6a2b8f7e11 --json | jq '.records[] | select(.same == false)'

Exits 1 when a record differs: this version decides otherwise than the one that wrote the log. What the log does not
hold (bytes of a command, policy and facts of a refusal at intake, what an owner knew beside another one) cannot be
asked again: such records are counted as not compared.";

#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// Id of the remediation or of its command
    #[arg(value_parser = session::id)]
    id: Uuid,
}

pub fn run(args: &Args, session: &Session) -> Result<Exit> {
    online::run(session, async |bus| {
        let story = story::find(&bus, args.id).await?;
        let replayed = instance_engine::replay(story.records());
        let compared = replayed.iter().filter(|record| record.is_compared()).count();
        if compared == 0 {
            let why =
                format!("nothing of remediation {} can be compared: it was refused at intake", story.id);
            return Err(Stop::new(Exit::NotFound, why).into());
        }
        let different = replayed.iter().filter(|record| record.differs()).count();
        let not_compared = replayed.len() - compared;
        if session.json() {
            let records: Vec<Value> = replayed.iter().map(row_json).collect();
            let id = story.id;
            print_json(&json!({
                "schema": "instance.cli.v1.replay", "remediation_id": id, "same": different == 0,
                "not_compared": not_compared, "records": records,
            }))?;
        } else {
            let rows = replayed.iter().map(|record| {
                let because = record.because.as_ref();
                let now = because.map_or_else(String::new, |because| because.now.to_string());
                let event = because.map_or_else(|| "command".to_owned(), |because| because.event.clone());
                [record.kind.to_string(), event, now, verdict(record)]
            });
            print(table(["record", "because of", "decided at", "again"], rows))?;
            let same = compared - different;
            print(format!("{same} the same bytes, {different} different, {not_compared} not compared"))?;
        }
        Ok(if different == 0 { Exit::Done } else { Exit::Failure })
    })
}

fn verdict(record: &Replayed) -> String {
    match record.again {
        Again::Same => "the same bytes".to_owned(),
        Again::Different(_) => "DIFFERENT".to_owned(),
        Again::NotCompared(why) => format!("not compared: {why}"),
    }
}

/// `same` is null for a record that is not compared; `written` and `again` are there for one that differs.
fn row_json(record: &Replayed) -> Value {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let again = match &record.again {
        Again::Different(again) => again.as_deref().map(text),
        Again::Same | Again::NotCompared(_) => None,
    };
    json!({
        "record": record.kind.to_string(),
        "because": record.because,
        "same": record.is_compared().then(|| record.is_same()),
        "compared": record.is_compared(),
        "written": record.differs().then(|| text(&record.written)),
        "again": again,
    })
}
