//! `instance consume`: takes RemediationCommands in from outside, over HTTP or through a folder, once each.

use std::{env, path::PathBuf, pin::pin, time::Duration};

use anyhow::{Context as _, Result};
use instance_bus::{Bus, DeadLetterReason, Headers};
use instance_contract::{Faults, InstanceName, subject};
use instance_transport::{Destination, Found, InvalidDestination, Settled, open};
use serde_json::json;
use sha2::{Digest as _, Sha256};

use crate::{
    exit::{Exit, chain},
    online,
    orchestrate::complete,
    output::{print, print_json, printable},
    session::{Session, duration},
};

const EXAMPLES: &str = "\
Examples:
  instance consume --source /var/spool/instance            Take files *.json as they come.
  instance consume --source http://10.0.0.7:8080/commands --interval 5s
  instance consume --source inbox --once --json            What is there now, then end.
Of a folder, what was taken lies in taken/, what was refused in refused/ with the reason, also a file that cannot be
read. What is refused is also among the dead letters: instance dead-letter list.";

/// What the dead letters say where a command came from.
const FROM: &str = "CONSUME";

#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// Where commands come from: http://host:port/path (GET), or a folder
    #[arg(long, value_name = "URL|DIR", value_parser = source)]
    source: Destination,
    /// How often to look
    #[arg(long, value_name = "TIME", default_value = "5s", value_parser = duration)]
    interval: Duration,
    /// Look once, then end; exit code 3 when something was refused
    #[arg(long)]
    once: bool,
    /// The instance, for commands that name none
    #[arg(long, value_name = "NAME")]
    instance: Option<InstanceName>,
    /// How long an answer over HTTP may take
    #[arg(long, value_name = "TIME", default_value = "10s", value_parser = duration)]
    http_timeout: Duration,
    /// Where it is remembered what was taken over HTTP. Default: instance in $XDG_STATE_HOME or ~/.local/state
    #[arg(long, value_name = "DIR")]
    state_dir: Option<PathBuf>,
}

pub fn run(args: &Args, session: &Session) -> Result<Exit> {
    let state_dir = match (&args.state_dir, &args.source) {
        (Some(folder), _) => folder.clone(),
        // A folder remembers by itself; a service without a home needs none then.
        (None, Destination::Folder(_) | Destination::Nats { .. }) => PathBuf::new(),
        (None, Destination::Http(_)) => usual_state_dir().context("name a folder with --state-dir")?,
    };
    let mut source = open(&args.source, args.http_timeout, &state_dir)?;
    online::run(session, async |bus| {
        let intake = Intake { bus: &bus, args, session };
        let mut refused = false;
        // One for all looks: what is said during one counts after it.
        let mut stop = pin!(tokio::signal::ctrl_c());
        loop {
            let mut more = false;
            let looked = match source.look().await {
                Ok(look) => {
                    let taken = intake.take(look.found, source.as_mut()).await;
                    // What could not be taken would only be found again.
                    more = look.more && taken.is_ok();
                    taken
                }
                Err(error) => Err(error.into()),
            };
            match looked {
                Ok(some_refused) => refused |= some_refused,
                Err(error) if args.once => return Err(error),
                // The next look finds it again.
                Err(error) => session.note(format_args!("{}; looking again", chain(error.as_ref()))),
            }
            if args.once && !more {
                return Ok(if refused { Exit::Refused } else { Exit::Done });
            }
            tokio::select! {
                _ = &mut stop => return Ok(Exit::Done),
                () = tokio::time::sleep(if more { Duration::ZERO } else { args.interval }) => {}
            }
        }
    })
}

/// From what was found to the bus.
struct Intake<'a> {
    bus: &'a Bus,
    args: &'a Args,
    session: &'a Session,
}

