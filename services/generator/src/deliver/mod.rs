//! The way out to consumers that do not speak NATS: everything in INSTANCE_ERRORS, in order, each once its consumer has
//! taken it.
//!
//! The stream is the outbox: it keeps messages for 24 hours, over restarts of everything. A small file says how far a
//! consumer has come; after a kill some messages are sent again, with the same `Idempotency-Key`.
//!
//! [`Schedule`] says what goes out when; a breaker says when a consumer is left alone, and tells operators.

mod place;
mod schedule; // Read this first: order, waiting and giving up.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures::StreamExt as _;
use futures::future::BoxFuture;
use futures::stream::FuturesUnordered;
use instance_bus::{BusError, DeadLetterReason, Delivery, Durability, StartAt, topology};
use instance_chassis::{Context, error_chain};
use instance_contract::{Severity, subject};
use instance_llm::breaker::Breaker;
use instance_transport::{InvalidDestination, Outgoing, SendError, Transport};
use jiff::SignedDuration;

use self::place::Place;
use self::schedule::{Schedule, Then, Tried};
use crate::{Config, ConsumerSettings};

/// After an error of the bus.
const PAUSE: Duration = Duration::from_secs(1);
/// How often an open breaker is asked again: an operator may have reset it.
const LOOK: Duration = Duration::from_millis(500);
/// As long as the stream keeps a message, it is tried.
const KEPT: SignedDuration = SignedDuration::from_hours(24);

/// A consumer with its breaker, which operators see.
pub struct Consumer {
    settings: ConsumerSettings,
    pub breaker: Arc<Breaker>,
}

impl Consumer {
    pub fn new(context: &Context<Config>, settings: ConsumerSettings) -> Self {
        let name = format!("deliver-{}", settings.name);
        let breaker = Breaker::new(&name, settings.breaker.clone(), context.clock.clone());
        Self { settings, breaker: Arc::new(breaker) }
    }
}

/// Delivers to one consumer until the drain.
pub async fn deliver_to(context: Context<Config>, consumer: Consumer) -> Result<(), InvalidDestination> {
    let Consumer { settings, breaker } = consumer;
    let transport = settings.to.transport(settings.timeout_seconds)?;
    let place = Place::new(context.config.state_dir.join(format!("{}.delivered", settings.name)));
    let mut outbox = Outbox {
        transport: transport.as_ref(),
        breaker: &breaker,
        last: place.read(),
        place,
        at_once: usize::from(settings.at_once),
        lowest: settings.lowest,
        open: BTreeSet::new(),
        context: &context,
    };
    tracing::info!(consumer = settings.name, to = transport.destination(), "delivering");
    while !context.drain.is_requested() {
        if let Err(error) = outbox.work().await {
            tracing::warn!(
                consumer = settings.name,
                error = error_chain(&error),
                "could not read the outbox"
            );
            context.drain.unless_draining(tokio::time::sleep(PAUSE)).await;
        }
    }
    Ok(())
}

/// How far one consumer has come.
struct Outbox<'a> {
    context: &'a Context<Config>,
    transport: &'a dyn Transport,
    breaker: &'a Breaker,
    place: Place,
    at_once: usize,
    lowest: Severity,
    /// The newest message that was looked at.
    last: Option<u64>,
    /// Those of them that are not settled.
    open: BTreeSet<u64>,
}

/// A message that is not settled.
struct Parcel {
    delivery: Delivery,
    outgoing: Outgoing,
}

type Sent = (Parcel, Result<(), SendError>);

