//! `instance incident`: one whole story, from the entries of a log to what came of it and what it cost.

pub mod case; // Read this first: what the records of an incident add up to.
mod remediation;
pub mod report;

use std::{collections::BTreeSet, path::PathBuf};

use anyhow::Result;
use instance_bus::Bus;
use instance_contract::{InstanceName, OverallStatus};
use instance_llm::{CostReport, budget::Amount};
use serde_json::{Value, json};
use uuid::Uuid;

use self::case::Case;
use crate::{
    cost,
    exit::{self, Exit, Stop},
    inbox, online,
    output::{print, print_json, printable, table, when},
    session::{self, Session, Tone},
    story::{self, Story},
};

const EXAMPLES: &str = "\
Examples:
  instance incident                              The newest ones.
  instance incident --last --instance PROD       The newest of one instance, told whole.
  instance incident 6f1d2c0a-52b7-4c43-9a3e-1b6077a1d5c8
  instance incident --last --json | jq '.cost'";

#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// Id of the incident, or of a finding, command or remediation of it; without it the newest are listed
    #[arg(value_parser = session::incident_id)]
    id: Option<Uuid>,
    /// Tell the newest one
    #[arg(long, conflicts_with = "id")]
    last: bool,
    /// Only those of one IRIS instance
    #[arg(long, value_name = "NAME", conflicts_with = "id")]
    instance: Option<InstanceName>,
    /// How many are listed
    #[arg(long, value_name = "COUNT", default_value_t = 20, conflicts_with_all = ["id", "last"])]
    limit: usize,
    /// Read what it cost from this folder of a process that asks models, and ask nobody
    #[arg(long, value_name = "DIR")]
    folder: Option<PathBuf>,
}

pub fn run(args: &Args, session: &Session) -> Result<Exit> {
    online::run(session, async |bus| {
        let case = match (args.id, args.last) {
            (Some(id), _) => case::find(&bus, id).await?,
            (None, last) => {
                let mut cases = case::all(&bus, args.instance.as_ref()).await?;
                if !last {
                    let shown = cases.len().saturating_sub(args.limit);
                    list(&cases[shown..], session)?;
                    return Ok(Exit::Done);
                }
                cases.pop().ok_or_else(|| none_yet(args.instance.as_ref()))?
            }
        };
        let reports = match &args.folder {
            Some(folder) => vec![cost::of_folder(folder, session)?],
            None => cost::of_processes(&bus, session).await?,
        };
        tell(&Whole::read(&bus, case, &reports).await?, session)?;
        Ok(Exit::Done)
    })
}

fn none_yet(instance: Option<&InstanceName>) -> Stop {
    let of = instance.map(|instance| format!(" of instance \"{instance}\"")).unwrap_or_default();
    Stop::new(Exit::NotFound, format_args!("there is no incident{of}")).next("incidents are kept for 30 days")
}

fn list(cases: &[Case], session: &Session) -> Result<()> {
    if session.json() {
        let incidents: Vec<Value> = cases.iter().map(Case::document).collect();
        return print_json(&json!({"schema": "instance.cli.v1.incidents", "incidents": incidents}));
    }
    if cases.is_empty() {
        session.note("there is no incident; `instance status` lists remediations that somebody asked for");
        return Ok(());
    }
    let rows = cases.iter().map(|case| {
        [
            case.id.to_string(),
            when(case.began_at),
            case.instance().map(ToString::to_string).unwrap_or_default(),
            case.severity().map(|severity| severity.as_str().to_owned()).unwrap_or_default(),
            report::condition(case),
            case.state(),
        ]
    });
    print(table(["incident", "began", "instance", "severity", "condition", "state"], rows))
}

/// An incident with all that belongs to it.
struct Whole {
    case: Case,
    /// One for each command that a remediation is known of.
    stories: Vec<Story>,
    /// `None`: nobody who could know was asked.
    cost: Option<Amount>,
}

impl Whole {
    async fn read(bus: &Bus, case: Case, reports: &[CostReport]) -> Result<Self> {
        let mut stories = Vec::new();
        for command in case.commands() {
            match story::find(bus, *command.as_uuid()).await {
                Ok(story) => stories.push(story),
                // A command that waits for its router has no remediation yet.
                Err(error) if exit::of(&error) == Exit::NotFound => {}
                Err(error) => return Err(error),
            }
        }
        let mut names: BTreeSet<String> = case.commands().iter().map(ToString::to_string).collect();
        names.insert(case.id.to_string());
        names.extend(stories.iter().map(|story| story.id.to_string()));
        Ok(Self { case, stories, cost: spent(reports, &names) })
    }

