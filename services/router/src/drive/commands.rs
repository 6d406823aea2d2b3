//! Commands as they come: looked at, given to the core or refused, and settled.

use futures::FutureExt as _;
use instance_bus::{BusError, Delivery};
use instance_chassis::crash_point;
use instance_contract::{CommandAnswer, RemediationId, subject::RecordKind};
use instance_engine::{Event, Record};
use tracing::{Instrument as _, Span};

use super::Driver;
use crate::{
    Error, count,
    intake::{self, Taken},
    perform,
};

impl Driver<'_> {
    pub(super) fn command(&mut self, delivery: Option<Result<Delivery, BusError>>) -> Result<(), Error> {
        let delivery = match delivery {
            Some(Ok(delivery)) => delivery,
            Some(Err(error)) => {
                tracing::warn!(%error, "could not take a command");
                return Ok(());
            }
            None => return Err(Error::NoMoreCommands { shard: self.shard }),
        };
        crash_point("router.command-taken");
        let (router, span) = (self.router, delivery.span());
        let then = span.clone();
        let look = async move {
            let now = router.clock.now();
            let taken = intake::take(router, &delivery, now).await;
            (delivery, then, taken)
        };
        self.intake.push_back(look.instrument(span).boxed());
        Ok(())
    }

    pub(super) fn take(&mut self, delivery: Delivery, span: Span, taken: Result<Taken, BusError>) {
        match taken {
            Ok(Taken::Legal { arrival, moved }) => {
                let span = moved.unwrap_or(span);
                crash_point("router.command-read");
                let id = arrival.command.command_id.into();
                if self.core.arriving_digest(&id).is_some_and(|digest| *digest != arrival.digest) {
                    return comes_again(&delivery, id);
                }
                let Some(claim) = self.router.claims.claim(id, self.shard) else {
                    return comes_again(&delivery, id);
                };
                let elsewhere = self.router.lookups.is_used_elsewhere(id, self.shard);
                self.elsewhere.insert(id, (claim, elsewhere.boxed()));
                self.deliveries.insert(id, delivery);
                self.happens(Event::Arrived(arrival), &span);
            }
            Ok(Taken::Illegal { id, .. }) if self.core.arriving_digest(&id).is_some() => {
                comes_again(&delivery, id);
            }
            Ok(Taken::Illegal { id, answer, ended }) => self.refuse(delivery, id, *answer, ended, span),
            Ok(Taken::Unreadable { answer, reason }) => {
                count::unreadable();
                self.settle(delivery, *answer, Some(reason), span);
            }
            // Dropped unsettled: it comes again.
            Err(error) => tracing::warn!(%error, "could not look at a command; it comes again"),
        }
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
        let (router, shard, owned) = (self.router, self.shard, self.owned);
        let then = span.clone();
        let work = async move {
            let used = || Some(format!("the command id was used before, and: {}", reasons(&answer)));
            let reason = match ended {
                Some(record) => {
                    let Some(_claim) = router.claims.claim(id, shard) else {
                        comes_again(&delivery, id);
                        return (None, then);
                    };
                    let elsewhere = router.lookups.is_used_elsewhere(id, shard).await;
                    match perform::begin(router, owned, id, RecordKind::Ended, record, elsewhere).await {
                        Event::NotRecorded { .. } => return (None, then),
                        // A command of this id was accepted since it was looked at: its end is not ours to write.
                        Event::Used { .. } => used(),
                        _ => None,
                    }
                }
                None => used(),
            };
            perform::answer(&router.bus, delivery.header(CommandAnswer::REPLY_HEADER), &answer).await;
            perform::settle(delivery, reason).await;
            (None, then)
        };
        self.under_way.push(work.instrument(span).boxed());
    }

    pub(super) fn settle(
        &self,
        delivery: Delivery,
        answer: CommandAnswer,
        dead_letter: Option<String>,
        span: Span,
    ) {
        let router = self.router;
        let then = span.clone();
        let work = async move {
            perform::answer(&router.bus, delivery.header(CommandAnswer::REPLY_HEADER), &answer).await;
            perform::settle(delivery, dead_letter).await;
            (None, then)
        };
        self.under_way.push(work.instrument(span).boxed());
    }
}

/// Another command under this id is being answered, and what becomes of it decides about this one. Dropped unsettled: it
/// is delivered again, and then judged by the log.
fn comes_again(delivery: &Delivery, id: RemediationId) {
    tracing::warn!(remediation = %id, sequence = delivery.sequence(), "a second command under an id that is arriving");
}

fn reasons(answer: &CommandAnswer) -> String {
    let faults: Vec<String> = answer.faults.iter().map(ToString::to_string).collect();
    faults.join("; ")
}
