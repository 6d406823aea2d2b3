//! `instance doctor`: looks at everything that has to be there, and says what to do where it is not.

mod bus;
mod collector;
mod host;
mod outside; // What services call.
mod reach;

use anyhow::Result;
use serde::Serialize;
use serde_json::json;

use crate::{
    exit::Exit,
    online,
    output::{print, print_json, printable},
    session::{Session, Tone},
};

const EXAMPLES: &str = "\
Examples:
  instance doctor
  instance doctor --nats nats://bus:4222 --iris-command /usr/irissys/bin/iris
  instance doctor --check || systemctl status nats-server
  instance doctor --json | jq '.checks[] | select(.outcome != \"ok\")'";

#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// The `iris` program of this machine; named, it has to work [default: `iris`, if it is there]
    #[arg(long, value_name = "PROGRAM")]
    iris_command: Option<String>,
    /// For scripts: say only what is not well; exit code 7 when NATS cannot be reached, 1 when something else has failed
    #[arg(long)]
    check: bool,
}

/// What a look at one thing gave.
#[derive(Debug, Serialize)]
pub struct Check {
    name: &'static str,
    outcome: Outcome,
    detail: String,
    /// What to do; nothing where all is well.
    next: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
enum Outcome {
    Ok,
    /// Works, or may be meant so.
    Warn,
    /// Something does not work.
    Fail,
}

impl Check {
    fn ok(name: &'static str, detail: impl Into<String>) -> Self {
        Self { name, outcome: Outcome::Ok, detail: detail.into(), next: None }
    }

    fn warn(name: &'static str, detail: impl Into<String>, next: impl Into<String>) -> Self {
        Self { name, outcome: Outcome::Warn, detail: detail.into(), next: Some(next.into()) }
    }

    fn fail(name: &'static str, detail: impl Into<String>, next: impl Into<String>) -> Self {
        Self { name, outcome: Outcome::Fail, detail: detail.into(), next: Some(next.into()) }
    }
}

pub fn run(args: &Args, session: &Session) -> Result<Exit> {
    let checks = online::block_on(async {
        let mut checks = bus::checks(session).await;
        checks.push(host::iris_command(args.iris_command.as_deref()).await);
        checks.extend(host::rights());
        checks.extend(collector::check().await);
        checks.extend(outside::checks(&session.global).await);
        Ok(checks)
    })?;
    let healthy = checks.iter().all(|check| check.outcome != Outcome::Fail);
    if session.json() {
        print_json(&json!({"schema": "instance.cli.v1.doctor", "healthy": healthy, "checks": checks}))?;
    } else {
        for check in checks.iter().filter(|check| !args.check || check.outcome != Outcome::Ok) {
            print(line(check, session))?;
        }
    }
    let unreachable = checks.iter().any(|check| check.name == "nats" && check.outcome == Outcome::Fail);
    Ok(match healthy {
        true => Exit::Done,
        false if args.check && unreachable => Exit::BusUnreachable,
        false => Exit::Failure,
    })
}

fn line(check: &Check, session: &Session) -> String {
    let outcome = match check.outcome {
        Outcome::Ok => session.paint(Tone::Good, "ok  "),
        Outcome::Warn => session.paint(Tone::Warn, "warn"),
        Outcome::Fail => session.paint(Tone::Bad, "fail"),
    };
    let next = check.next.as_ref().map(|next| format!("\n{:20}-> {next}", "")).unwrap_or_default();
    format!("{outcome} {}", printable(&format!("{:13}  {}{next}", check.name, check.detail)))
}