impl Intake<'_> {
    /// Takes all that was found, in order; whether any was refused. An error leaves the rest for the next look.
    async fn take(&self, found: Vec<Found>, source: &mut dyn instance_transport::Source) -> Result<bool> {
        let mut refused = false;
        for one in found {
            let settled = self.take_one(&one).await?;
            source.settle(&one, &settled).await?;
            refused |= settled != Settled::Taken;
        }
        Ok(refused)
    }

    /// The bus has it afterwards: as a command, or as a dead letter.
    async fn take_one(&self, found: &Found) -> Result<Settled> {
        let wishes = complete::Wishes {
            dry_run: false,
            complete: false,
            instance: self.args.instance.as_ref(),
            now: online::now(),
            operator: online::operator(),
            // What is taken in was sent by others, whoever runs us.
            caller: None,
        };
        // The same bytes, sent twice after a crash, are stored once; other bytes under the same command id are a
        // matter for the router, which refuses them.
        let message_id = digest(&found.bytes);
        if let Some(why) = &found.unreadable {
            return self.unreadable(found, why).await;
        }
        let (command, bytes) = match complete::legal(found.bytes.clone(), &wishes) {
            Ok(legal) => legal,
            Err(refusal) => {
                let faults = Faults(refusal.faults).to_string();
                let instance = self.args.instance.clone().unwrap_or_else(unknown);
                let subject = subject::command(&instance);
                let reason = DeadLetterReason::Refused(faults.clone());
                self.bus
                    .bury(FROM, subject.as_str(), &message_id, found.bytes.clone().into(), &reason)
                    .await?;
                self.tell(&found.name, "refused", None, Some(&faults))?;
                return Ok(Settled::Refused(faults));
            }
        };
        let headers = Headers::new().with("traceparent", &complete::traceparent(&command, None));
        let subject = subject::command(&command.instance);
        self.bus.publish_bytes(&subject, bytes.into(), Some(&message_id), headers).await?;
        self.tell(&found.name, "taken", Some(&command.command_id.to_string()), None)?;
        Ok(Settled::Taken)
    }

    /// Nobody has its bytes; the dead letter tells of the file.
    async fn unreadable(&self, found: &Found, why: &str) -> Result<Settled> {
        let why = format!("could not read \"{}\": {why}", found.name);
        let subject = subject::command(&self.args.instance.clone().unwrap_or_else(unknown));
        let reason = DeadLetterReason::Unreadable(why.clone());
        let message_id = digest(why.as_bytes());
        self.bus.bury(FROM, subject.as_str(), &message_id, Vec::new().into(), &reason).await?;
        self.tell(&found.name, "refused", None, Some(&why))?;
        Ok(Settled::Refused(why))
    }

    fn tell(&self, name: &str, word: &str, command_id: Option<&str>, faults: Option<&str>) -> Result<()> {
        if self.session.json() {
            return print_json(&json!({
                "schema": "instance.cli.v1.consumed", "name": name, "outcome": word, "command_id": command_id,
                "faults": faults,
            }));
        }
        let told = command_id.or(faults).unwrap_or_default();
        print(format_args!("{word} {} {}", printable(name), printable(told)))
    }
}

/// For a command that names no instance and is refused for it; a person replays it under another.
fn unknown() -> InstanceName {
    "UNKNOWN".parse().expect("a legal instance name")
}

fn digest(bytes: &[u8]) -> String {
    let hash = Sha256::digest(bytes);
    uuid::Uuid::from_slice(&hash[..16]).map(|id| id.simple().to_string()).unwrap_or_default()
}

fn source(text: &str) -> Result<Destination, String> {
    match text.parse::<Destination>() {
        Ok(Destination::Nats { .. }) => Err(InvalidDestination::NoSource(text.to_owned()).to_string()),
        other => other.map_err(|error| error.to_string()),
    }
}

fn usual_state_dir() -> Option<PathBuf> {
    let set = |name: &str| env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    let folder = set("XDG_STATE_HOME").or_else(|| Some(set("HOME")?.join(".local/state")))?;
    Some(folder.join("instance"))
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Debug, Parser)]
    struct Line {
        #[command(flatten)]
        args: Args,
    }

    #[test]
    fn a_source_is_looked_at_every_five_seconds_and_is_no_queue() {
        let parsed = |words: &[&str]| {
            let line = Line::try_parse_from(std::iter::once(&"consume").chain(words));
            line.map(|line| line.args).map_err(|error| error.to_string())
        };
        assert_eq!(parsed(&["--source", "inbox"]).unwrap().interval, Duration::from_secs(5));
        let given = parsed(&["--source", "inbox", "--interval", "2m"]).unwrap();
        assert_eq!(given.interval, Duration::from_mins(2));
        for (words, told) in [
            (["--source", "nats://127.0.0.1:4222/commands"], "http://host:port/path"),
            (["--source", "ftp://x"], "must be"),
            (["--interval", "0"], "more than nothing"),
        ] {
            assert!(parsed(&words).unwrap_err().contains(told), "{words:?}");
        }
    }
}
