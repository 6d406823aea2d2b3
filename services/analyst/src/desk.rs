//! Events in, actions out.

use std::{
    collections::{HashMap, HashSet},
    time::Duration,
};

use futures::{FutureExt as _, StreamExt as _, future::BoxFuture, stream::FuturesUnordered};
use instance_bus::{BusError, DeadLetterReason, Delivery, LogMessage, StartAt, Topology};
use instance_chassis::{Context, crash_point, error_chain};
use instance_contract::{IncidentId, IrisMessage, MessageId, Origin};
use instance_diagnosis::{Action, Advice, Event, Gathered, Incidents};
use instance_llm::Model;
use jiff::Timestamp;
use tracing::{Instrument as _, Span};

use crate::{
    Config, Error, ask,
    books::{self, Books},
    facts, write,
};

/// Where the reading of the entries has come to is kept by the server under this name.
const READER: &str = "analyst";
/// How often time boxes are looked at.
const TICK: Duration = Duration::from_millis(200);
/// Spans of incidents that are kept; more than are ever undecided at a time.
const SPANS: usize = 1024;

/// Works until drained.
pub(crate) async fn work(
    ctx: &Context<Config>,
    topology: Topology,
    model: Option<Model>,
) -> Result<(), Error> {
    let mut core = Incidents::new(ctx.config.limits()).held_to(ctx.config.policy()?, ctx.carriers.clone());
    let now = ctx.clock.now();
    let (mut books, undone) = Books::open(&ctx.bus, topology, &mut core, now).await?;
    let start = now.checked_sub(ctx.config.max_age()).unwrap_or(Timestamp::MIN);
    let mut entries = ctx.bus.errors_apart(READER, StartAt::Time(start)).await?;
    let mut desk = Desk {
        ctx,
        core,
        held: HashMap::new(),
        spans: HashMap::new(),
        heard: HashMap::new(),
        asking: FuturesUnordered::new(),
        consulting: FuturesUnordered::new(),
        model,
    };
    desk.perform(undone).await?;
    let (all, open) = desk.core.counts();
    tracing::info!(incidents = all, open, rules = ctx.config.rules, "answering messages");
    let mut ticks = tokio::time::interval(TICK);
    loop {
        let (asking, consulting) = (!desk.asking.is_empty(), !desk.consulting.is_empty());
        tokio::select! {
            () = ctx.drain.requested() => break,
            delivery = entries.next() => match delivery {
                Some(Ok(delivery)) => desk.entry(delivery).await?,
                Some(Err(error)) => told(&error, "could not read the entries"),
                None => return Err(Error::NoMoreEntries),
            },
            record = books.next() => match record {
                Ok(record) => desk.record(&record).await?,
                Err(error) => told(&error, "could not read the logs"),
            },
            Some((incident, gathered)) = desk.asking.next(), if asking => {
                desk.gathered(incident, gathered).await?;
            }
            Some((incident, advice)) = desk.consulting.next(), if consulting => {
                desk.advised(incident, advice).await?;
            }
            _ = ticks.tick() => desk.tick().await?,
        }
    }
    tracing::info!("draining: what is undecided goes on at the next start");
    Ok(())
}

struct Desk<'a> {
    ctx: &'a Context<Config>,
    core: Incidents,
    /// Entries that are needed again, should this process die now.
    held: HashMap<MessageId, Delivery>,
    /// In which trace an incident is told of.
    spans: HashMap<IncidentId, Span>,
    /// When an incident that may still lead to a command was first heard of.
    heard: HashMap<IncidentId, Timestamp>,
    asking: FuturesUnordered<BoxFuture<'static, (IncidentId, Gathered)>>,
    consulting: FuturesUnordered<BoxFuture<'static, (IncidentId, Advice)>>,
    model: Option<Model>,
}

