//! Drives one shard: deliveries, records, answers and time go into the core as events; its effects are performed.

mod commands;

use std::{collections::HashMap, pin::Pin, time::Duration};

use futures::{
    FutureExt as _, StreamExt as _,
    future::BoxFuture,
    stream::{FuturesOrdered, FuturesUnordered},
};
use instance_bus::{BusError, Deliveries, Delivery, Lease, LogFollow, LogMessage};
use instance_chassis::{crash_point, mutant};
use instance_contract::{
    RemediationId, Shard,
    subject::{self, RecordKind},
};
use instance_engine::{Core, Effect, Event, Remediation};
use jiff::Timestamp;
use tokio::time::{Instant, Interval, MissedTickBehavior, Sleep, interval, sleep};
use tracing::{Instrument as _, Span};

use crate::{
    Error, Router,
    claims::Claim,
    count, facts,
    hint::Hints,
    intake::Taken,
    own::{self, Owned},
    perform,
    takeover::{self, Standing},
};

/// A lease lives 3 s and counts as fresh for 2 s.
const RENEW_EVERY: Duration = Duration::from_secs(1);
/// No alarm is set further ahead; the next renewal sets it again.
const FAR: Duration = Duration::from_hours(1);
/// Commands of one shard that are on their way to being answered.
const ARRIVING_AT_MOST: usize = 32;

/// What came of an effect, and the span in which the story goes on.
type Outcome = (Option<Event>, Span);
/// A command that has been looked at.
type LookedAt = (Delivery, Span, Result<Taken, BusError>);

struct Driver<'a> {
    router: &'a Router,
    owned: &'a Owned,
    shard: Shard,
    core: Core,
    hints: Hints,
    /// Commands that are looked at, in the order in which they came: who came first is served first.
    intake: FuturesOrdered<BoxFuture<'a, LookedAt>>,
    /// Commands that are not answered yet.
    deliveries: HashMap<RemediationId, Delivery>,
    /// Whether the id of an arrival was used in another shard: asked while its facts are. Nobody else begins it meanwhile.
    elsewhere: HashMap<RemediationId, (Claim, BoxFuture<'a, Option<bool>>)>,
    under_way: FuturesUnordered<BoxFuture<'a, Outcome>>,
    wake_at: Option<Timestamp>,
    /// Rings when it is that time.
    alarm: Pin<Box<Sleep>>,
}

/// Until drained, until the shard is to be given away, or until the lease is lost.
pub(crate) async fn drive(
    router: &Router,
    lease: &mut Lease,
    taken: &own::Taken,
    owned: &Owned,
) -> Result<(), Error> {
    let shard = lease.shard();
    let mut renewal = interval(RENEW_EVERY);
    renewal.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let standing = read_while_owned(router, lease, &mut renewal, taken).await?;
    crash_point("router.log-read");
    let mut driver = Driver {
        router,
        owned,
        shard,
        core: Core::new(router.policy.clone(), taken.epoch),
        hints: Hints::new(taken.epoch, standing.last),
        intake: FuturesOrdered::new(),
        deliveries: HashMap::new(),
        elsewhere: HashMap::new(),
        under_way: FuturesUnordered::new(),
        wake_at: None,
        alarm: Box::pin(sleep(Duration::ZERO)),
    };
    let mut records = driver.adopt(standing);
    let mut commands = router.bus.commands(shard).await?;
    driver.run(lease, &mut renewal, &mut commands, &mut records).await
}

/// However long the reading takes, nobody else takes the shard meanwhile.
async fn read_while_owned(
    router: &Router,
    lease: &mut Lease,
    renewal: &mut Interval,
    taken: &own::Taken,
) -> Result<Standing, Error> {
    let shard = lease.shard();
    let reading = takeover::read(router, shard, taken.former, (taken.epoch, taken.sequence));
    tokio::pin!(reading);
    loop {
        tokio::select! {
            standing = &mut reading => return standing,
            _ = renewal.tick() => renew(lease).await?,
        }
        if !lease.is_fresh() {
            lost(lease)?;
        }
    }
}

async fn renew(lease: &mut Lease) -> Result<(), Error> {
    let is_ours = lease.renew().await.unwrap_or_else(|error| {
        tracing::warn!(%error, "could not renew the lease");
        true
    });
    crash_point("router.lease-renewed");
    if is_ours { Ok(()) } else { lost(lease) }
}

