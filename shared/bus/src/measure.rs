//! Counting what is sent and delivered. Names and labels: the catalogue in `instance_signals`.

use std::time::{Duration, Instant};

use instance_signals::metrics::{
    CONSUMED, DEAD_LETTERS, OPERATION_DURATION, PENDING, PROCESS_DURATION, REDELIVERED, SENT,
};

use crate::{DeadLetterReason, template};

const PUBLISH: &str = "publish";

/// A message that was published, or could not be; `failed` is the kind of failure.
pub(crate) fn published(subject: &str, began: Instant, failed: Option<&'static str>) {
    let template = template::of(subject).unwrap_or_default();
    let labels = [PUBLISH, template, failed.unwrap_or_default()];
    SENT.add(1, &labels);
    OPERATION_DURATION.record(began.elapsed().as_secs_f64(), &labels);
}

/// A question that was sent, or could not be. How long its answer took is not the bus's doing.
pub(crate) fn asked(subject: &str, failed: Option<&'static str>) {
    let template = template::of(subject).unwrap_or_default();
    SENT.add(1, &[PUBLISH, template, failed.unwrap_or_default()]);
}

/// A delivery, `deliveries` of this message so far, with `pending` more behind it.
pub(crate) fn delivered(subject: &str, stream: &str, consumer: &str, deliveries: u64, pending: u64) {
    CONSUMED.add(1, &[template::of(subject).unwrap_or_default(), consumer]);
    PENDING.set(i64::try_from(pending).unwrap_or(i64::MAX), &[consumer]);
    if deliveries > 1 {
        REDELIVERED.add(1, &[stream]);
    }
}

/// A delivery that was settled; `failed` says how, when it is not done.
pub(crate) fn settled(subject: &str, in_hand: Duration, failed: &'static str) {
    PROCESS_DURATION.record(in_hand.as_secs_f64(), &[template::of(subject).unwrap_or_default(), failed]);
}

/// A message that nobody could handle.
pub(crate) fn dead(stream: &str, reason: &DeadLetterReason) {
    DEAD_LETTERS.add(1, &[stream, reason.word()]);
}