impl Desk<'_> {
    async fn entry(&mut self, delivery: Delivery) -> Result<(), Error> {
        let message = match IrisMessage::decode(delivery.payload()) {
            Ok(message) => message,
            Err(faults) => {
                let reason = DeadLetterReason::Unreadable(faults.to_string());
                settled(delivery.dead_letter(reason).await);
                return Ok(());
            }
        };
        if !self.concerns_us(&message) {
            settled(delivery.done_unconfirmed().await);
            return Ok(());
        }
        let now = self.ctx.clock.now();
        let oldest = now.checked_sub(self.ctx.config.max_age()).unwrap_or(Timestamp::MIN);
        // Old ones too are heard: what is grave about them is told to a person.
        let is_fresh = delivery.published_at() >= oldest;
        let event = if is_fresh { Event::Entry(&message) } else { Event::Stale(&message) };
        let actions = self.core.handle(&event, now);
        if !actions.is_empty() {
            let span = delivery.span();
            if self.spans.len() >= SPANS {
                self.spans.clear();
                self.heard.clear();
            }
            for action in &actions {
                self.heard.entry(action.incident()).or_insert(delivery.published_at());
                self.spans.entry(action.incident()).or_insert_with(|| span.clone());
            }
        }
        if actions.is_empty() && !self.core.awaits(message.message_id) {
            settled(delivery.done_unconfirmed().await);
            return Ok(());
        }
        // One that comes again takes the place of a delivery that the server has given up.
        self.held.insert(message.message_id, delivery);
        self.perform(actions).await
    }

    fn concerns_us(&self, message: &IrisMessage) -> bool {
        let config = &self.ctx.config;
        (config.instances.is_empty() || config.instances.contains(&message.instance))
            && (config.emulated || message.origin == Origin::Observed)
    }

    async fn record(&mut self, record: &LogMessage) -> Result<(), Error> {
        let actions = books::take(&mut self.core, record, self.ctx.clock.now());
        if actions.is_empty() {
            return Ok(());
        }
        // A story goes on below what it was told by.
        let span = self.ctx.bus.span_of(record);
        for action in &actions {
            self.spans.insert(action.incident(), span.clone());
        }
        self.perform(actions).await
    }

    async fn gathered(&mut self, incident: IncidentId, gathered: Gathered) -> Result<(), Error> {
        let actions = self.core.handle(&Event::Gathered { incident, gathered }, self.ctx.clock.now());
        self.perform(actions).await
    }

    async fn advised(&mut self, incident: IncidentId, advice: Advice) -> Result<(), Error> {
        let actions = self.core.handle(&Event::Advised { incident, advice }, self.ctx.clock.now());
        self.perform(actions).await
    }

    async fn tick(&mut self) -> Result<(), Error> {
        let actions = self.core.handle(&Event::Tick, self.ctx.clock.now());
        self.perform(actions).await
    }

    /// Does what the core wants, in its order, and settles what is not needed any more.
    async fn perform(&mut self, actions: Vec<Action>) -> Result<(), Error> {
        if actions.is_empty() {
            return Ok(());
        }
        let (bus, drain) = (&self.ctx.bus, &self.ctx.drain);
        let mut foreign = HashSet::new();
        let mut decided = HashSet::new();
        for action in actions {
            let id = action.incident();
            let span = self.spans.get(&id).cloned().unwrap_or_else(Span::none);
            match action {
                Action::Gather { incident, instance, needs } => {
                    let asking = facts::gather(bus.clone(), incident, instance, needs);
                    self.asking.push(asking.instrument(span).boxed());
                }
                Action::Consult { incident, consultation } => {
                    // The limits say that there is one.
                    if let Some(model) = self.model.clone() {
                        let session = format!("analyst-{}", self.ctx.process_id.simple());
                        let consulting = ask::ask(model, session, incident, *consultation);
                        self.consulting.push(consulting.instrument(span).boxed());
                    }
                }
                Action::Record { subject, record, .. } => {
                    if matches!(*record, instance_diagnosis::Record::Finding(_)) {
                        decided.insert(id);
                    }
                    if !write::record(bus, drain, &subject, &record).instrument(span).await? {
                        foreign.insert(id);
                    }
                }
                Action::Publish { command, .. } if !foreign.contains(&id) => {
                    write::command(bus, drain, &command).instrument(span).await?;
                    if !command.dry_run
                        && let Some(heard) = self.heard.remove(&id)
                    {
                        count(self.ctx.clock.now(), heard);
                    }
                }
                Action::Publish { .. } => {}
            }
        }
        self.spans.retain(|id, _| !decided.contains(id));
        self.heard.retain(|id, _| !decided.contains(id));
        self.settle().await;
        Ok(())
    }

    async fn settle(&mut self) {
        let over: Vec<MessageId> = self.held.keys().filter(|id| !self.core.awaits(**id)).copied().collect();
        for id in over {
            let Some(delivery) = self.held.remove(&id) else { continue };
            crash_point("analyst.entry-to-settle");
            settled(delivery.done_unconfirmed().await);
        }
    }
}

/// From the entry on the bus to the command.
fn count(now: Timestamp, heard: Timestamp) {
    if let Ok(since) = Duration::try_from(now.duration_since(heard)) {
        instance_signals::metrics::INCIDENT_DURATION.record(since.as_secs_f64(), &["diagnose"]);
    }
}

/// What was not settled comes again, and asks for nothing new.
fn settled(outcome: Result<(), BusError>) {
    if let Err(error) = outcome {
        told(&error, "could not settle an entry");
    }
}

fn told(error: &BusError, what: &str) {
    tracing::warn!(error = error_chain(error), what, "the bus");
}