/// Not ours any more, or not known to be.
fn lost(lease: &Lease) -> Result<(), Error> {
    if mutant("router.lost-lease-ignored") { Ok(()) } else { Err(Error::LeaseLost { shard: lease.shard() }) }
}

impl Driver<'_> {
    /// Continues what is open.
    fn adopt(&mut self, mut standing: Standing) -> LogFollow {
        for (instance, at) in &standing.restarts {
            self.core.remember_restart(instance, *at);
        }
        let now = self.router.clock.now();
        let halted = self.router.is_halted();
        // Nothing is open yet, so nothing follows from it.
        self.core.on(Event::Halted(halted), now);
        let open = standing.take_open();
        let adopted: Vec<Remediation> = open.filter_map(|records| self.core.replay(records)).collect();
        tracing::info!(shard = %self.shard, open = adopted.len(), "read the remediation log");
        let effects = self.core.adopt(adopted, now);
        self.perform(effects, &Span::none(), None);
        crash_point("router.open-adopted");
        let heard = [
            subject::records_of(self.shard, "accepted"),
            subject::records_of(self.shard, "result.>"),
            subject::records_of(self.shard, "approval.*.answered"),
        ];
        self.router.bus.follow(self.shard, &heard, standing.last + 1)
    }

    async fn run(
        &mut self,
        lease: &mut Lease,
        renewal: &mut Interval,
        commands: &mut Deliveries,
        records: &mut LogFollow,
    ) -> Result<(), Error> {
        let mut halted = self.router.halted.clone();
        halted.mark_changed();
        self.tell_next_owner();
        loop {
            if !lease.is_fresh() {
                lost(lease)?;
            }
            if self.owned.is_followed() {
                return Err(Error::Followed { shard: self.shard });
            }
            tokio::select! {
                biased;
                () = self.router.drain.requested() => break,
                () = self.router.shares.asked_for(self.shard) => break,
                _ = renewal.tick() => {
                    renew(lease).await?;
                    // The clock may have been set meanwhile.
                    self.set_alarm();
                    self.tell_next_owner();
                    count::standing(self.shard, &self.core, self.intake.len());
                }
                Ok(()) = halted.changed() => {
                    self.happens(Event::Halted(self.router.is_halted()), &Span::none());
                }
                Some((event, span)) = self.under_way.next() => {
                    if let Some(event) = event {
                        self.has_happened(event, &span);
                    }
                }
                Some((delivery, span, taken)) = self.intake.next() => self.take(delivery, span, taken),
                message = records.next() => match message {
                    Ok(message) => {
                        self.read(&message);
                        self.owned.audit.hand_on(message);
                    }
                    Err(error) => tracing::warn!(%error, "the remediation log is silent"),
                },
                delivery = commands.next(), if self.takes_more() => self.command(delivery)?,
                () = &mut self.alarm, if self.wake_at.is_some() => {
                    self.wake_at = None;
                    self.happens(Event::Tick, &Span::none());
                }
            }
        }
        if mutant("router.lease-released-early") {
            lease.release().await?;
        }
        self.finish(lease, renewal).await
    }

    /// Drained, or given away: what is under way is finished, nothing new is begun. The shard stays ours until then.
    async fn finish(&mut self, lease: &mut Lease, renewal: &mut Interval) -> Result<(), Error> {
        loop {
            tokio::select! {
                biased;
                done = self.under_way.next() => {
                    if done.is_none() {
                        return Ok(());
                    }
                }
                _ = renewal.tick() => renew(lease).await?,
            }
        }
    }

    /// The rest wait in their stream: agents who are asked thousands of questions at once answer none in time.
    fn takes_more(&self) -> bool {
        self.intake.len() + self.core.arriving() < ARRIVING_AT_MOST
    }

    fn set_alarm(&mut self) {
        let Some(at) = self.wake_at else { return };
        let wait = Duration::try_from(at.duration_since(self.router.clock.now())).unwrap_or_default();
        // A millisecond late rather than early, or the core would be asked twice.
        self.alarm.as_mut().reset(Instant::now() + wait.min(FAR) + Duration::from_millis(1));
    }

    /// A result of an agent, the answer of a person, or an acceptance: ours, or of an owner who had been followed.
    fn read(&mut self, message: &LogMessage) {
        let Some((_, id, kind)) = subject::parse_record(&message.subject) else { return };
        self.hints.hears(message.sequence);
        if kind == RecordKind::Accepted {
            if self.core.remediation(&id).is_none() {
                self.hints.hears_of_unknown(message.sequence, id);
                self.happens(Event::Heard { id }, &Span::none());
            }
            return;
        }
        let Some((kind, at, sequence, record)) = perform::decoded(message) else { return };
        match kind {
            RecordKind::Result { .. } => crash_point("router.result-read"),
            _ => crash_point("router.approval-read"),
        }
        count::heard(&record);
        let span = match kind {
            // A person's client has a trace of its own, or none; the story goes on in that of the remediation.
            RecordKind::ApprovalAnswered(_) => self.span_in_trace_of(id),
            _ => self.router.bus.span_of(message),
        };
        self.happens(Event::Recorded { id, kind, at, sequence, record: Box::new(record) }, &span);
    }

    /// Something that was under way has come to its end.
    fn has_happened(&mut self, event: Event, span: &Span) {
        let id = match &event {
            Event::Recorded { id, .. } | Event::Found { id, .. } => Some(*id),
            _ => None,
        };
        self.happens(event, span);
        if let Some(id) = id {
            self.hints.knows(id);
        }
    }

    fn happens(&mut self, event: Event, span: &Span) {
        let now = self.router.clock.now();
        let about = event.remediation();
        let effects = span.in_scope(|| self.core.on(event, now));
        self.perform(effects, span, about);
    }

    /// What an event `about` a remediation has caused, handled in this span.
    fn perform(&mut self, effects: Vec<Effect>, span: &Span, about: Option<RemediationId>) {
        let (router, shard, owned) = (self.router, self.shard, self.owned);
        for effect in effects {
            // What nothing but time has caused continues the trace of its remediation, and so does what the end of another
            // one has: its turn has come.
            let is_of_another = about.is_some() && effect.remediation().is_some_and(|id| Some(id) != about);
            let span = if span.is_none() || is_of_another { self.span_of(&effect) } else { span.clone() };
            let then = span.clone();
            match effect {
                Effect::Ask { id, instance, questions, patience } => {
                    let work = async move {
                        crash_point("router.facts-to-ask");
                        let answer = facts::ask(router, &instance, questions, patience).await;
                        crash_point("router.facts-answered");
                        (Some(Event::Answered { id, answer: Box::new(answer) }), then)
                    };
                    self.under_way.push(work.instrument(span).boxed());
                }
                Effect::Begin { id, kind, record } => {
                    let elsewhere = self.elsewhere.remove(&id);
                    let work = async move {
                        let (_claim, elsewhere) = match elsewhere {
                            Some((claim, asked)) => (Some(claim), asked.await),
                            None => match router.claims.claim(id, shard) {
                                Some(claim) => {
                                    (Some(claim), router.lookups.is_used_elsewhere(id, shard).await)
                                }
                                None => (None, None),
                            },
                        };
                        (Some(perform::begin(router, owned, id, kind, record, elsewhere).await), then)
                    };
                    self.under_way.push(work.instrument(span).boxed());
                }
                Effect::Write { id, kind, record } => {
                    let now = router.clock.now();
                    let work = async move {
                        (Some(perform::write(&router.bus, owned, id, kind, record, now).await), then)
                    };
                    self.under_way.push(work.instrument(span).boxed());
                }
                Effect::Answer { id, answer, dead_letter } => {
                    self.elsewhere.remove(&id);
                    if let Some(delivery) = self.deliveries.remove(&id) {
                        count::answered(&answer, delivery.published_at(), self.router.clock.now());
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
                Effect::WakeAt(at) => {
                    if self.wake_at.is_none_or(|earlier| at < earlier) {
                        self.wake_at = Some(at);
                        self.set_alarm();
                    }
                }
            }
        }
    }

    fn span_of(&self, effect: &Effect) -> Span {
        effect.remediation().map_or_else(Span::none, |id| self.span_in_trace_of(id))
    }

    fn span_in_trace_of(&self, id: RemediationId) -> Span {
        self.core.remediation(&id).map_or_else(Span::none, continued)
    }

    /// Where the next owner may begin to read.
    fn tell_next_owner(&mut self) {
        let Some(hint) = self.hints.take(&self.core) else { return };
        let (router, shard) = (self.router, self.shard);
        let work = async move {
            if let Err(error) = router.bus.put_open_hint(shard, &hint).await {
                // The next owner reads a little more.
                tracing::debug!(%error, %shard, "could not leave a hint");
            }
            (None, Span::none())
        };
        self.under_way.push(work.boxed());
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
