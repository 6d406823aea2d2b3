//! `instance inbox`: what waits for a person, until a person says that it is in hand.

mod question;

use anyhow::Result;
use instance_bus::{Bus, Headers, PublishError};
use instance_contract::{
    Decision, IncidentAcknowledged, InstanceName,
    subject::{self, IncidentRecord},
};
use serde_json::{Value, json};
use uuid::Uuid;

use self::question::Question;
use crate::{
    exit::{Exit, Stop},
    incident::{
        case::{self, Case},
        report,
    },
    online,
    output::{print, print_json, printable, table, when},
    session::{self, Session},
    story,
};

const LIST_EXAMPLES: &str = "\
Examples:
  instance inbox list
  instance inbox list --quiet || echo 'somebody has to look'
  instance inbox list --json | jq '.incidents[] | select(.severity == 3)'

Remediations that wait for a person to agree to their changes stand below the incidents.
Ends with 0 when nothing waits, with 1 when something does.";
const SHOW_EXAMPLES: &str = "\
Examples:
  instance inbox show                            The one that has waited longest.
  instance inbox show 6f1d2c0a-52b7-4c43-9a3e-1b6077a1d5c8";
const ACK_EXAMPLES: &str = "\
Examples:
  instance inbox ack 6f1d2c0a-52b7-4c43-9a3e-1b6077a1d5c8 --note 'ticket 4711, the storage team'
  instance inbox ack 6f1d2c0a-52b7-4c43-9a3e-1b6077a1d5c8 --try-again --note 'the disk was full, and is not now'";

/// Nobody reads more, and a note must not be a way to fill the log.
const LONGEST_NOTE: usize = 1_000;

#[derive(Debug, clap::Args)]
#[command(arg_required_else_help = true)]
pub struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// What waits for a person, oldest first
    #[command(after_help = LIST_EXAMPLES)]
    List {
        /// Only of one IRIS instance
        #[arg(long, value_name = "NAME")]
        instance: Option<InstanceName>,
        /// Those that were acknowledged too
        #[arg(long)]
        all: bool,
    },
    /// One of them: what was found, on what evidence, and what to do
    #[command(after_help = SHOW_EXAMPLES)]
    Show {
        /// Id of the incident, or of one of its findings
        #[arg(value_parser = session::incident_id)]
        id: Option<Uuid>,
    },
    /// Say that it is in hand: it leaves the inbox, and the webhook is told no more; the first who says so counts
    #[command(after_help = ACK_EXAMPLES)]
    Ack(AckArgs),
}

#[derive(Debug, clap::Args)]
struct AckArgs {
    /// Id of the incident, or of one of its findings
    #[arg(value_parser = session::incident_id)]
    id: Uuid,
    /// What was done or will be, for the record; at most 1000 characters
    #[arg(long, value_name = "TEXT", value_parser = note)]
    note: Option<String>,
    /// Let the analyst try again what has failed twice in a row (or helped too often) for this condition on this instance
    #[arg(long)]
    try_again: bool,
    /// Who acknowledges; by default the user of this shell
    #[arg(long, value_name = "NAME")]
    by: Option<String>,
}

pub fn run(args: &Args, session: &Session) -> Result<Exit> {
    online::run(session, async |bus| match &args.command {
        Command::List { instance, all } => list(&bus, instance.as_ref(), *all, session).await,
        Command::Show { id } => show(&bus, *id, session).await,
        Command::Ack(args) => acknowledge(&bus, args, session).await,
    })
}

async fn list(bus: &Bus, instance: Option<&InstanceName>, all: bool, session: &Session) -> Result<Exit> {
    let mut cases = case::all(bus, instance).await?;
    cases.retain(|case| case.question().is_some() && (all || case.waits()));
    let waiting = cases.iter().filter(|case| case.waits()).count();
    let open = story::open(bus).await?;
    let questions = Question::open(open.stories(), instance);
    if session.json() {
        let incidents: Vec<Value> = cases.iter().filter_map(document).collect();
        let approvals: Vec<Value> = questions.iter().map(Question::document).collect();
        print_json(&json!({
            "schema": "instance.cli.v1.inbox", "waiting": waiting, "incidents": incidents, "approvals": approvals,
        }))?;
    } else {
        tell(&cases, &questions, session)?;
    }
    Ok(if waiting == 0 && questions.is_empty() { Exit::Done } else { Exit::Failure })
}

fn tell(cases: &[Case], questions: &[Question], session: &Session) -> Result<()> {
    if cases.is_empty() && questions.is_empty() {
        session.note("nothing waits for a person");
    }
    if !cases.is_empty() {
        print(table(
            ["incident", "found", "instance", "severity", "condition", "why"],
            cases.iter().filter_map(row),
        ))?;
    }
    if !questions.is_empty() {
        print(table(
            ["remediation", "answer until", "instance", "agree to"],
            questions.iter().map(Question::row),
        ))?;
        session.note("agree? instance status REMEDIATION shows the changes, instance approve REMEDIATION agrees to them");
    }
    Ok(())
}

fn row(case: &Case) -> Option<[String; 6]> {
    let (_, finding) = case.question()?;
    let Decision::Person { why, .. } = &finding.decision else { return None };
    let taken =
        case.acknowledged.as_ref().map(|taken| format!(" (in hand: {})", taken.by)).unwrap_or_default();
    Some([
        case.id.to_string(),
        when(finding.found_at),
        finding.instance.to_string(),
        finding.severity.as_str().to_owned(),
        report::condition(case),
        instance_redaction::redacted(format!("{}{taken}", why.replace('\n', " "))),
    ])
}

