//! Drives one shard: deliveries, records, answers and time go into the core as events; its effects are performed.

use std::{collections::HashMap, time::Duration};

use futures::{FutureExt as _, StreamExt as _, future::BoxFuture, stream::FuturesUnordered};
use instance_bus::{BusError, Deliveries, Delivery, Lease, LogFollow, LogMessage};
use instance_chassis::crash_point;
use instance_contract::{
    CommandAnswer, RemediationId, Shard,
    subject::{self, RecordKind},
};
use instance_engine::{Core, Effect, Event, Logged, Record, Remediation};
use jiff::Timestamp;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep_until, timeout};
use tracing::{Instrument as _, Span};

use crate::{
    Error, Router, facts,
    intake::{self, Taken},
    perform,
};

/// A lease lives 3 s and counts as fresh for 2 s.
const RENEW_EVERY: Duration = Duration::from_secs(1);
/// The kill switch is in force within a second.
const LOOK_FOR_HALT_EVERY: Duration = Duration::from_millis(400);

const HALT_PATIENCE: Duration = Duration::from_millis(600);
/// A server that was killed or a new leader is there before this. Until then no agent acts either: each reads the switch
/// itself before an effect.
const UNREADABLE_FOR: Duration = Duration::from_secs(20);

/// What came of an effect, and the span in which the story goes on.
type Outcome = (Option<Event>, Span);

struct Driver<'a> {
    router: &'a Router,
    shard: Shard,
    core: Core,
    /// Commands that are not answered yet.
    deliveries: HashMap<RemediationId, Delivery>,
    under_way: FuturesUnordered<BoxFuture<'a, Outcome>>,
    wake_at: Option<Timestamp>,
    halted: bool,
    /// Since when the kill switch could not be read.
    unreadable_since: Option<Instant>,
}

/// Until drained, or until the lease is lost.
pub(crate) async fn drive(router: &Router, lease: &mut Lease, epoch: u64) -> Result<(), Error> {
    let shard = lease.shard();
    let mut driver = Driver {
        router,
        shard,
        core: Core::new(router.policy.clone(), epoch),
        deliveries: HashMap::new(),
        under_way: FuturesUnordered::new(),
        wake_at: None,
        halted: false,
        unreadable_since: None,
    };
    let mut records = driver.adopt().await?;
    let mut commands = router.bus.commands(shard).await?;
    driver.run(lease, &mut commands, &mut records).await
}

