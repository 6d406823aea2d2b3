//! Publishing: once and only once on a subject, ordinarily with an acknowledgement, or without one.

use async_nats::RequestErrorKind;
use bytes::Bytes;
use instance_contract::subject::Subject;
use serde::{Deserialize, Serialize};
use tokio::time::Instant;
use tracing::{Instrument as _, Span};

use crate::{
    Bus, BusError, Headers,
    api::{RETRY_PAUSE, TEMPORARILY_UNAVAILABLE},
    connect::UNAVAILABLE_FOR,
    headers::{
        EXPECTED_LAST_MESSAGE_ID, EXPECTED_LAST_SUBJECT_SEQUENCE, EXPECTED_LAST_SUBJECT_SEQUENCE_SUBJECT,
        MESSAGE_ID,
    },
    measure, topology, trace,
};

/// A message that the stream has taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Written {
    /// Its place in the stream.
    pub sequence: u64,
    /// True when the stream held it already (same message id within the window) and stored nothing.
    pub duplicate: bool,
}

/// A message that was not taken, or of which nobody knows.
#[derive(Debug, thiserror::Error)]
pub enum PublishError {
    /// The subject has been written before (or is not at the expected revision). Nothing was stored.
    #[error("\"{subject}\" is already written")]
    Exists { subject: String },
    /// The log is not as the writer wants it to be. Nothing was stored.
    #[error("\"{subject}\" was not written: somebody else has written what it depends on")]
    Unmet { subject: String },
    /// The answer was lost: the message may be stored. Read the subject again before doing anything else.
    #[error("could not tell whether \"{subject}\" was written: no answer in time")]
    Unknown { subject: String },
    /// Nothing was stored; the same call may work later. No leader, no stream, or no right to publish.
    #[error("no stream takes \"{subject}\" now")]
    Unavailable { subject: String },
    /// Nothing was stored and the server says why.
    #[error("\"{subject}\" was refused: {reason} (error {code})")]
    Refused { subject: String, code: u64, reason: String },
    #[error("could not write \"{subject}\" as JSON")]
    Encode {
        subject: String,
        #[source]
        source: serde_json::Error,
    },
    #[error("could not send \"{subject}\"")]
    Send {
        subject: String,
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    #[error("could not read \"{subject}\" again after a lost answer")]
    ReadAgain {
        subject: String,
        #[source]
        source: Box<BusError>,
    },
}

impl PublishError {
    /// True when the bus is away or silent.
    pub fn is_unreachable(&self) -> bool {
        match self {
            Self::Unknown { .. } | Self::Unavailable { .. } => true,
            Self::ReadAgain { source, .. } => source.is_unreachable(),
            _ => false,
        }
    }

    fn kind(&self) -> &'static str {
        match self {
            Self::Exists { .. } => "exists",
            Self::Unmet { .. } => "unmet",
            Self::Unknown { .. } => "unknown",
            Self::Unavailable { .. } => "unavailable",
            Self::Refused { .. } => "refused",
            Self::Encode { .. } => "encode",
            Self::Send { .. } => "send",
            Self::ReadAgain { .. } => "read_again",
        }
    }
}

impl Bus {
    /// Writes a subject that has never been written, or says that it has been ([`PublishError::Exists`]).
    pub async fn publish_once(
        &self,
        subject: &Subject,
        message: &(impl Serialize + Sync),
        headers: Headers,
    ) -> Result<Written, PublishError> {
        self.publish_once_bytes(subject, encode(subject, message)?, headers).await
    }

    /// As [`Bus::publish_once`], with the bytes given.
    pub async fn publish_once_bytes(
        &self,
        subject: &Subject,
        payload: Bytes,
        headers: Headers,
    ) -> Result<Written, PublishError> {
        let headers = headers.with(EXPECTED_LAST_SUBJECT_SEQUENCE, "0");
        self.publish_raw(subject.as_str(), payload, headers).await
    }

    /// As [`Bus::publish_once`], and it finds out: while there is no leader it tries again for 16 s; after a lost
    /// answer it reads the subject through the leader. The same bytes there count as written by this call, others as
    /// [`PublishError::Exists`]. So two callers that may race must write different bytes.
    pub async fn publish_once_confirmed(
        &self,
        subject: &Subject,
        message: &(impl Serialize + Sync),
        headers: Headers,
    ) -> Result<Written, PublishError> {
        self.publish_once_confirmed_bytes(subject, encode(subject, message)?, headers).await
    }

