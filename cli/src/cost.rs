//! `instance cost`: what language models have cost. Asked of the processes that spend, or read from their folder.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    sync::Arc,
};

use anyhow::{Context as _, Result};
use bytes::Bytes;
use instance_bus::Bus;
use instance_clock::SystemClock;
use instance_llm::{
    CostReport,
    budget::{self, Amount, NamedCost},
    operate,
};
use serde_json::json;

use crate::{
    breaker,
    exit::{Exit, Stop},
    online,
    output::{print, print_json, table},
    session::Session,
    settings,
};

const EXAMPLES: &str = "\
Examples:
  instance cost                                  Of every process that asks models.
  instance cost --folder /var/lib/instance/model Of one host, without the bus.
  instance cost --json | jq '.reports[].today.usd'";

#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// Read this folder of a process that asks models, and ask nobody
    #[arg(long, value_name = "DIR")]
    folder: Option<PathBuf>,
}

pub fn run(args: &Args, session: &Session) -> Result<Exit> {
    if let Some(folder) = &args.folder {
        return tell(&[of_folder(folder, session)?], session);
    }
    online::run(session, async |bus| tell(&of_processes(&bus, session).await?, session))
}

/// What one folder knows.
pub fn of_folder(folder: &Path, session: &Session) -> Result<CostReport> {
    if !folder.join("spent").is_dir() {
        let stop =
            Stop::new(Exit::NotFound, format_args!("\"{}\" holds no record of costs", folder.display()));
        return Err(stop.next("it is `folder` among the settings of language models").into());
    }
    let limits = settings::model(&session.global, None)?.budget;
    Ok(budget::read(&limits, folder, Arc::new(SystemClock))?)
}

/// What every process that asks models knows. Processes of one host share a folder: it is told once.
pub async fn of_processes(bus: &Bus, session: &Session) -> Result<Vec<CostReport>> {
    let mut reports = BTreeMap::new();
    for answer in breaker::ask(bus, session, operate::COST, Bytes::new()).await? {
        let report: Option<CostReport> = serde_json::from_slice(&answer.body)
            .with_context(|| format!("could not read what {} answered", answer.service))?;
        reports.extend(report.map(|report| (report.ledger, report)));
    }
    Ok(reports.into_values().collect())
}

fn tell(reports: &[CostReport], session: &Session) -> Result<Exit> {
    if session.json() {
        print_json(&json!({"schema": "instance.cli.v1.cost", "reports": reports}))?;
        return Ok(Exit::Done);
    }
    if reports.is_empty() {
        session.note("no running process asks language models; `--folder` reads what one has left");
    }
    for report in reports {
        let tokens = report.today.input_tokens + report.today.output_tokens;
        let share = tokens.saturating_mul(100) / report.limits.day_tokens.max(1);
        print(format_args!(
            "{}: {} call(s), {tokens} of {} tokens ({share} %), {:.4} USD",
            report.day, report.today.calls, report.limits.day_tokens, report.today.usd
        ))?;
        print(format_args!(
            "limits: {} tokens or {:.2} USD a remediation, {} tokens a session; a warning at {} %",
            report.limits.remediation_tokens,
            report.limits.remediation_usd,
            report.limits.session_tokens,
            report.limits.warn_percent
        ))?;
        let groups = [
            ("remediation", &report.remediations),
            ("session", &report.sessions),
            ("model", &report.models),
            ("prompt", &report.prompts),
        ];
        let named =
            groups.into_iter().flat_map(|(kind, costs)| costs.iter().map(move |cost| named(kind, cost)));
        let days = report.days.iter().map(|day| row("day", &day.day.to_string(), &day.amount));
        print(table(["by", "name", "calls", "input", "output", "usd"], named.chain(days)))?;
        if report.unreadable_lines > 0 {
            session.note(format_args!("{} line(s) of the record cannot be read", report.unreadable_lines));
        }
    }
    Ok(Exit::Done)
}

fn named(kind: &str, cost: &NamedCost) -> [String; 6] {
    row(kind, &cost.name, &cost.amount)
}

fn row(kind: &str, name: &str, amount: &Amount) -> [String; 6] {
    [
        kind.to_owned(),
        name.to_owned(),
        amount.calls.to_string(),
        amount.input_tokens.to_string(),
        amount.output_tokens.to_string(),
        format!("{:.4}", amount.usd),
    ]
}
