//! `instance chaos record`: the messages of a bus and the world they met become a file that plays again, and a scenario
//! that anybody can be tried with.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result};
use instance_bus::{Bus, Durability, StartAt};
use instance_contract::{
    Accepted, Finding, InstanceName, IrisMessage, Planned, RemediationCommand,
    subject::{self, IncidentRecord},
};
use instance_iris::cpf::Document;
use instance_knowledge::kernel_parameters;
use instance_scenario::{Happened, Health, Recording, Target, recorded};
use serde_json::{Value, json};
use tokio::time::timeout;

use super::happened;
use crate::{
    exit::{Exit, Stop},
    online,
    output::{self, print},
    session::Session,
};

const EXAMPLES: &str = "\
Examples:
  instance chaos record last-night --instance PROD --cpf /opt/iris/iris.cpf
  instance chaos record lab --nats nats://127.0.0.1:4333 --instance CHAOS --cpf run/chaos/last/01/iris/CHAOS/iris.cpf --host-root run/chaos/last/01/host";

#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// Name of both files, without `.toml` and `.recording.toml`
    #[arg(value_name = "NAME")]
    name: String,
    /// Whose messages
    #[arg(long, value_name = "NAME")]
    instance: InstanceName,
    /// The CPF of the instance, as it is now; changes that remediations have made are thought away
    #[arg(long, value_name = "FILE")]
    cpf: PathBuf,
    /// Where the host shows its values
    #[arg(long, value_name = "DIR", default_value = "/proc")]
    host_root: PathBuf,
    /// Folder for the files
    #[arg(long, value_name = "DIR", default_value = ".")]
    dir: PathBuf,
}

/// The fact that tells it.
const HEALTH: &str = "instance.health";

/// Nothing more comes when the last known message has been read and this has passed.
const SILENCE: std::time::Duration = std::time::Duration::from_secs(2);

pub fn run(args: &Args, session: &Session) -> Result<Exit> {
    online::run(session, |bus| async move {
        let recording = record(args, &bus).await?;
        if recording.messages.is_empty() {
            let text = format!("the bus holds no message of instance \"{}\"", args.instance);
            return Err(Stop::new(Exit::NotFound, text).next("messages are kept for 24 h").into());
        }
        let path = args.dir.join(format!("{}.recording.toml", args.name));
        output::new_file(&path, &recording.text().context("could not write a recording")?)?;
        let (messages, commands) = (recording.messages.len(), recording.commands.len());
        session.note(format!("{messages} message(s), {commands} command(s)"));
        print(path.display())?;
        let happened = happened::of(&args.instance, &args.cpf, &recording, &bus).await?;
        scenario(args, &happened, session)?;
        Ok(Exit::Done)
    })
}

/// The scenario beside the recording. Where none comes of it, the recording is what there is.
fn scenario(args: &Args, happened: &Happened, session: &Session) -> Result<()> {
    match recorded(&args.name, happened) {
        Ok(made) => {
            let path = args.dir.join(format!("{}.toml", args.name));
            output::new_file(&path, &made.text)?;
            let manner = made.in_the_manner_of.unwrap_or("values that were changed");
            session.note(format!(
                "a scenario in the manner of {manner}; review it, then: instance chaos run {}",
                path.display()
            ));
            print(path.display())
        }
        Err(error) => {
            session.note(format!("no scenario: {:#}", anyhow::Error::from(error)));
            Ok(())
        }
    }
}

async fn record(args: &Args, bus: &Bus) -> Result<Recording> {
    let asked = asked(args, bus).await?;
    let (mut cpf, mut kernel) = (cpf(&args.cpf)?, kernel(&args.host_root));
    for (target, value) in asked.before {
        match target {
            Target::Cpf { section, parameter } => drop(cpf.insert(format!("[{section}] {parameter}"), value)),
            Target::Kernel(name) => drop(kernel.insert(name, value)),
            Target::File(_) | Target::Instance => {}
        }
    }
    let meminfo = args.host_root.join("meminfo");
    Ok(Recording {
        instance: args.instance.to_string(),
        messages: messages(args, bus).await?,
        commands: asked.commands.iter().map(without_time).collect(),
        health: health(args, bus).await?,
        meminfo: fs::read_to_string(&meminfo)
            .with_context(|| format!("could not read \"{}\"", meminfo.display()))?,
        kernel,
        cpf,
    })
}