    /// As [`Bus::publish_once_confirmed`], with the bytes given.
    pub async fn publish_once_confirmed_bytes(
        &self,
        subject: &Subject,
        payload: Bytes,
        headers: Headers,
    ) -> Result<Written, PublishError> {
        let deadline = Instant::now() + UNAVAILABLE_FOR;
        let mut in_doubt = false;
        loop {
            let outcome = self.publish_once_bytes(subject, payload.clone(), headers.clone()).await;
            in_doubt |= matches!(outcome, Err(PublishError::Unknown { .. }));
            match outcome {
                Err(PublishError::Unavailable { .. }) if Instant::now() < deadline => {}
                Err(PublishError::Exists { .. } | PublishError::Unknown { .. }) if in_doubt => {
                    match self.compare_written(subject, &payload).await {
                        Ok(Some(settled)) => return settled,
                        Ok(None) if Instant::now() < deadline => {}
                        Err(error) if error.is_unreachable() && Instant::now() < deadline => {}
                        Ok(None) => return Err(PublishError::Unknown { subject: subject.to_string() }),
                        Err(error) => {
                            let source = Box::new(error);
                            return Err(PublishError::ReadAgain { subject: subject.to_string(), source });
                        }
                    }
                }
                settled => return settled,
            }
            tokio::time::sleep(RETRY_PAUSE).await;
        }
    }

    /// Publishes to a stream and waits until it has it. The same `message_id` twice within the stream's window
    /// (2 minutes) is stored once.
    pub async fn publish(
        &self,
        subject: &Subject,
        message: &(impl Serialize + Sync),
        message_id: Option<&str>,
        headers: Headers,
    ) -> Result<Written, PublishError> {
        self.publish_bytes(subject, encode(subject, message)?, message_id, headers).await
    }

    /// As [`Bus::publish`], and only while `behind`, the id of another message, is the newest of the stream: else nothing is
    /// stored ([`PublishError::Unmet`]). So many can be on their way at once, each behind the one before: whatever gets lost
    /// or is refused, what is stored of them has no gap and is in their order.
    pub async fn publish_behind(
        &self,
        subject: &Subject,
        message: &(impl Serialize + Sync),
        message_id: &str,
        behind: &str,
        headers: Headers,
    ) -> Result<Written, PublishError> {
        let headers = headers.with(EXPECTED_LAST_MESSAGE_ID, behind);
        self.publish(subject, message, Some(message_id), headers).await
    }

    /// As [`Bus::publish`], with the bytes given.
    pub async fn publish_bytes(
        &self,
        subject: &Subject,
        payload: Bytes,
        message_id: Option<&str>,
        mut headers: Headers,
    ) -> Result<Written, PublishError> {
        if let Some(message_id) = message_id {
            headers.set(MESSAGE_ID, message_id);
        }
        self.publish_raw(subject.as_str(), payload, headers).await
    }

    /// Publishes to whoever listens now. `Ok` means sent, not received.
    pub async fn publish_core(
        &self,
        subject: &Subject,
        payload: Bytes,
        mut headers: Headers,
    ) -> Result<(), PublishError> {
        let began = std::time::Instant::now();
        let span = trace::publish_span(self, subject.as_str(), headers.get(MESSAGE_ID));
        trace::inject(&span, headers.map_mut());
        let send = self.client.publish_with_headers(subject.to_string(), headers.into_map(), payload);
        let outcome = match self.answered(send.instrument(span.clone())).await {
            Some(Ok(())) => Ok(()),
            Some(Err(error)) => {
                Err(PublishError::Send { subject: subject.to_string(), source: Box::new(error) })
            }
            None => Err(PublishError::Unknown { subject: subject.to_string() }),
        };
        told(subject.as_str(), began, &span, outcome)
    }

    /// Publishes to a stream inside a PRODUCER span whose context goes into the headers.
    pub(crate) async fn publish_raw(
        &self,
        subject: &str,
        payload: Bytes,
        mut headers: Headers,
    ) -> Result<Written, PublishError> {
        let began = std::time::Instant::now();
        let span = trace::publish_span(self, subject, headers.get(MESSAGE_ID));
        trace::inject(&span, headers.map_mut());
        let outcome = self.publish_stored(subject, payload, headers).instrument(span.clone()).await;
        told(subject, began, &span, outcome)
    }

