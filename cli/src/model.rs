//! `instance model check`: asks each provider of the settings one question that has a right answer, the same way as the
//! services ask: within budget and breaker, checked, recorded or replayed where that is wanted.

use std::{env, path::PathBuf, sync::Arc, time::Instant};

use anyhow::Result;
use instance_clock::SystemClock;
use instance_llm::{Account, Choices, Choosable, Fill, Model, Parts, Question, Settings, Template};
use serde_json::{Value, json};

use crate::{
    exit::{Exit, Stop},
    online,
    output::{print, print_json, printable, table},
    session::Session,
    settings,
    tape::Tape,
    telemetry,
};

const CHECK_EXAMPLES: &str = "\
Examples:
  instance model check --config /etc/instance/analyst.toml --of analyst
  instance model check --record tape             Keeps the answers in a folder.
  instance model check --replay tape --json      Answers from it, offline.

The table [model] of a settings file:
  [model]
  folder = \"/var/lib/instance/model\"
  [[model.providers]]
  name = \"main\"
  base_url = \"https://models.example/v1\"
  model = \"small-1\"
  key_file = \"/etc/instance/model.key\"";

/// Judged, not invented: the same question has the same answer.
const TEMPLATE: Template = Template {
    name: "check",
    version: 1,
    system: "Choose the one option that fits the case. Answer with its number, a number for each of its ranges in order, \
             and how sure you are, 0 to 1.",
    user: "Options:\n{{options}}\n\nThe case: the journal folder of a database is full, and it has stopped writing.",
};

/// The right one of the options.
const RIGHT: usize = 1;

#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// Ask each provider one question, and tell how it answered and what that cost
    #[command(after_help = CHECK_EXAMPLES)]
    Check(CheckArgs),
}

#[derive(Debug, clap::Args)]
struct CheckArgs {
    /// Use what this service uses: the table `[SERVICE.model]` of its settings, in place of `[model]`
    #[arg(long, value_name = "SERVICE")]
    of: Option<String>,
    #[command(flatten)]
    tape: Tape,
}

pub fn run(args: &Args, session: &Session) -> Result<Exit> {
    let Command::Check(args) = &args.command;
    let mut settings = args.tape.onto(settings::model(&session.global, args.of.as_deref())?);
    // An answer from the cache would say nothing about the provider.
    settings.cache.enabled = false;
    if settings.providers.is_empty() {
        let stop = Stop::new(Exit::NotFound, "the settings name no provider of a language model");
        return Err(stop.next("see the table [model] in `instance model check --help`").into());
    }
    let telemetry = telemetry::start(session)?;
    let outcome = online::block_on(check(&settings, session));
    telemetry::finish(telemetry, session);
    outcome
}

/// How one provider did.
struct Checked {
    provider: String,
    model: String,
    outcome: String,
    right: bool,
    milliseconds: u128,
    tokens: u64,
    micro_usd: u64,
}

async fn check(settings: &Settings, session: &Session) -> Result<Exit> {
    let mut all = Vec::new();
    for at in 0..settings.providers.len() {
        all.push(one(settings, at).await?);
    }
    if session.json() {
        let line = |checked: &Checked| json!({"provider": checked.provider, "model": checked.model, "outcome": checked.outcome, "right": checked.right, "milliseconds": u64::try_from(checked.milliseconds).unwrap_or(u64::MAX), "tokens": checked.tokens, "micro_usd": checked.micro_usd});
        let providers: Vec<Value> = all.iter().map(line).collect();
        print_json(&json!({"schema": "instance.cli.v1.model_check", "providers": providers}))?;
    } else {
        let rows = all.iter().map(|checked| {
            [
                checked.provider.clone(),
                checked.model.clone(),
                printable(&checked.outcome),
                format!("{} ms", checked.milliseconds),
                checked.tokens.to_string(),
                checked.micro_usd.to_string(),
            ]
        });
        print(table(["provider", "model", "outcome", "took", "tokens", "micro-usd"], rows))?;
    }
    Ok(if all.iter().all(|checked| checked.right) { Exit::Done } else { Exit::Failure })
}

/// What a model is given by this process.
pub fn parts() -> Parts {
    Parts {
        credentials_directory: env::var_os("CREDENTIALS_DIRECTORY").map(PathBuf::from),
        ..Parts::new(Arc::new(SystemClock))
    }
}

async fn one(settings: &Settings, at: usize) -> Result<Checked> {
    let provider = settings.providers[at].clone();
    let alone = Settings { providers: vec![provider.clone()], ..settings.clone() };
    let model = Model::new(alone, parts()).map_err(|error| {
        Stop::new(
            Exit::BadConfiguration,
            format_args!("could not set up provider \"{}\": {error}", provider.name),
        )
    })?;
    let option = |label: &str| Choosable { label: label.to_owned(), ranges: Vec::new() };
    let choices = Choices::new(vec![
        option("Give the database more memory"),
        option("Make room in the journal folder"),
    ])?;
    let prompt = TEMPLATE.fill(&[("options", Fill::Ours(choices.listed()))])?;
    let session = format!("check-{}", std::process::id());
    let account = Account { session, remediation: None };
    let began = Instant::now();
    let answer = model.ask(&Question::judge(&prompt, &choices, &account)).await;
    let milliseconds = began.elapsed().as_millis();
    let checked = |outcome, right, tokens, micro_usd| Checked {
        provider: provider.name.clone(),
        model: provider.model.clone(),
        outcome,
        right,
        milliseconds,
        tokens,
        micro_usd,
    };
    Ok(match answer {
        Ok(answer) => {
            let right = answer.value.option == Some(RIGHT);
            let what = if right { "right" } else { "an answer, but not the right one" };
            checked(format!("{what} ({})", answer.source), right, answer.usage.total(), answer.micro_usd)
        }
        Err(error) => checked(error.to_string(), false, 0, 0),
    })
}
