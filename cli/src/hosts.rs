//! `instance hosts`: which agent serves which IRIS instance, and where.

use anyhow::Result;
use serde_json::{Value, json};

use crate::{
    exit::Exit,
    online,
    output::{print, print_json, table},
    session::Session,
};

const EXAMPLES: &str = "\
Examples:
  instance hosts
  instance hosts --json | jq -r '.served[] | \"\\(.instance) \\(.host)\"'";

#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {}

pub fn run(_args: &Args, session: &Session) -> Result<Exit> {
    online::run(session, async |bus| {
        let served = bus.hosts().await?;
        if session.json() {
            let rows: Vec<Value> = served
                .iter()
                .map(|row| json!({"instance": row.instance, "agent": row.agent, "host": row.host, "since": row.since}))
                .collect();
            print_json(&json!({"schema": "instance.cli.v1.hosts", "served": rows}))?;
        } else if served.is_empty() {
            session.note("no agent serves any instance; start the agents, or look with `instance doctor`");
        } else {
            let rows = served.iter().map(|row| {
                [row.instance.to_string(), row.agent.to_string(), row.host.to_string(), row.since.to_string()]
            });
            print(table(["instance", "agent", "host", "since"], rows))?;
        }
        Ok(Exit::Done)
    })
}
