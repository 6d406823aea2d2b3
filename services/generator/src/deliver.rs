//! The way out to consumers that do not speak NATS: everything in INSTANCE_ERRORS, in order, each once its consumer has
//! taken it.
//!
//! The stream is the outbox: it keeps messages for 24 hours, over restarts of everything. A small file says how far a
//! consumer has come; after a kill some messages are sent again, with the same `Idempotency-Key`.
//!
//! ```text
//! together --a message stays undelivered after its retries--> away --the oldest goes through--> one by one
//! one by one --what waited is delivered--> together
//! ```

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io;
use std::path::PathBuf;
use std::time::Duration;

use futures::StreamExt as _;
use futures::future::BoxFuture;
use futures::stream::FuturesUnordered;
use instance_bus::{BusError, DeadLetterReason, Delivery, Durability, StartAt, topology};
use instance_chassis::{Context, error_chain};
use instance_contract::{Severity, subject};
use instance_transport::{InvalidDestination, Outgoing, PAUSES, SendError, Transport, deliver};
use jiff::{SignedDuration, Timestamp};

use crate::{Config, ConsumerSettings};

/// While a consumer is away, between two tries.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(30);
/// As long as the stream keeps a message, it is tried.
const KEPT: SignedDuration = SignedDuration::from_hours(24);

/// Delivers to one consumer until the drain.
pub async fn deliver_to(
    context: Context<Config>,
    settings: ConsumerSettings,
) -> Result<(), InvalidDestination> {
    let transport = settings.to.transport(settings.timeout_seconds)?;
    let place = Place(context.config.state_dir.join(format!("{}.delivered", settings.name)));
    let mut outbox = Outbox {
        transport: transport.as_ref(),
        last: place.read(),
        place,
        at_once: usize::from(settings.at_once),
        lowest: settings.lowest,
        open: BTreeSet::new(),
        one_by_one_until: context.clock.now(),
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
            context.drain.unless_draining(tokio::time::sleep(FIRST_PAUSE)).await;
        }
    }
    Ok(())
}

/// How far one consumer has come.
struct Outbox<'a> {
    context: &'a Context<Config>,
    transport: &'a dyn Transport,
    place: Place,
    at_once: usize,
    lowest: Severity,
    /// The newest message that was looked at.
    last: Option<u64>,
    /// Those of them that are not settled.
    open: BTreeSet<u64>,
    /// What was published before waits for the one before it.
    one_by_one_until: Timestamp,
}

/// A message under way.
struct Parcel {
    delivery: Delivery,
    outgoing: Outgoing,
}

type Sent = (Parcel, Result<(), SendError>);