    fn document(&self) -> Value {
        let mut document = self.case.document();
        let remediations: Vec<Value> = self
            .stories
            .iter()
            .map(|story| {
                let mut document = story.document();
                document["trace"] = json!(story.ended().map(|ended| &ended.trace));
                document
            })
            .collect();
        document["schema"] = json!("instance.cli.v1.incident");
        document["remediations"] = json!(remediations);
        document["cost"] = json!(self.cost);
        instance_redaction::redact_document(&mut document);
        document
    }
}

/// What was spent under any of these names.
fn spent(reports: &[CostReport], names: &BTreeSet<String>) -> Option<Amount> {
    let own =
        reports.iter().flat_map(|report| &report.remediations).filter(|cost| names.contains(&cost.name));
    let sum = own.fold(Amount::default(), |sum, cost| Amount {
        calls: sum.calls + cost.amount.calls,
        input_tokens: sum.input_tokens + cost.amount.input_tokens,
        output_tokens: sum.output_tokens + cost.amount.output_tokens,
        usd: sum.usd + cost.amount.usd,
    });
    (!reports.is_empty()).then_some(sum)
}

fn tell(whole: &Whole, session: &Session) -> Result<()> {
    if session.json() {
        return print_json(&whole.document());
    }
    let case = &whole.case;
    print(report::head(case))?;
    if let Some(opened) = &case.opened {
        print(format_args!("opened {}, trace {}", when(opened.opened_at), opened.trace_id))?;
    }
    print(format_args!("\n{}", report::entries(case)))?;
    for (number, finding) in &case.findings {
        print(format_args!("\n{}", report::finding(*number, finding)))?;
    }
    for story in &whole.stories {
        print("")?;
        remediation::tell(story)?;
    }
    print("")?;
    for outcome in &case.outcomes {
        let status = outcome.overall_status;
        let tone = if status == OverallStatus::Success { Tone::Good } else { Tone::Bad };
        let why = outcome.reason.as_ref().map(|why| format!(": {}", printable(why))).unwrap_or_default();
        let word = session.paint(tone, status.as_str());
        print(format_args!(
            "outcome   {word} of runbook {} at {}{why}",
            outcome.runbook,
            when(outcome.ended_at)
        ))?;
    }
    if let Some(taken) = &case.acknowledged {
        print(format_args!("in hand   {}", printable(&inbox::told(taken))))?;
    }
    if let Some(closed) = &case.closed {
        print(format_args!("closed    {} at {}", closed.why.as_str(), when(closed.closed_at)))?;
    }
    for oddity in &case.unread {
        print(format_args!("odd       {}", printable(oddity)))?;
    }
    print(format_args!("cost      {}", cost_told(whole.cost)))
}

fn cost_told(cost: Option<Amount>) -> String {
    match cost {
        None => "nobody runs who asks language models; `--folder` reads what one has left".to_owned(),
        Some(amount) if amount.calls == 0 => "no language model was asked".to_owned(),
        Some(Amount { calls, input_tokens, output_tokens, usd }) => {
            format!(
                "{calls} call(s) of a language model, {input_tokens} + {output_tokens} tokens, {usd:.4} USD"
            )
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report(ledger: u128, names: &[&str]) -> CostReport {
        let amount = json!({"calls": 2, "input_tokens": 300, "output_tokens": 20, "usd": 0.0125});
        let cost = |name: &&str| {
            let mut cost = amount.clone();
            cost["name"] = json!(name);
            cost
        };
        let costs: Vec<Value> = names.iter().map(cost).collect();
        serde_json::from_value(json!({
            "ledger": Uuid::from_u128(ledger), "day": "2026-11-21", "today": amount,
            "limits": {"remediation_tokens": 1, "session_tokens": 1, "day_tokens": 1, "remediation_usd": 1.0,
                       "warn_percent": 80},
            "remediations": costs, "sessions": [], "models": [], "prompts": [], "days": [], "unreadable_lines": 0,
        }))
        .unwrap()
    }

    #[test]
    fn the_cost_is_the_sum_over_hosts_of_what_is_its_own() {
        let names = BTreeSet::from(["a".to_owned(), "b".to_owned()]);
        let reports = [report(1, &["a", "x"]), report(2, &["b"])];
        let sum = spent(&reports, &names);
        assert_eq!(cost_told(sum), "4 call(s) of a language model, 600 + 40 tokens, 0.0250 USD");
        assert_eq!(cost_told(spent(&[report(1, &["x"])], &names)), "no language model was asked");
        assert!(cost_told(spent(&[], &names)).contains("--folder"));
    }
}
