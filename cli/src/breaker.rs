//! `instance breaker`: the circuit breakers of every process that calls outside services (models, Redis, the webhook). They live in those processes,
//! which tell of them on the bus; nothing is kept anywhere else, so a process that is gone has no breakers.

use std::time::Duration;

use anyhow::{Context as _, Result};
use bytes::Bytes;
use futures::future::join_all;
use instance_bus::{Bus, FoundService, RequestError};
use instance_contract::subject::{self, Subject};
use instance_llm::operate::{self, BreakersReport, ResetOrder};
use serde_json::{Value, json};

use crate::{
    exit::{Exit, Stop},
    online,
    output::{print, print_json, table},
    session::Session,
};

const LIST_EXAMPLES: &str = "\
Examples:
  instance breaker list
  instance breaker list --json | jq -r '.processes[].breakers[] | select(.state == \"open\") | .name'";

const RESET_EXAMPLES: &str = "\
Examples:
  instance breaker reset main                    Let calls through again, in every process that has one of that name.
  instance breaker reset --all";

/// How long processes may take to say that they are there, unless `--timeout` says otherwise.
const FIND: Duration = Duration::from_secs(1);

#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// Where the breakers stand
    #[command(after_help = LIST_EXAMPLES)]
    List,
    /// Close breakers, so that calls are made again
    #[command(after_help = RESET_EXAMPLES)]
    Reset(ResetArgs),
}

#[derive(Debug, clap::Args)]
struct ResetArgs {
    /// The provider's name in the settings, `files` or `redis` for a level of the cache, or `webhook`
    #[arg(required_unless_present = "all", conflicts_with = "all")]
    name: Option<String>,
    /// All of them
    #[arg(long)]
    all: bool,
}

pub fn run(args: &Args, session: &Session) -> Result<Exit> {
    online::run(session, async |bus| match &args.command {
        Command::List => {
            let answers = ask(&bus, session, operate::BREAKERS, Bytes::new()).await?;
            tell(&answers, session)?;
            Ok(Exit::Done)
        }
        Command::Reset(reset) => {
            let order = serde_json::to_vec(&ResetOrder { name: reset.name.clone() })?;
            let answers = ask(&bus, session, operate::RESET, order.into()).await?;
            if answers.is_empty() {
                let name = reset.name.as_deref().unwrap_or("of any name");
                let stop = Stop::new(Exit::NotFound, format_args!("no running process has a breaker {name}"));
                return Err(stop.next("`instance breaker list` shows what there is").into());
            }
            tell(&answers, session)?;
            Ok(Exit::Done)
        }
    })
}

/// A process, and what it answered.
pub struct Answer {
    pub service: String,
    pub process: String,
    pub body: Bytes,
}

/// Asks every process that asks models. One that has no such thing is left out.
pub async fn ask(bus: &Bus, session: &Session, endpoint: &str, payload: Bytes) -> Result<Vec<Answer>> {
    let found = bus.find_services(None, session.global.timeout.unwrap_or(FIND)).await?;
    let asked = found.iter().filter_map(|service| Some((service, endpoint_of(service, endpoint)?)));
    let timeout = session.global.timeout.unwrap_or(online::ANSWER);
    let replies = asked.map(|(service, subject)| {
        let payload = payload.clone();
        async move { (service, bus.request(&subject, payload, timeout).await) }
    });
    let mut answers = Vec::new();
    for (service, reply) in join_all(replies).await {
        match reply {
            Ok(reply) => answers.push(Answer {
                service: service.name.clone(),
                process: service.id.clone(),
                body: reply.payload,
            }),
            Err(RequestError::Answered { error, .. }) if error.code == 404 => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(answers)
}

fn endpoint_of(service: &FoundService, name: &str) -> Option<Subject> {
    let endpoint = service.endpoints.iter().find(|endpoint| endpoint.name == name)?;
    subject::model_found(&endpoint.subject)
}

fn tell(answers: &[Answer], session: &Session) -> Result<()> {
    let mut reports = Vec::new();
    for answer in answers {
        let report: BreakersReport = serde_json::from_slice(&answer.body)
            .with_context(|| format!("could not read what {} answered", answer.service))?;
        reports.push((answer, report));
    }
    if session.json() {
        let process = |(answer, report): &(&Answer, BreakersReport)| json!({"service": answer.service, "process": answer.process, "breakers": report.breakers, "cache": report.cache});
        let processes: Vec<Value> = reports.iter().map(process).collect();
        return print_json(&json!({"schema": "instance.cli.v1.breakers", "processes": processes}));
    }
    if reports.is_empty() {
        session.note("no running process has a breaker");
        return Ok(());
    }
    let rows = reports.iter().flat_map(|(answer, report)| {
        report.breakers.iter().map(|breaker| {
            let counts = breaker.statistics;
            [
                answer.service.clone(),
                breaker.name.clone(),
                breaker.state.clone(),
                breaker.open_until.map(|until| until.to_string()).unwrap_or_default(),
                counts.succeeded.to_string(),
                counts.failed.to_string(),
                counts.refused.to_string(),
                breaker.last_failure.clone().unwrap_or_default(),
            ]
        })
    });
    let header =
        ["process", "breaker", "state", "open until", "succeeded", "failed", "refused", "last failure"];
    print(table(header, rows))
}