/// The first that was not well: what is decided on it is what a recording is made for.
async fn health(args: &Args, bus: &Bus) -> Result<Health> {
    for message in bus.read_incidents(&subject::incidents_of(&args.instance)).await? {
        let Some((_, IncidentRecord::Finding(_))) = subject::parse_incident(&message.subject) else {
            continue;
        };
        let finding: Finding = message.json()?;
        let told = finding.facts.get(HEALTH).cloned().map(serde_json::from_value::<Health>);
        if let Some(Ok(health)) = told
            && health != Health::Ok
        {
            return Ok(health);
        }
    }
    Ok(Health::Ok)
}

async fn messages(args: &Args, bus: &Bus) -> Result<Vec<String>> {
    let mut deliveries = bus.errors(Durability::Ephemeral, StartAt::First).await?;
    let mut found = Vec::new();
    while let Ok(Some(delivery)) = timeout(SILENCE, deliveries.next()).await {
        let delivery = delivery?;
        let text = String::from_utf8_lossy(delivery.payload()).into_owned();
        let message = IrisMessage::decode(delivery.payload());
        delivery.done().await?;
        if message.is_ok_and(|message| message.instance == args.instance) && !found.contains(&text) {
            found.push(text);
        }
    }
    Ok(found)
}

/// What was asked for, and the values that were there before the first change.
#[derive(Default)]
struct Asked {
    commands: Vec<RemediationCommand>,
    before: BTreeMap<Target, String>,
}

async fn asked(args: &Args, bus: &Bus) -> Result<Asked> {
    let mut accepted: Vec<Accepted> = Vec::new();
    let mut plans = Vec::new();
    for shard in bus.topology().await?.shards() {
        for message in bus.read_log(shard, &subject::records_of(shard, "accepted")).await? {
            let record: Accepted = message.json()?;
            // A dry run asks for nothing, and its id is of its time.
            if record.command.instance == args.instance && !record.command.dry_run {
                plans.extend(record.plan.clone().map(|plan| (message.published_at, plan)));
                accepted.push(record);
            }
        }
        for message in bus.read_log(shard, &subject::records_of(shard, "planned")).await? {
            let record: Planned = message.json()?;
            if accepted.iter().any(|known| known.remediation_id == record.remediation_id) {
                plans.push((message.published_at, record.plan));
            }
        }
    }
    accepted.sort_by_key(|record| record.accepted_at);
    plans.sort_by_key(|(at, _)| *at);
    let mut asked = Asked::default();
    for (_, plan) in plans {
        for change in plan.changes() {
            if let Ok(target) = change.target.parse() {
                asked.before.entry(target).or_insert_with(|| change.before.clone());
            }
        }
    }
    asked.commands = accepted.into_iter().map(|record| record.command).collect();
    Ok(asked)
}

/// A command as bytes, without the time at which it was published.
pub fn without_time(command: &RemediationCommand) -> String {
    let mut document = json!(command);
    if let Value::Object(fields) = &mut document {
        fields.shift_remove("issued_at");
    }
    document.to_string()
}

fn cpf(path: &Path) -> Result<BTreeMap<String, String>> {
    let bytes = fs::read(path).with_context(|| format!("could not read \"{}\"", path.display()))?;
    let document = Document::parse(&bytes);
    let entries = document.entries("config");
    Ok(entries.map(|entry| (format!("[config] {}", entry.name), entry.value.trim().to_owned())).collect())
}

/// Values that an agent may look at or change; one that this host does not have is left out.
fn kernel(root: &Path) -> BTreeMap<String, String> {
    let value = |name: &str| {
        let text = fs::read_to_string(root.join("sys").join(name.replace('.', "/"))).ok()?;
        Some((name.to_owned(), text.trim().to_owned()))
    };
    kernel_parameters().iter().filter_map(|parameter| value(&parameter.name)).collect()
}