fn document(case: &Case) -> Option<Value> {
    let (number, finding) = case.question()?;
    let Decision::Person { why, what_to_do } = &finding.decision else { return None };
    let mut document = json!({
        "incident_id": case.id, "finding_id": finding.finding_id, "number": number,
        "trace_id": finding.trace_id, "instance": finding.instance, "host": finding.host,
        "found_at": finding.found_at, "title": finding.title, "severity": finding.severity, "condition": finding.condition,
        "error_type": finding.error_type, "confidence": finding.confidence, "why": why,
        "what_to_do": what_to_do, "next_steps": finding.next_steps, "waits": case.waits(), "state": case.state(),
        "acknowledged": case.acknowledged,
    });
    instance_redaction::redact_document(&mut document);
    Some(document)
}

async fn show(bus: &Bus, id: Option<Uuid>, session: &Session) -> Result<Exit> {
    let case = match id {
        Some(id) => case::find(bus, id).await?,
        None => match case::all(bus, None).await?.into_iter().find(Case::waits) {
            Some(case) => case,
            None => return Err(Stop::new(Exit::NotFound, "nothing waits for a person").into()),
        },
    };
    let Some((number, finding)) = case.question() else { return Err(asks_nobody(&case).into()) };
    if session.json() {
        let mut document = case.document();
        document["schema"] = json!("instance.cli.v1.inbox_incident");
        instance_redaction::redact_document(&mut document);
        print_json(&document)?;
        return Ok(Exit::Done);
    }
    print(report::head(&case))?;
    print(report::finding(number, finding))?;
    print(report::entries(&case))?;
    match &case.acknowledged {
        Some(taken) => print(printable(&told(taken)))?,
        None => session.note(format_args!("in hand? instance inbox ack {} --note TEXT", case.id)),
    }
    Ok(Exit::Done)
}

async fn acknowledge(bus: &Bus, args: &AckArgs, session: &Session) -> Result<Exit> {
    let case = case::find(bus, args.id).await?;
    if let Some(first) = &case.acknowledged {
        return Err(too_late(&case, first).into());
    }
    let Some((number, finding)) = case.question() else { return Err(asks_nobody(&case).into()) };
    if args.try_again && case.condition().is_none() {
        return Err(nothing_to_try(&case).into());
    }
    let record = IncidentAcknowledged {
        schema: IncidentAcknowledged::SCHEMA.to_owned(),
        trace_id: finding.trace_id.clone(),
        incident_id: case.id,
        by: args.by.clone().unwrap_or_else(online::operator),
        at: online::now(),
        note: args.note.clone(),
        seen_finding: Some(number),
        try_again: args.try_again,
    };
    let subject = subject::incident(&finding.instance, case.id, IncidentRecord::Acknowledged);
    match bus.publish_once_confirmed(&subject, &record, Headers::new()).await {
        Ok(_) => {}
        Err(PublishError::Exists { .. }) => {
            let now = case::find(bus, *case.id.as_uuid()).await?;
            let first = now.acknowledged.as_ref();
            return Err(first.map_or_else(|| unreadable(&now), |first| too_late(&now, first)).into());
        }
        Err(error) => return Err(error.into()),
    }
    if session.json() {
        let mut document = json!(record);
        document["schema"] = json!("instance.cli.v1.inbox_ack");
        print_json(&document)?;
    } else {
        print(printable(&told(&record)))?;
    }
    Ok(Exit::Done)
}

/// What an acknowledgement says.
pub fn told(record: &IncidentAcknowledged) -> String {
    let note = record.note.as_ref().map(|note| format!(": {note}")).unwrap_or_default();
    let again = if record.try_again { "; what failed may be tried again" } else { "" };
    format!("acknowledged by {} at {}{note}{again}", record.by, when(record.at))
}

fn too_late(case: &Case, first: &IncidentAcknowledged) -> Stop {
    let text = printable(&format!("incident {} is in hand already: {}", case.id, told(first)));
    Stop::new(Exit::Refused, text).next("the first acknowledgement counts; nothing was changed")
}

fn unreadable(case: &Case) -> Stop {
    let text = format!("incident {} was acknowledged before, by something that cannot be read", case.id);
    Stop::new(Exit::Refused, text).next("the first acknowledgement counts; nothing was changed")
}

fn nothing_to_try(case: &Case) -> Stop {
    let text =
        format!("incident {} is of no condition that the catalogue knows, so nothing was tried", case.id);
    Stop::new(Exit::Refused, text).next("acknowledge it without --try-again; nothing was changed")
}

fn asks_nobody(case: &Case) -> Stop {
    let text = format!("incident {} asks for nobody: it is {}", case.id, case.state());
    Stop::new(Exit::NotFound, text).next(format_args!("instance incident {} tells it whole", case.id))
}

fn note(text: &str) -> Result<String, String> {
    let long = text.chars().nth(LONGEST_NOTE).is_some();
    let blank = text.trim().is_empty();
    match (blank, long) {
        (true, _) => Err("must say something".to_owned()),
        (_, true) => Err(format!("must have at most {LONGEST_NOTE} characters")),
        _ => Ok(text.to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_note_says_something_and_not_too_much() {
        assert_eq!(note("done").as_deref(), Ok("done"));
        assert!(note(" ").is_err() && note(&"x".repeat(1_001)).is_err());
        assert!(note(&"ä".repeat(1_000)).is_ok());
    }
}
