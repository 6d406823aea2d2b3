//! Writes halts, dead letters and what was decided about incidents into the log of shard 0, from where the audit trail
//! tells of them as of everything else.
//!
//! Each stands under its place in its own stream, so it is written once; the newest one says where to go on. What is
//! older than anything that the log keeps was told in its time: its notice may be gone, and it is not told again.

mod incidents; // What analyst, gateway and people have decided.

use std::time::Duration;

use instance_bus::{BusError, DeadLetter, HaltChange, Headers, LogMessage, PublishError, topology};
use instance_contract::{Notice, NoticeKind, NoticeSource, Shard, subject};
use instance_engine::audit::safe;
use jiff::{SignedDuration, Timestamp};

use crate::Router;

/// The shard in whose log they stand.
const SHARD: Shard = Shard(0);
/// Until it is tried again.
const TRY_AGAIN: Duration = Duration::from_secs(5);

#[derive(Debug, thiserror::Error)]
enum Halt {
    #[error("could not follow halts, dead letters and incidents")]
    Read(#[from] BusError),
    #[error("could not write a notice into the log")]
    Write(#[from] PublishError),
}

/// Keeps them told for as long as it is polled, where the shard is the one that tells of them.
pub(crate) async fn keep(router: &Router, shard: Shard) -> std::convert::Infallible {
    if shard != SHARD {
        return std::future::pending().await;
    }
    let mut told = String::new();
    loop {
        let Err(halt) = tell(router).await;
        let error = instance_chassis::error_chain(&halt);
        if error == told {
            tracing::debug!(error, "tries to tell of halts, dead letters and incidents again");
        } else {
            tracing::warn!(
                error,
                "halts, dead letters and incidents are not told in the audit trail; plans go on"
            );
            told = error;
        }
        tokio::time::sleep(TRY_AGAIN).await;
    }
}

async fn tell(router: &Router) -> Result<std::convert::Infallible, Halt> {
    let bus = &router.bus;
    let mut halts = bus.follow_halts(next(bus, NoticeSource::Halts).await?);
    let mut dead = bus.follow_dead_letters(next(bus, NoticeSource::DeadLetters).await?);
    let decided = incidents::filters();
    let mut incidents = bus.follow_incidents(&decided, next(bus, NoticeSource::Incidents).await?);
    loop {
        let (source, message) = tokio::select! {
            message = halts.next() => (NoticeSource::Halts, message?),
            message = dead.next() => (NoticeSource::DeadLetters, message?),
            message = incidents.next() => (NoticeSource::Incidents, message?),
        };
        if is_too_old(message.published_at, router.clock.now()) {
            continue;
        }
        let subject = subject::notice(SHARD, source, message.sequence);
        let notice = match source {
            NoticeSource::Halts => of_halt(&message),
            NoticeSource::DeadLetters => of_dead_letter(message.into()),
            // The gateway writes its own; nothing here follows them.
            NoticeSource::Gateway => continue,
            NoticeSource::Incidents => incidents::notice(&message),
        };
        match bus.publish_once_confirmed(&subject, &notice, Headers::new()).await {
            // A former owner of the shard told it.
            Ok(_) | Err(PublishError::Exists { .. }) => {}
            Err(error) => return Err(error.into()),
        }
    }
}

/// Everything before this is told.
async fn next(bus: &instance_bus::Bus, source: NoticeSource) -> Result<u64, BusError> {
    let newest =
        bus.last_in(&topology::remediations(SHARD), subject::notices(SHARD, source).as_str()).await?;
    Ok(newest.and_then(|message| subject::parse_notice(&message.subject)).map_or(1, |told| told + 1))
}

/// Has the log forgotten what was told of it?
fn is_too_old(published_at: Timestamp, now: Timestamp) -> bool {
    let kept = SignedDuration::try_from(topology::REMEDIATIONS_KEPT).expect("30 days fit");
    now.duration_since(published_at) >= kept
}

fn of_halt(message: &LogMessage) -> Notice {
    let somebody = || "somebody on the bus".to_owned();
    let (kind, at, who, what, why) = match HaltChange::of(message) {
        Ok(HaltChange::Halted(order)) => {
            (NoticeKind::Halted, order.at, order.by, "stops all acting", order.reason)
        }
        Ok(HaltChange::Lifted { by }) => {
            let who = by.unwrap_or_else(somebody);
            let why = "the halt was taken back".to_owned();
            (NoticeKind::Resumed, message.published_at, who, "lets acting go on", why)
        }
        // A switch that holds anything at all is thrown.
        Err(error) => {
            let why = instance_chassis::error_chain(&error);
            (NoticeKind::Halted, message.published_at, somebody(), "stops all acting", why)
        }
    };
    notice(kind, at, who, what.to_owned(), why)
}

fn of_dead_letter(letter: DeadLetter) -> Notice {
    let sent_by = serde_json::from_slice::<serde_json::Value>(&letter.payload).ok();
    let sent_by = sent_by.and_then(|body| body["requested_by"].as_str().map(str::to_owned));
    let what = format!(
        "dead letter {}: message {} of {} on {}",
        letter.sequence, letter.stream_sequence, letter.stream, letter.subject
    );
    let who = sent_by.unwrap_or_else(|| "a sender on the bus".to_owned());
    notice(NoticeKind::DeadLetter, letter.died_at, who, what, letter.reason)
}

/// Whoever sent the text may have sent a megabyte, or a password.
fn notice(kind: NoticeKind, at: Timestamp, who: String, what: String, why: String) -> Notice {
    let [who, what, why] = [who, what, why].map(|text| safe(&text));
    Notice {
        schema: Notice::SCHEMA.to_owned(),
        kind,
        at,
        who,
        what,
        why,
        digest: None,
        instance: None,
        trace_id: None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn halt(value: &str) -> LogMessage {
        LogMessage {
            subject: "$KV.INSTANCE_CONTROL.halt".to_owned(),
            payload: value.to_owned().into(),
            sequence: 7,
            published_at: "2026-11-21T08:00:00Z".parse().unwrap(),
            headers: Headers::new(),
        }
    }

    #[test]
    fn a_halt_that_cannot_be_read_is_told_as_one() {
        for value in ["", "halt!", "{\"by\": 7}"] {
            let message = halt(value);
            let notice = of_halt(&message);
            assert_eq!((notice.kind, notice.at), (NoticeKind::Halted, message.published_at), "{value}");
            assert_eq!(notice.who, "somebody on the bus");
            assert!(notice.why.contains("INSTANCE_CONTROL"), "{notice:?}");
        }
        let order = "{\"by\": \"me\", \"reason\": \"a storm\", \"at\": \"2026-11-21T07:59:59Z\"}";
        let notice = of_halt(&halt(order));
        assert_eq!((notice.who.as_str(), notice.why.as_str()), ("me", "a storm"));
    }

    #[test]
    fn what_the_log_has_forgotten_is_not_told_again() {
        let now: Timestamp = "2026-11-21T08:00:00Z".parse().unwrap();
        assert!(!is_too_old(now - SignedDuration::from_hours(24 * 30 - 1), now));
        assert!(is_too_old(now - SignedDuration::from_hours(24 * 30), now));
        assert!(!is_too_old(now + SignedDuration::from_secs(5), now), "clocks differ");
    }

    #[test]
    fn nothing_of_a_dead_letter_is_long() {
        let letter = DeadLetter {
            sequence: 1,
            reason: "unreadable: ".repeat(1_000),
            subject: "instance.v1.command.PROD".to_owned(),
            stream: "INSTANCE_COMMANDS".to_owned(),
            stream_sequence: 1,
            deliveries: 1,
            died_at: "2026-11-21T08:00:00Z".parse().unwrap(),
            payload: serde_json::json!({ "requested_by": "x".repeat(900_000) }).to_string().into(),
            headers: Headers::new(),
        };
        let told = serde_json::to_vec(&of_dead_letter(letter)).unwrap();
        assert!(told.len() < 4_000, "{}", told.len());
    }
}