    /// Publishes to a stream and reads its answer. No span: KV writes come here directly.
    pub(crate) async fn publish_stored(
        &self,
        subject: &str,
        payload: Bytes,
        headers: Headers,
    ) -> Result<Written, PublishError> {
        let text = || subject.to_owned();
        let on_others = headers.get(EXPECTED_LAST_SUBJECT_SEQUENCE_SUBJECT).is_some();
        let request = async_nats::Request::new().payload(payload).headers(headers.into_map());
        let reply = match self.answered(self.client.send_request(text(), request)).await {
            None => return Err(PublishError::Unknown { subject: text() }),
            Some(Ok(reply)) => reply,
            Some(Err(error)) => {
                return Err(match error.kind() {
                    RequestErrorKind::TimedOut => PublishError::Unknown { subject: text() },
                    RequestErrorKind::NoResponders if mutant("bus.no-responders-is-yes") => {
                        return Ok(Written { sequence: 0, duplicate: false });
                    }
                    RequestErrorKind::NoResponders => PublishError::Unavailable { subject: text() },
                    _ => PublishError::Send { subject: text(), source: Box::new(error) },
                });
            }
        };
        match serde_json::from_slice(&reply.payload) {
            Ok(Answer::Error { error }) => Err(error.about(subject, on_others)),
            Ok(Answer::Taken { sequence, duplicate }) => Ok(Written { sequence, duplicate }),
            // Somebody else listens on that subject and answered: whether a stream has the message is not known.
            Err(_) => Err(PublishError::Unknown { subject: text() }),
        }
    }

    /// After a lost answer: does what stands on the subject hold these bytes ([`PublishError::Exists`] when not)? `None`:
    /// nothing stands there.
    pub async fn compare_written(
        &self,
        subject: &Subject,
        payload: &Bytes,
    ) -> Result<Option<Result<Written, PublishError>>, BusError> {
        let Some(stream) = topology::stream_of(subject.as_str()) else {
            return Err(BusError::refused(
                "find",
                format!("the stream of \"{subject}\""),
                "not in the table",
            ));
        };
        let found = self.last_in(&stream, subject.as_str()).await?;
        Ok(found.map(|message| {
            if message.payload == payload {
                Ok(Written { sequence: message.sequence, duplicate: false })
            } else {
                Err(PublishError::Exists { subject: subject.to_string() })
            }
        }))
    }
}

/// Tells how a publishing went: in its span, and in the metrics with the same word.
fn told<T>(
    subject: &str,
    began: std::time::Instant,
    span: &Span,
    outcome: Result<T, PublishError>,
) -> Result<T, PublishError> {
    let failed = outcome.as_ref().err().map(PublishError::kind);
    if let Some(kind) = failed {
        trace::fail(span, kind);
    }
    // Measured inside the span, so that the value can name its trace.
    span.in_scope(|| measure::published(subject, began, failed));
    outcome
}

fn encode(subject: &Subject, message: &impl Serialize) -> Result<Bytes, PublishError> {
    match serde_json::to_vec(message) {
        Ok(text) => Ok(text.into()),
        Err(source) => Err(PublishError::Encode { subject: subject.to_string(), source }),
    }
}

/// What a stream answers to a publish.
#[derive(Deserialize)]
#[serde(untagged)]
enum Answer {
    Error {
        error: AnswerError,
    },
    Taken {
        #[serde(rename = "seq")]
        sequence: u64,
        #[serde(default)]
        duplicate: bool,
    },
}

#[derive(Deserialize)]
struct AnswerError {
    #[serde(default, rename = "err_code")]
    code: u64,
    #[serde(default)]
    description: String,
}

impl AnswerError {
    const WRONG_LAST_MESSAGE_ID: u64 = 10070;
    const WRONG_LAST_SEQUENCE: u64 = 10071;
    /// The same of a replicated stream while another write under the same condition is on its way.
    const NOT_TOLD_YET: u64 = 10164;
    /// One of the reasons for which a stream does not store a message: it takes one for each subject.
    const SUBJECT_IS_FULL: (u64, &str) = (10077, "per subject");

    /// `on_others`: the condition was about other subjects than its own.
    fn about(self, subject: &str, on_others: bool) -> PublishError {
        let subject = subject.to_owned();
        match self.code {
            Self::WRONG_LAST_MESSAGE_ID => PublishError::Unmet { subject },
            Self::WRONG_LAST_SEQUENCE if on_others => PublishError::Unmet { subject },
            Self::NOT_TOLD_YET if on_others => PublishError::Unavailable { subject },
            Self::WRONG_LAST_SEQUENCE | Self::NOT_TOLD_YET => PublishError::Exists { subject },
            code if code == Self::SUBJECT_IS_FULL.0 && self.description.contains(Self::SUBJECT_IS_FULL.1) => {
                PublishError::Exists { subject }
            }
            TEMPORARILY_UNAVAILABLE => PublishError::Unavailable { subject },
            code => PublishError::Refused { subject, code, reason: self.description },
        }
    }
}

/// As in the chassis, which this crate cannot ask.
#[cfg(feature = "mutants")]
fn mutant(name: &'static str) -> bool {
    std::env::var("MUTANT").is_ok_and(|chosen| chosen == name)
}

#[cfg(not(feature = "mutants"))]
const fn mutant(_name: &'static str) -> bool {
    false
}
