//! `instance respond`: the built-in rules as a process. A message that the catalogue knows a remedy for becomes a
//! RemediationCommand; everything else is left to people, and said.

pub mod judge; // Read this first: from a message to a command, without any bus.
mod present;
mod repeats;

use std::{collections::BTreeSet, env, fs, io::IsTerminal as _, path::PathBuf, sync::Arc, time::Duration};

use anyhow::{Context as _, Result};
use instance_bus::{Bus, DeadLetterReason, Deliveries, Delivery, Durability, Headers, StartAt};
use instance_clock::SystemClock;
use instance_contract::{InstanceName, IrisMessage, Origin, RemediationCommand, subject};
use instance_knowledge::{Condition, Remedy};
use instance_telemetry::{LogFilter, LogFormat, Service, Telemetry, error_chain};
use jiff::{SignedDuration, Timestamp};
use tracing::Instrument as _;
use uuid::Uuid;

use self::{judge::Judgement, present::Unknown, repeats::Repeats};
use crate::{
    exit::Exit,
    knowledge, online,
    output::print_json,
    session::{Session, duration},
    settings,
    up::Signals,
};

const EXAMPLES: &str = "\
Examples:
  instance respond                              Prints the commands that it would publish.
  instance respond --publish                    Publishes them; restarts still wait for an approval.
  instance respond --publish --instance PROD    For one instance only.";

/// Turn messages with a known remedy into commands, by the built-in rules
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// Publish the commands instead of printing them
    #[arg(long)]
    publish: bool,
    /// Answer for this instance only
    #[arg(long, value_name = "NAME")]
    instance: Option<InstanceName>,
    /// How long after its end the same remediation may be asked for again
    #[arg(long, value_name = "TIME", value_parser = duration, default_value = "15m")]
    again_after: Duration,
    /// Messages older than this are left alone: nobody knows whether they still hold
    #[arg(long, value_name = "TIME", value_parser = duration, default_value = "10m")]
    max_age: Duration,
    /// A folder of `*.toml` with rows of your own, the same that the services have as `knowledge_dir`
    #[arg(long, value_name = "DIR")]
    knowledge: Option<PathBuf>,
    /// Answer invented and replayed messages too
    #[arg(long)]
    emulated: bool,
}

/// Where the reading of the error stream has come to is kept by the server under this name.
const READER: &str = "respond";
/// An agent that is restarting is back within this time.
const ASK_AGAIN: Duration = Duration::from_secs(2);
const FLUSH: Duration = Duration::from_secs(5);

pub fn run(args: &Args, session: &Session) -> Result<Exit> {
    if let Some(folder) = &args.knowledge {
        knowledge::read(folder)?.put_in_force()?;
    }
    let settings = settings::bus(&session.global)?;
    let telemetry = telemetry()?;
    let outcome = online::block_on(async {
        let bus = Bus::connect(&settings, "instance-respond", Arc::new(SystemClock)).await?;
        respond(args, bus).await
    });
    if let Some(Err(error)) = telemetry.map(|telemetry| telemetry.shutdown(FLUSH)) {
        tracing::warn!(error = error_chain(&error), "telemetry was lost");
    }
    outcome
}

