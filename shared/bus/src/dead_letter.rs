//! Messages that nobody could handle: kept with the reason, shown, replayed.

use std::fmt;

use bytes::Bytes;
use instance_contract::subject;
use jiff::Timestamp;
use tracing::Instrument as _;

use crate::{
    Bus, BusError, Headers, LogMessage, PublishError, Written,
    headers::{DEAD_DELIVERIES, DEAD_REASON, DEAD_SEQUENCE, DEAD_STREAM, DEAD_SUBJECT, REPLAY_OF},
    measure,
    topology::DEAD,
    trace,
};

/// Longest reason that is kept, in characters.
const LONGEST_REASON: usize = 1_000;

/// Why nobody could handle a message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DeadLetterReason {
    /// It is not what its subject promises (not JSON, not the schema).
    Unreadable(String),
    /// It can be read, and breaks a rule.
    Refused(String),
    /// It was tried as often as allowed.
    Exhausted(String),
}

impl DeadLetterReason {
    /// `unreadable`, `refused` or `exhausted`.
    pub const fn word(&self) -> &'static str {
        match self {
            Self::Unreadable(_) => "unreadable",
            Self::Refused(_) => "refused",
            Self::Exhausted(_) => "exhausted",
        }
    }
}

impl fmt::Display for DeadLetterReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (Self::Unreadable(text) | Self::Refused(text) | Self::Exhausted(text)) = self;
        write!(f, "{}: {text}", self.word())
    }
}

/// A kept message.
#[derive(Debug, Clone)]
pub struct DeadLetter {
    /// Its place among the dead letters; what [`Bus::replay`] takes.
    pub sequence: u64,
    /// The first word is `unreadable`, `refused` or `exhausted`.
    pub reason: String,
    /// The subject under which it was stored first.
    pub subject: String,
    pub stream: String,
    /// Its place in that stream.
    pub stream_sequence: u64,
    /// How often it had been delivered.
    pub deliveries: u64,
    /// When it was given up.
    pub died_at: Timestamp,
    pub payload: Bytes,
    pub headers: Headers,
}

impl Bus {
    /// All dead letters, oldest first.
    pub async fn dead_letters(&self) -> Result<Vec<DeadLetter>, BusError> {
        let messages = self.read_all(DEAD, &[subject::dead_letters().to_string()]).await?;
        Ok(messages.into_iter().map(DeadLetter::from).collect())
    }

    /// Keeps what came from outside the bus and nobody can handle: `from` says where (one token), `subject` where it would
    /// have gone. The same `message_id` twice within the stream's window (2 minutes) is kept once.
    pub async fn bury(
        &self,
        from: &str,
        subject: &str,
        message_id: &str,
        payload: Bytes,
        reason: &DeadLetterReason,
    ) -> Result<Written, PublishError> {
        let origin = Origin { subject, stream: from, sequence: 0, deliveries: 1 };
        let headers = headers(&Headers::new(), reason, &origin);
        let written = self.publish_bytes(&subject::dead(from), payload, Some(message_id), headers).await?;
        if !written.duplicate {
            measure::dead(from, reason);
        }
        Ok(written)
    }

    /// Publishes a dead letter again as a new message in a new trace, with a header that names the original. A command
    /// goes to the subject without a shard, so that the server assigns one. The dead letter stays.
    pub async fn replay(&self, sequence: u64) -> Result<Written, BusError> {
        let message = self.message_at(DEAD, sequence).await?.ok_or(BusError::NoDeadLetter { sequence })?;
        let letter = DeadLetter::from(message);
        let subject = replay_subject(&letter.subject)
            .ok_or_else(|| BusError::NotReplayable { sequence, why: refusal(&letter.subject) })?;
        let mut headers = Headers::new().with(REPLAY_OF, &format!("{DEAD}:{sequence}"));
        // Who waits for the answer, still does.
        if let Some(reply) = letter.headers.get(instance_contract::CommandAnswer::REPLY_HEADER) {
            headers.set(instance_contract::CommandAnswer::REPLY_HEADER, reply);
        }
        let span = tracing::info_span!(parent: None, "replay", otel.kind = "internal");
        trace::link(&span, &letter.headers);
        let publish = self.publish_raw(&subject, letter.payload, headers).instrument(span);
        Ok(publish.await?)
    }
}