impl Driver<'_> {
    /// Reads the shard's log once, and continues what is open.
    async fn adopt(&mut self) -> Result<LogFollow, Error> {
        let mut open: HashMap<RemediationId, Vec<Logged>> = HashMap::new();
        let mut last = 0;
        for message in self.router.bus.read_log(self.shard, &subject::shard_log(self.shard)).await? {
            last = message.sequence;
            let Some((_, id, kind)) = subject::parse_record(&message.subject) else { continue };
            if kind == RecordKind::Ended {
                self.remember(&open.remove(&id).unwrap_or_default());
                continue;
            }
            open.entry(id).or_default().extend(perform::decoded(&message));
        }
        for records in open.values() {
            self.remember(records);
        }
        crash_point("router.log-read");
        let adopted: Vec<Remediation> = open.into_values().filter_map(Remediation::replay).collect();
        tracing::info!(shard = %self.shard, open = adopted.len(), "read the remediation log");
        let now = self.router.clock.now();
        for remediation in adopted {
            let span = continued(&remediation);
            let effects = self.core.adopt([remediation], now);
            self.perform(effects, &span);
        }
        crash_point("router.open-adopted");
        let answers = [
            subject::records_of(self.shard, "result.>"),
            subject::records_of(self.shard, "approval.*.answered"),
        ];
        Ok(self.router.bus.follow(self.shard, &answers, last + 1))
    }

    /// Restarts count in policy whoever owned the shard then.
    fn remember(&mut self, records: &[Logged]) {
        let accepted = records.iter().find_map(|(.., record)| match record {
            Record::Accepted(accepted) => Some(accepted),
            _ => None,
        });
        let Some(accepted) = accepted else { return };
        for (_, at, _, record) in records {
            if instance_engine::is_restart(record) {
                self.core.remember_restart(&accepted.command.instance, *at);
            }
        }
    }

    async fn run(
        &mut self,
        lease: &mut Lease,
        commands: &mut Deliveries,
        records: &mut LogFollow,
    ) -> Result<(), Error> {
        let mut renewal = interval(RENEW_EVERY);
        renewal.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut look_for_halt = interval(LOOK_FOR_HALT_EVERY);
        look_for_halt.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let wake = self.wake();
            if !lease.is_fresh() {
                return Err(Error::LeaseLost { shard: self.shard });
            }
            tokio::select! {
                biased;
                () = self.router.drain.requested() => break,
                _ = renewal.tick() => {
                    if !lease.renew().await.unwrap_or_else(|error| {
                        tracing::warn!(%error, "could not renew the lease");
                        true
                    }) {
                        return Err(Error::LeaseLost { shard: self.shard });
                    }
                    crash_point("router.lease-renewed");
                }
                _ = look_for_halt.tick() => self.look_for_halt().await,
                Some((event, span)) = self.under_way.next() => {
                    if let Some(event) = event {
                        self.happens(event, &span);
                    }
                }
                message = records.next() => match message {
                    Ok(message) => self.read(&message),
                    Err(error) => tracing::warn!(%error, "the remediation log is silent"),
                },
                delivery = commands.next() => self.command(delivery).await?,
                () = sleep_until(wake) => {
                    self.wake_at = None;
                    self.happens(Event::Tick, &Span::none());
                }
            }
        }
        // Drained: what is under way is finished, nothing new is begun.
        while let Some((_, _)) = self.under_way.next().await {}
        Ok(())
    }

    fn wake(&self) -> Instant {
        let far = Duration::from_hours(1);
        let wait = self.wake_at.map_or(far, |at| {
            Duration::try_from(at.duration_since(self.router.clock.now())).unwrap_or_default()
        });
        // A millisecond late rather than early, or the core would be asked twice.
        Instant::now() + wait.min(far) + Duration::from_millis(1)
    }

    async fn look_for_halt(&mut self) {
        // A switch that cannot be read counts as thrown; but what runs is not given up because the server is away for a
        // moment.
        let halted = match timeout(HALT_PATIENCE, self.router.bus.is_halted()).await {
            Ok(Ok(halted)) => {
                self.unreadable_since = None;
                halted
            }
            Ok(Err(error)) if !error.is_unreachable() => true,
            _ => {
                let since = *self.unreadable_since.get_or_insert_with(Instant::now);
                self.halted || since.elapsed() >= UNREADABLE_FOR
            }
        };
        if halted != self.halted {
            tracing::warn!(halted, "the kill switch has changed");
            self.halted = halted;
            self.happens(Event::Halted(halted), &Span::none());
        }
    }

    async fn command(&mut self, delivery: Option<Result<Delivery, BusError>>) -> Result<(), Error> {
        let delivery = match delivery {
            Some(Ok(delivery)) => delivery,
            Some(Err(error)) => {
                tracing::warn!(%error, "could not take a command");
                return Ok(());
            }
            None => return Err(Error::NoMoreCommands { shard: self.shard }),
        };
        crash_point("router.command-taken");
        let span = delivery.span();
        let now = self.router.clock.now();
        match intake::take(self.router, &delivery, now).instrument(span.clone()).await {
            Ok(Taken::Legal(arrival)) => {
                crash_point("router.command-read");
                self.deliveries.insert(arrival.command.command_id.into(), delivery);
                self.happens(Event::Arrived(arrival), &span);
            }
            Ok(Taken::Illegal { id, answer, ended }) => self.refuse(delivery, id, *answer, ended, span),
            Ok(Taken::Unreadable { answer, reason }) => {
                self.settle(delivery, *answer, Some(reason), span);
            }
            // Dropped unsettled: it comes again.
            Err(error) => tracing::warn!(%error, "could not look at a command; it comes again"),
        }
        Ok(())
    }

    /// Write the refusal, where the id has no history of its own; then tell the sender.
    fn refuse(
        &self,
        delivery: Delivery,
        id: RemediationId,
        answer: CommandAnswer,
        ended: Option<Box<Record>>,
        span: Span,
    ) {
        let (router, shard) = (self.router, self.shard);
        let then = span.clone();
        let work = async move {
            let now = router.clock.now();
            let reason = match ended {
                Some(record) => {
                    let written =
                        perform::write(&router.bus, shard, id, RecordKind::Ended, record, now).await;
                    if matches!(written, Event::NotRecorded { .. }) {
                        return (None, then);
                    }
                    None
                }
                None => Some(format!("the command id was used before, and: {}", reasons(&answer))),
            };
            perform::answer(&router.bus, delivery.header(CommandAnswer::REPLY_HEADER), &answer).await;
            perform::settle(delivery, reason).await;
            (None, then)
        };
        self.under_way.push(work.instrument(span).boxed());
    }

    fn settle(&self, delivery: Delivery, answer: CommandAnswer, dead_letter: Option<String>, span: Span) {
        let router = self.router;
        let then = span.clone();
        let work = async move {
            perform::answer(&router.bus, delivery.header(CommandAnswer::REPLY_HEADER), &answer).await;
            perform::settle(delivery, dead_letter).await;
            (None, then)
        };
        self.under_way.push(work.instrument(span).boxed());
    }

    /// A result of an agent or the answer of a person.
    fn read(&mut self, message: &LogMessage) {
        let Some((_, id, _)) = subject::parse_record(&message.subject) else { return };
        let Some((kind, at, sequence, record)) = perform::decoded(message) else { return };
        match kind {
            RecordKind::Result { .. } => crash_point("router.result-read"),
            _ => crash_point("router.approval-read"),
        }
        let span = match kind {
            // A person's client has a trace of its own, or none; the story goes on in that of the remediation.
            RecordKind::ApprovalAnswered(_) => self.span_in_trace_of(id),
            _ => self.router.bus.span_of(message),
        };
        self.happens(Event::Recorded { id, kind, at, sequence, record: Box::new(record) }, &span);
    }

    fn happens(&mut self, event: Event, span: &Span) {
        let now = self.router.clock.now();
        let effects = span.in_scope(|| self.core.on(event, now));
        self.perform(effects, span);
    }

    fn perform(&mut self, effects: Vec<Effect>, span: &Span) {
        let (router, shard) = (self.router, self.shard);
        for effect in effects {
            // An effect that nothing but time has caused continues the trace of its remediation.
            let span = if span.is_none() { self.span_of(&effect) } else { span.clone() };
            let then = span.clone();
            match effect {
                Effect::Ask { id, instance, questions, patience } => {
                    let work = async move {
                        crash_point("router.facts-to-ask");
                        let answer = facts::ask(&router.bus, &instance, questions, patience).await;
                        crash_point("router.facts-answered");
                        (Some(Event::Answered { id, answer: Box::new(answer) }), then)
                    };
                    self.under_way.push(work.instrument(span).boxed());
                }
                Effect::Write { id, kind, record } => {
                    let now = router.clock.now();
                    let work = async move {
                        (Some(perform::write(&router.bus, shard, id, kind, record, now).await), then)
                    };
                    self.under_way.push(work.instrument(span).boxed());
                }
                Effect::Answer { id, answer, dead_letter } => {
                    if let Some(delivery) = self.deliveries.remove(&id) {
                        self.settle(delivery, *answer, dead_letter, span);
                    }
                }
                Effect::Find { id } => {
                    let work = async move {
                        let found = perform::find(&router.bus, shard, id).await;
                        (Some(Event::Found { id, records: found }), then)
                    };
                    self.under_way.push(work.instrument(span).boxed());
                }
                Effect::WakeAt(at) => self.wake_at = Some(self.wake_at.map_or(at, |earlier| earlier.min(at))),
            }
        }
    }

    fn span_of(&self, effect: &Effect) -> Span {
        match effect {
            Effect::Ask { id, .. }
            | Effect::Write { id, .. }
            | Effect::Answer { id, .. }
            | Effect::Find { id } => self.span_in_trace_of(*id),
            Effect::WakeAt(_) => Span::none(),
        }
    }

    fn span_in_trace_of(&self, id: RemediationId) -> Span {
        self.core.remediations().find(|remediation| remediation.id() == id).map_or_else(Span::none, continued)
    }
}

/// A span in the trace of a remediation that nobody's message has just continued.
fn continued(remediation: &Remediation) -> Span {
    let span = tracing::info_span!("continue remediation", instance.command.id = %remediation.accepted.command.command_id);
    if let Some(traceparent) = &remediation.accepted.traceparent {
        instance_bus::continue_from(&span, traceparent);
    }
    span
}

fn reasons(answer: &CommandAnswer) -> String {
    let faults: Vec<String> = answer.faults.iter().map(ToString::to_string).collect();
    faults.join("; ")
}
