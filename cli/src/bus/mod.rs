//! `instance bus`: the streams, consumers and buckets that everything stands on.

mod keys;

use anyhow::Result;
use instance_bus::{InitOutcome, TopologyOptions};
use serde_json::{Value, json};

use crate::{
    exit::Exit,
    online,
    output::{print, print_json},
    session::{Session, Tone},
};

const INIT_EXAMPLES: &str = "\
Examples:
  instance bus init
  instance bus init --shards 8 --replicas 3      On a cluster of three servers.";
const CHECK_EXAMPLES: &str = "\
Examples:
  instance bus check
  instance bus check --json | jq '.findings[]'";

#[derive(Debug, clap::Args)]
#[command(arg_required_else_help = true)]
pub struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// Make what is missing and compare what is there; doing it twice changes nothing
    #[command(after_help = INIT_EXAMPLES)]
    Init {
        /// How many shards; changed only while nothing is open [default: as it is, 4 on a new bus]
        #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=256))]
        shards: Option<u16>,
        /// Copies of each stream, 1 to 5; more than one needs a cluster
        #[arg(long, value_name = "R", default_value_t = 1, value_parser = clap::value_parser!(u8).range(1..=5))]
        replicas: u8,
    },
    /// Draw a key for each role, and write the settings of a NATS server that knows them
    #[command(after_help = keys::EXAMPLES)]
    Keys(keys::Args),
    /// Compare everything with the table, and change nothing
    #[command(after_help = CHECK_EXAMPLES)]
    Check,
}

pub fn run(args: &Args, session: &Session) -> Result<Exit> {
    match &args.command {
        Command::Init { shards, replicas } => {
            init(TopologyOptions { shards: *shards, replicas: *replicas }, session)
        }
        Command::Keys(args) => keys::run(args, session),
        Command::Check => check(session),
    }
}

fn init(options: TopologyOptions, session: &Session) -> Result<Exit> {
    online::run(session, async |bus| {
        let outcomes = bus.init(&options).await?;
        let shards = bus.topology().await?.shards;
        if session.json() {
            let list: Vec<Value> = outcomes.iter().map(document).collect();
            print_json(&json!({"schema": "instance.cli.v1.bus_init", "shards": shards, "outcomes": list}))?;
            return Ok(Exit::Done);
        }
        for outcome in &outcomes {
            print(match outcome {
                InitOutcome::Created(thing) => format!("created   {thing}"),
                InitOutcome::Existing(thing) => format!("is there  {thing}"),
                InitOutcome::Resharded { from, to } => format!("changed   {from} shards to {to}"),
            })?;
        }
        session.note(format_args!("{} shards on NATS {}", shards, bus.server_version()));
        Ok(Exit::Done)
    })
}

fn document(outcome: &InitOutcome) -> Value {
    match outcome {
        InitOutcome::Created(thing) => json!({"outcome": "created", "thing": thing}),
        InitOutcome::Existing(thing) => json!({"outcome": "existing", "thing": thing}),
        InitOutcome::Resharded { from, to } => json!({"outcome": "resharded", "from": from, "to": to}),
    }
}

fn check(session: &Session) -> Result<Exit> {
    online::run(session, async |bus| {
        let findings = bus.check().await?;
        if session.json() {
            let list: Vec<Value> =
                findings.iter().map(|found| json!({"thing": found.thing, "what": found.what})).collect();
            print_json(
                &json!({"schema": "instance.cli.v1.bus_check", "valid": list.is_empty(), "findings": list}),
            )?;
        } else {
            for found in &findings {
                print(format_args!("{}: {}", session.paint(Tone::Bad, &found.thing), found.what))?;
            }
            if findings.is_empty() {
                session.note("everything on the bus is as it should be");
            }
        }
        Ok(if findings.is_empty() { Exit::Done } else { Exit::Failure })
    })
}