/// `None` when it runs already, because the operator has asked for it.
fn telemetry() -> Result<Option<Telemetry>> {
    let host =
        fs::read_to_string("/proc/sys/kernel/hostname").context("could not tell this machine's name")?;
    let service = Service {
        role: "respond",
        version: env!("CARGO_PKG_VERSION"),
        host: host.trim(),
        process_id: Uuid::new_v4(),
        profile: None,
    };
    let format = if std::io::stderr().is_terminal() { LogFormat::Text } else { LogFormat::Json };
    let log_filter = LogFilter::try_from("info,async_nats=warn".to_owned())
        .context("a log filter that is written here")?;
    let settings = instance_telemetry::Settings { log_filter, log_format: format, ..Default::default() };
    match instance_telemetry::start(&service, &settings, &|name| env::var(name).ok()) {
        Ok(telemetry) => Ok(Some(telemetry)),
        Err(instance_telemetry::Error::StartedTwice) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

async fn respond(args: &Args, bus: Bus) -> Result<Exit> {
    let mut signals = Signals::install()?;
    let since = online::now() - SignedDuration::try_from(args.max_age).unwrap_or(SignedDuration::MAX);
    // Who only looks must not move the place of the one who answers.
    let durability = if args.publish { Durability::Durable(reader(args)) } else { Durability::Ephemeral };
    let mut messages: Deliveries = bus.errors(durability, StartAt::Time(since)).await?;
    tracing::info!(publish = args.publish, "answering messages that have a built-in remedy");
    let mut responder =
        Responder { args, bus: bus.clone(), repeats: Repeats::default(), told: BTreeSet::new() };
    loop {
        let next = tokio::select! {
            () = signals.next() => break,
            next = messages.next() => next,
        };
        match next {
            Some(Ok(delivery)) => {
                let span = delivery.span();
                responder.take(delivery).instrument(span).await?;
            }
            Some(Err(error)) => {
                tracing::warn!(error = error_chain(&error), "could not read the error stream");
            }
            None => break,
        }
    }
    tracing::info!("draining");
    bus.drain().await?;
    Ok(Exit::Done)
}

/// From the message on the bus to the command.
fn count(now: Timestamp, published_at: Timestamp) {
    if let Ok(since) = std::time::Duration::try_from(now.duration_since(published_at)) {
        instance_signals::metrics::INCIDENT_DURATION.record(since.as_secs_f64(), &["diagnose"]);
    }
}

/// One place for all instances together, and one for each that is answered alone.
fn reader(args: &Args) -> String {
    match &args.instance {
        Some(instance) => format!("{READER}_{}", instance.token().replace('=', "_")),
        None => READER.to_owned(),
    }
}

struct Responder<'a> {
    args: &'a Args,
    bus: Bus,
    repeats: Repeats,
    /// What was said once: condition, instance, and why nothing was done.
    told: BTreeSet<(String, InstanceName, String)>,
}

/// What becomes of a delivery.
enum Fate {
    Done,
    Again,
}

impl Responder<'_> {
    async fn take(&mut self, delivery: Delivery) -> Result<()> {
        let message = match IrisMessage::decode(delivery.payload()) {
            Ok(message) => message,
            Err(faults) => {
                let reason = DeadLetterReason::Unreadable(faults.to_string());
                settled(delivery.dead_letter(reason).await);
                return Ok(());
            }
        };
        let fate = if self.concerns_us(&message, delivery.published_at()) {
            self.consider(&message, delivery.published_at()).await?
        } else {
            Fate::Done
        };
        settled(match fate {
            Fate::Done => delivery.done().await,
            Fate::Again => delivery.retry_after(ASK_AGAIN).await,
        });
        Ok(())
    }

    fn concerns_us(&self, message: &IrisMessage, published_at: Timestamp) -> bool {
        let oldest =
            online::now() - SignedDuration::try_from(self.args.max_age).unwrap_or(SignedDuration::MAX);
        self.args.instance.as_ref().is_none_or(|only| only == &message.instance)
            && (self.args.emulated || message.origin == Origin::Observed)
            && published_at >= oldest
    }

    async fn consider(&mut self, message: &IrisMessage, published_at: Timestamp) -> Result<Fate> {
        let (condition, remedy) = match judge::judge(message) {
            Judgement::Remedy(condition, remedy) => (condition, remedy),
            Judgement::Person(condition) => {
                self.leave(condition, message, &format!("a person has to look: {}", condition.remedy));
                return Ok(Fate::Done);
            }
            Judgement::Nothing => return Ok(Fate::Done),
        };
        match self.answer(condition, remedy, message, published_at).await {
            Ok(fate) => Ok(fate),
            Err(error) if error.is::<serde_json::Error>() || error.is::<std::io::Error>() => Err(error),
            Err(error) => {
                tracing::warn!(
                    error = format!("{error:#}"),
                    condition = condition.id,
                    "could not answer yet"
                );
                Ok(Fate::Again)
            }
        }
    }

    async fn answer(
        &mut self,
        condition: &Condition,
        remedy: &Remedy,
        message: &IrisMessage,
        published_at: Timestamp,
    ) -> Result<Fate> {
        let (bus, now, instance) = (self.bus.clone(), online::now(), &message.instance);
        let target = judge::target(remedy);
        let quiet = self.args.again_after;
        if let Some(why) = self.repeats.reason_not_to_ask(&bus, instance, &target, now, quiet).await? {
            tracing::debug!(condition = condition.id, %instance, why, "not asked again");
            return Ok(Fate::Done);
        }
        let present = match present::ask(&bus, instance, remedy).await {
            Ok(present) => present,
            // Nobody there may act either; when somebody comes, IRIS will have written again.
            Err(Unknown::NotServed(agent)) => {
                self.leave(condition, message, &format!("no {agent} serves the instance"));
                return Ok(Fate::Done);
            }
            Err(Unknown::Silent(error)) => return Err(error),
        };
        match judge::command(message, remedy, &present, published_at) {
            Ok(command) => {
                self.ask(condition, &command).await?;
                count(now, published_at);
                self.repeats.published(&command, now);
                if !remedy.cures {
                    let why =
                        format!("the rules only look; a person has to do the rest: {}", condition.remedy);
                    self.leave(condition, message, &why);
                }
            }
            Err(why) => self.leave(condition, message, &why),
        }
        Ok(Fate::Done)
    }

    async fn ask(&self, condition: &Condition, command: &RemediationCommand) -> Result<()> {
        if !self.args.publish {
            return print_json(command);
        }
        let id = command.command_id.to_string();
        let subject = subject::command(&command.instance);
        self.bus.publish(&subject, command, Some(&id), Headers::new()).await?;
        tracing::info!(
            condition = condition.id,
            instance = %command.instance,
            command_id = id,
            action = command.recommended_action,
            "asked for a remediation"
        );
        Ok(())
    }

    /// Says once why nothing is done.
    fn leave(&mut self, condition: &Condition, message: &IrisMessage, why: &str) {
        if self.told.insert((condition.id.clone(), message.instance.clone(), why.to_owned())) {
            let instance = &message.instance;
            tracing::warn!(condition = condition.id, %instance, why, "left to a person");
        }
    }
}

/// What was not settled comes again, and asks for nothing new.
fn settled(outcome: Result<(), instance_bus::BusError>) {
    if let Err(error) = outcome {
        tracing::warn!(error = error_chain(&error), "could not settle a message");
    }
}