impl Outbox<'_> {
    /// Reads and delivers until the drain or an error of the bus.
    async fn work(&mut self) -> Result<(), BusError> {
        let start = self.start().await?;
        let mut messages = self.context.bus.errors(Durability::Ephemeral, start).await?;
        let transport = self.transport;
        let mut schedule = Schedule::new(self.at_once, self.context.clock.now());
        let mut waiting: BTreeMap<u64, Parcel> = BTreeMap::new();
        let mut in_flight: FuturesUnordered<BoxFuture<'_, Sent>> = FuturesUnordered::new();
        loop {
            let left_alone = self.breaker.status().open_until.is_some();
            let next = schedule.begin(Instant::now(), left_alone);
            if let Some(parcel) = next.and_then(|place| waiting.remove(&place)) {
                in_flight.push(Box::pin(async move {
                    let outcome = transport.send(&parcel.outgoing).await;
                    (parcel, outcome)
                }));
                continue;
            }
            let wakes_at = if left_alone { Some(Instant::now() + LOOK) } else { schedule.wakes_at() };
            let next = async {
                tokio::select! {
                    Some(sent) = in_flight.next() => Next::Sent(Box::new(sent)),
                    next = messages.next(), if schedule.wants_more() => Next::Message(next.map(Box::new)),
                    () = until(wakes_at) => Next::Time,
                }
            };
            match self.context.drain.unless_draining(next).await {
                None | Some(Next::Message(None)) => return Ok(()),
                Some(Next::Time) => {}
                Some(Next::Message(Some(delivery))) => {
                    if let Some(parcel) = self.take((*delivery)?).await {
                        let place = parcel.outgoing.order;
                        schedule.read(place, parcel.delivery.published_at());
                        waiting.insert(place, parcel);
                    }
                }
                Some(Next::Sent(sent)) => {
                    let (parcel, outcome) = *sent;
                    if let Some(parcel) = self.sent(&mut schedule, parcel, outcome).await {
                        waiting.insert(parcel.outgoing.order, parcel);
                    }
                }
            }
        }
    }

    /// Where to begin to read.
    async fn start(&mut self) -> Result<StartAt, BusError> {
        let done = self.open.first().map_or(self.last, |oldest| oldest.checked_sub(1));
        (self.last, self.open) = (done, BTreeSet::new());
        let newest = self.context.bus.last_in(topology::ERRORS, subject::errors().as_str()).await?;
        let start = match (done, newest.map(|message| message.sequence)) {
            // A stream that was made anew counts from one again.
            (Some(done), Some(newest)) if done > newest => StartAt::First,
            (Some(done), _) => StartAt::Sequence(done + 1),
            (None, _) => StartAt::First,
        };
        if start == StartAt::First {
            self.last = None;
        }
        Ok(start)
    }

    /// A message from the stream; `None` when there is nothing to send.
    async fn take(&mut self, delivery: Delivery) -> Option<Parcel> {
        let sequence = delivery.sequence();
        if self.last.is_some_and(|last| sequence <= last) {
            // It waited here for longer than the server does.
            told(delivery.done_unconfirmed().await);
            return None;
        }
        self.last = Some(sequence);
        match Outgoing::stored(sequence, delivery.payload().clone()) {
            Ok(outgoing) if outgoing.message.severity >= self.lowest => {
                self.open.insert(sequence);
                Some(Parcel { delivery, outgoing })
            }
            Ok(_) => {
                told(delivery.done_unconfirmed().await);
                None
            }
            Err(error) => {
                told(delivery.dead_letter(DeadLetterReason::Unreadable(error_chain(&error))).await);
                None
            }
        }
    }

    /// What came of a try; gives the message back when it waits.
    async fn sent(
        &mut self,
        schedule: &mut Schedule,
        parcel: Parcel,
        outcome: Result<(), SendError>,
    ) -> Option<Parcel> {
        let now = self.context.clock.now();
        let place = parcel.outgoing.order;
        let tried = match &outcome {
            Ok(()) | Err(SendError::Refused { .. }) => Tried::Settled,
            Err(SendError::Away { .. }) => {
                Tried::Away { too_old: now.duration_since(parcel.delivery.published_at()) > KEPT }
            }
        };
        self.count(tried, schedule.is_retry(place));
        let then = schedule.tried(place, tried, Instant::now(), now);
        let taken = outcome.is_ok();
        let told = outcome.err().map(|error| error_chain(&error)).unwrap_or_default();
        let to = self.transport.destination();
        match schedule.turned() {
            Some(true) => tracing::warn!(to, error = told, "the consumer is away; its messages wait"),
            Some(false) => tracing::info!(to, "the consumer is back"),
            None => {}
        }
        let reason = match then {
            Then::Wait => return Some(parcel),
            Then::Settle if taken => None,
            Then::Settle => Some(DeadLetterReason::Refused(told)),
            Then::TooOld => Some(DeadLetterReason::Exhausted(told)),
            Then::OnlyThisOne { tries } => {
                // It says nothing about the consumer.
                self.breaker.reset();
                let why = format!("tried {tries} times in vain, while the consumer took another: {told}");
                Some(DeadLetterReason::Exhausted(why))
            }
        };
        self.settle(parcel, reason).await;
        None
    }

    /// Tells the breaker. The first try is left out: what is under way when a consumer goes away fails all at once, and
    /// each has its retries.
    fn count(&self, tried: Tried, is_retry: bool) {
        let counts = tried == Tried::Settled || is_retry;
        // While it is open, what is said late and what is asked beside a doubted message change nothing.
        if !counts || self.breaker.status().open_until.is_some() {
            return;
        }
        let Ok(permit) = self.breaker.admit() else { return };
        match tried {
            Tried::Settled => permit.succeeded(),
            Tried::Away { .. } => permit.failed("away"),
        }
    }

    async fn settle(&mut self, parcel: Parcel, reason: Option<DeadLetterReason>) {
        let Parcel { delivery, outgoing } = parcel;
        told(match reason {
            None => delivery.done_unconfirmed().await,
            Some(reason) => delivery.dead_letter(reason).await,
        });
        self.close(outgoing.order);
    }

    /// Nothing is left to do about this message.
    fn close(&mut self, sequence: u64) {
        // What comes before the oldest is done; the others do not move the place.
        let was_oldest = self.open.first() == Some(&sequence);
        self.open.remove(&sequence);
        if !was_oldest {
            return;
        }
        let done = self.open.first().map_or(self.last, |oldest| oldest.checked_sub(1));
        if let Some(done) = done
            && let Err(error) = self.place.write(done)
        {
            tracing::warn!(path = %self.place.path().display(), %error, "could not write how far a consumer has come");
        }
    }
}

enum Next {
    Time,
    Sent(Box<Sent>),
    Message(Option<Box<Result<Delivery, BusError>>>),
}

async fn until(moment: Option<Instant>) {
    match moment {
        Some(moment) => tokio::time::sleep_until(moment.into()).await,
        None => std::future::pending().await,
    }
}

/// What was not settled comes again, and is known by its sequence.
fn told(settled: Result<(), BusError>) {
    if let Err(error) = settled {
        tracing::warn!(error = error_chain(&error), "could not settle a message");
    }
}
