//! Writes halts and dead letters into the log of shard 0, from where the audit trail tells of them as of everything else.
//!
//! Each stands under its place in its own stream, so it is written once; the newest one says where to go on.

use std::time::Duration;

use instance_bus::{Bus, BusError, DeadLetter, HaltChange, Headers, LogMessage, PublishError, topology};
use instance_contract::{Notice, NoticeKind, NoticeSource, Shard, subject};

/// The shard in whose log they stand.
const SHARD: Shard = Shard(0);
/// Until it is tried again.
const TRY_AGAIN: Duration = Duration::from_secs(5);

#[derive(Debug, thiserror::Error)]
enum Halt {
    #[error("could not follow halts and dead letters")]
    Read(#[from] BusError),
    #[error("could not write a notice into the log")]
    Write(#[from] PublishError),
}

/// Keeps them told for as long as it is polled, where the shard is the one that tells of them.
pub(crate) async fn keep(bus: &Bus, shard: Shard) -> std::convert::Infallible {
    if shard != SHARD {
        return std::future::pending().await;
    }
    let mut told = String::new();
    loop {
        let Err(halt) = tell(bus).await;
        let error = instance_chassis::error_chain(&halt);
        if error == told {
            tracing::debug!(error, "tries to tell of halts and dead letters again");
        } else {
            tracing::warn!(error, "halts and dead letters are not told in the audit trail; plans go on");
            told = error;
        }
        tokio::time::sleep(TRY_AGAIN).await;
    }
}

async fn tell(bus: &Bus) -> Result<std::convert::Infallible, Halt> {
    let mut halts = bus.follow_halts(next(bus, NoticeSource::Halts).await?);
    let mut dead = bus.follow_dead_letters(next(bus, NoticeSource::DeadLetters).await?);
    loop {
        let (source, sequence, notice) = tokio::select! {
            message = halts.next() => {
                let message = message?;
                (NoticeSource::Halts, message.sequence, of_halt(&message)?)
            }
            message = dead.next() => {
                let message = message?;
                (NoticeSource::DeadLetters, message.sequence, of_dead_letter(message.into()))
            }
        };
        let subject = subject::notice(SHARD, source, sequence);
        match bus.publish_once_confirmed(&subject, &notice, Headers::new()).await {
            // A former owner of the shard told it.
            Ok(_) | Err(PublishError::Exists { .. }) => {}
            Err(error) => return Err(error.into()),
        }
    }
}

/// Everything before this is told.
async fn next(bus: &Bus, source: NoticeSource) -> Result<u64, BusError> {
    let newest =
        bus.last_in(&topology::remediations(SHARD), subject::notices(SHARD, source).as_str()).await?;
    Ok(newest.and_then(|message| subject::parse_notice(&message.subject)).map_or(1, |told| told + 1))
}

fn of_halt(message: &LogMessage) -> Result<Notice, BusError> {
    Ok(match HaltChange::of(message)? {
        HaltChange::Halted(order) => {
            notice(NoticeKind::Halted, order.at, order.by, "stops all acting".to_owned(), order.reason)
        }
        HaltChange::Lifted { by } => notice(
            NoticeKind::Resumed,
            message.published_at,
            by.unwrap_or_else(|| "somebody on the bus".to_owned()),
            "lets acting go on".to_owned(),
            "the halt was taken back".to_owned(),
        ),
    })
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

fn notice(kind: NoticeKind, at: jiff::Timestamp, who: String, what: String, why: String) -> Notice {
    Notice { schema: Notice::SCHEMA.to_owned(), kind, at, who, what, why }
}
