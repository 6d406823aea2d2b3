//! `instance history`: what has ended, newest last.

use anyhow::Result;
use instance_contract::{InstanceName, WorkflowTrace};
use jiff::Timestamp;
use serde_json::{Value, json};

use crate::{
    csv,
    exit::Exit,
    online,
    output::{print, print_json, table, when},
    session::Session,
    story::{self, Story},
};

const EXAMPLES: &str = "\
Examples:
  instance history
  instance history --instance PROD --limit 10
  instance history --csv > remediations.csv";

#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// Only those of one IRIS instance
    #[arg(long, value_name = "NAME")]
    instance: Option<InstanceName>,
    /// Only so many, those that were asked for last; the log is read no further
    #[arg(long, value_name = "COUNT", default_value_t = 50)]
    limit: usize,
    /// Comma-separated values, with a header
    #[arg(long, conflicts_with = "json")]
    csv: bool,
}

const COLUMNS: [&str; 7] = ["ended", "remediation", "instance", "verdict", "ms", "action", "risk"];
/// For programs, at the end: a line of it may be long.
const WHY: &str = "why";

pub fn run(args: &Args, session: &Session) -> Result<Exit> {
    online::run(session, async |bus| {
        let mut newest = Vec::new();
        let mut reading = story::newest(&bus).await?;
        while newest.len() < args.limit
            && let Some(story) = reading.next().await?
        {
            if story.ended().is_some() && of_instance(&story, args.instance.as_ref()) {
                newest.push(story);
            }
        }
        newest.sort_by_key(Story::ended_at);
        if session.json() {
            let documents: Vec<Value> = newest.iter().map(Story::document).collect();
            print_json(&json!({"schema": "instance.cli.v1.history", "remediations": documents}))?;
        } else if args.csv {
            print(format_args!("{},{WHY}", COLUMNS.join(",")))?;
            for story in &newest {
                let Some(row) = row(story) else { continue };
                print(csv::line(&[row.as_slice(), &[story.reasons()]].concat()))?;
            }
        } else if newest.is_empty() {
            session.note("nothing has ended yet");
        } else {
            let rows = newest.iter().filter_map(|story| {
                let mut row = row(story)?;
                row[0] = story.ended_at().map(when).unwrap_or_default();
                Some(row)
            });
            print(table(COLUMNS, rows))?;
        }
        Ok(Exit::Done)
    })
}

fn of_instance(story: &Story, wanted: Option<&InstanceName>) -> bool {
    wanted.is_none_or(|wanted| story.command().is_some_and(|command| &command.instance == wanted))
}

fn row(story: &Story) -> Option<[String; 7]> {
    let trace: &WorkflowTrace = &story.ended()?.trace;
    let command = story.command();
    let command = command.as_ref();
    Some([
        story.ended_at().map(|at: Timestamp| at.to_string()).unwrap_or_default(),
        story.id.to_string(),
        command.map(|command| command.instance.to_string()).unwrap_or_default(),
        trace.overall_status.as_str().to_owned(),
        trace.completion_time_ms.to_string(),
        command.map(|command| command.recommended_action.clone()).unwrap_or_default(),
        story.risk().map(|risk| risk.to_string()).unwrap_or_default(),
    ])
}