/// Where a dead letter comes from.
pub(crate) struct Origin<'a> {
    pub(crate) subject: &'a str,
    pub(crate) stream: &'a str,
    pub(crate) sequence: u64,
    pub(crate) deliveries: u64,
}

/// The message's own headers (its trace context too) and ours; none that the server would act on.
pub(crate) fn headers(original: &Headers, reason: &DeadLetterReason, origin: &Origin<'_>) -> Headers {
    let mut map = async_nats::HeaderMap::new();
    for (name, values) in original.map().iter() {
        let name_text: &str = name.as_ref();
        if !name_text.starts_with("Nats-") {
            for value in values {
                map.append(name.clone(), value.clone());
            }
        }
    }
    let reason: String = reason.to_string().chars().take(LONGEST_REASON).collect();
    Headers::from_map(Some(map))
        .with(DEAD_SUBJECT, origin.subject)
        .with(DEAD_STREAM, origin.stream)
        .with(DEAD_SEQUENCE, &origin.sequence.to_string())
        .with(DEAD_DELIVERIES, &origin.deliveries.to_string())
        .with(DEAD_REASON, &reason)
}

impl From<LogMessage> for DeadLetter {
    fn from(message: LogMessage) -> Self {
        let text = |name| message.headers.get(name).unwrap_or_default().to_owned();
        let number = |name| message.headers.get(name).and_then(|text| text.parse().ok()).unwrap_or_default();
        Self {
            sequence: message.sequence,
            reason: text(DEAD_REASON),
            subject: text(DEAD_SUBJECT),
            stream: text(DEAD_STREAM),
            stream_sequence: number(DEAD_SEQUENCE),
            deliveries: number(DEAD_DELIVERIES),
            died_at: message.published_at,
            payload: message.payload,
            headers: message.headers,
        }
    }
}

/// `None` for subjects that are written once: writing them again would change what happened.
fn replay_subject(original: &str) -> Option<String> {
    let tokens: Vec<&str> = original.split('.').collect();
    match tokens.as_slice() {
        ["instance", "v1", "command", _shard, instance] => Some(format!("instance.v1.command.{instance}")),
        ["instance", "v1", "command", _] | ["instance", "v1", "error", ..] => Some(original.to_owned()),
        _ => None,
    }
}

fn refusal(subject: &str) -> String {
    if subject.is_empty() {
        return "it does not say under which subject it was stored".to_owned();
    }
    format!("\"{subject}\" is written once; send the command again instead")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_lose_their_shard_and_records_are_never_written_again() {
        assert_eq!(replay_subject("instance.v1.command.3.PROD").as_deref(), Some("instance.v1.command.PROD"));
        let error = "instance.v1.error.db1.PROD.severe";
        assert_eq!(replay_subject(error).as_deref(), Some(error));
        for subject in ["instance.v1.remediation.0.x.ended", "", "$JS.API.STREAM.DELETE.INSTANCE_COMMANDS"] {
            assert_eq!(replay_subject(subject), None, "{subject}");
        }
    }

    #[test]
    fn headers_that_the_server_acts_on_are_not_kept() {
        let original = Headers::new().with("Nats-Rollup", "all").with("traceparent", "00-1-2-01");
        let origin = Origin { subject: "instance.v1.command.1.A", stream: "S", sequence: 7, deliveries: 2 };
        let kept = headers(&original, &DeadLetterReason::Refused("no".to_owned()), &origin);
        assert_eq!((kept.get("Nats-Rollup"), kept.get("traceparent")), (None, Some("00-1-2-01")));
        assert_eq!(kept.get(DEAD_REASON), Some("refused: no"));
    }
}