impl Outbox<'_> {
    /// Reads and delivers until the drain or an error of the bus.
    async fn work(&mut self) -> Result<(), BusError> {
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
        let mut messages = self.context.bus.errors(Durability::Ephemeral, start).await?;
        let transport = self.transport;
        let mut in_flight: FuturesUnordered<BoxFuture<'_, Sent>> = FuturesUnordered::new();
        let mut waiting: Option<Parcel> = None;
        loop {
            if let Some(parcel) = waiting.take_if(|parcel| self.may_go(parcel, in_flight.len())) {
                in_flight.push(Box::pin(async move {
                    let outcome = deliver(transport, &parcel.outgoing, &PAUSES).await;
                    (parcel, outcome)
                }));
                continue;
            }
            let next = async {
                tokio::select! {
                    Some(sent) = in_flight.next() => Next::Sent(Box::new(sent)),
                    next = messages.next(), if waiting.is_none() => Next::Message(next.map(Box::new)),
                }
            };
            match self.context.drain.unless_draining(next).await {
                None | Some(Next::Message(None)) => return Ok(()),
                Some(Next::Message(Some(delivery))) => waiting = self.take((*delivery)?).await,
                Some(Next::Sent(sent)) => match *sent {
                    (parcel, Err(SendError::Away { source, .. })) => {
                        tracing::warn!(
                            to = transport.destination(),
                            error = error_chain(source.as_ref()),
                            "the consumer is away; its messages wait"
                        );
                        let failed = self.ended(parcel, &mut in_flight).await;
                        if self.until_back(failed).await.is_none() {
                            return Ok(());
                        }
                    }
                    (parcel, outcome) => self.settle(parcel, outcome).await,
                },
            }
        }
    }

    /// Waits for what is under way; what failed, in order.
    async fn ended(
        &mut self,
        first: Parcel,
        in_flight: &mut FuturesUnordered<BoxFuture<'_, Sent>>,
    ) -> BTreeMap<u64, Parcel> {
        let mut failed = BTreeMap::from([(first.outgoing.order, first)]);
        while let Some(sent) = in_flight.next().await {
            match sent {
                (parcel, Err(SendError::Away { .. })) => {
                    failed.insert(parcel.outgoing.order, parcel);
                }
                (parcel, outcome) => self.settle(parcel, outcome).await,
            }
        }
        failed
    }

    /// What waits while the consumer was away goes one after the other; what is new, several at a time.
    fn may_go(&self, parcel: &Parcel, in_flight: usize) -> bool {
        let waited = parcel.delivery.published_at() < self.one_by_one_until;
        in_flight < if waited { 1 } else { self.at_once }
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

    /// Tries the oldest again and again, then the others in order; `None` when a drain came first.
    async fn until_back(&mut self, failed: BTreeMap<u64, Parcel>) -> Option<()> {
        let mut pause = FIRST_PAUSE;
        for parcel in failed.into_values() {
            loop {
                let too_old = self.context.clock.now().duration_since(parcel.delivery.published_at()) > KEPT;
                let send = self.transport.send(&parcel.outgoing);
                match self.context.drain.unless_draining(send).await? {
                    Err(SendError::Away { source, .. }) if too_old => {
                        let reason = DeadLetterReason::Exhausted(error_chain(source.as_ref()));
                        self.close(parcel.outgoing.order);
                        told(parcel.delivery.dead_letter(reason).await);
                        break;
                    }
                    Err(SendError::Away { .. }) => {
                        self.context.drain.unless_draining(tokio::time::sleep(pause)).await?;
                        pause = (pause * 2).min(LONGEST_PAUSE);
                    }
                    outcome => {
                        pause = FIRST_PAUSE;
                        self.settle(parcel, outcome).await;
                        break;
                    }
                }
            }
        }
        self.one_by_one_until = self.context.clock.now();
        tracing::info!(to = self.transport.destination(), "the consumer is back");
        Some(())
    }

    async fn settle(&mut self, parcel: Parcel, outcome: Result<(), SendError>) {
        let Parcel { delivery, outgoing } = parcel;
        let settled = match outcome {
            Ok(()) => delivery.done_unconfirmed().await,
            Err(error) => delivery.dead_letter(DeadLetterReason::Refused(error_chain(&error))).await,
        };
        told(settled);
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
            tracing::warn!(path = %self.place.0.display(), %error, "could not write how far a consumer has come");
        }
    }
}

enum Next {
    Sent(Box<Sent>),
    Message(Option<Box<Result<Delivery, BusError>>>),
}

/// What was not settled comes again, and is known by its sequence.
fn told(settled: Result<(), BusError>) {
    if let Err(error) = settled {
        tracing::warn!(error = error_chain(&error), "could not settle a message");
    }
}

/// The file that says up to which sequence everything is settled.
struct Place(PathBuf);

impl Place {
    /// `None` begins with the oldest message that is kept.
    fn read(&self) -> Option<u64> {
        match fs::read_to_string(&self.0) {
            Ok(text) => text.trim().parse().ok(),
            Err(error) => {
                if error.kind() != io::ErrorKind::NotFound {
                    tracing::warn!(path = %self.0.display(), %error, "could not read how far a consumer has come");
                }
                None
            }
        }
    }

    /// Replaces it: a reader sees the old or the new one. Not synced: after a power cut some are sent again.
    fn write(&self, sequence: u64) -> io::Result<()> {
        let aside = self.0.with_extension("delivered.new");
        fs::write(&aside, format!("{sequence}\n"))?;
        fs::rename(aside, &self.0)
    }
}
