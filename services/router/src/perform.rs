//! Does what the core wants done, and tells it what came of it.

use std::time::Duration;

use bytes::Bytes;
use instance_bus::{Bus, DeadLetterReason, Delivery, Headers, LogMessage, PublishError, topology};
use instance_chassis::{crash_point, mutant};
use instance_contract::{
    CommandAnswer, RemediationId, Shard,
    subject::{self, RecordKind, Subject},
};
use instance_engine::{Event, Logged, Record};
use jiff::Timestamp;

use crate::{Router, audit::Handover, count, intake, own::Owned};

/// Between two tries to read the log.
const TRY_AGAIN: Duration = Duration::from_secs(1);

/// Write a record on its subject, once. Whoever comes second reads what stands there; whoever was followed writes nothing.
pub(crate) async fn write(
    bus: &Bus,
    owned: &Owned,
    id: RemediationId,
    kind: RecordKind,
    record: Box<Record>,
    now: Timestamp,
) -> Event {
    let shard = owned.shard;
    let subject = subject_of(shard, id, &kind, &record);
    about_to_write(&kind);
    let payload = Bytes::from(record.encode());
    let written = if mutant("router.former-owner-writes") {
        bus.publish_once_confirmed_bytes(&subject, payload.clone(), Headers::new()).await
    } else {
        bus.publish_owned(&owned.ownership, &subject, payload.clone()).await
    };
    match written {
        Ok(written) => {
            if kind == RecordKind::Ended {
                tracing::info!(remediation = %id, record = %kind, "recorded");
            } else {
                tracing::debug!(remediation = %id, record = %kind, "recorded");
            }
            has_written(&kind);
            count::written(&record);
            tell(&owned.audit, &kind, &subject, payload, written.sequence, now);
            Event::Recorded { id, kind, at: now, sequence: written.sequence, record }
        }
        Err(PublishError::Exists { .. }) => standing(bus, shard, id, kind, &subject).await,
        Err(PublishError::Unmet { .. }) => {
            owned.is_over();
            Event::NotRecorded { id, kind }
        }
        Err(error) => {
            tracing::warn!(%error, remediation = %id, record = %kind, "could not write a record; will try again");
            Event::NotRecorded { id, kind }
        }
    }
}

/// Write the first record of a remediation, where nothing of it stands in any shard.
pub(crate) async fn begin(
    router: &Router,
    owned: &Owned,
    id: RemediationId,
    kind: RecordKind,
    record: Box<Record>,
    is_used_elsewhere: Option<bool>,
) -> Event {
    match is_used_elsewhere {
        Some(false) => {}
        Some(true) => return used(router, id, kind).await,
        None => return Event::NotRecorded { id, kind },
    }
    let shard = owned.shard;
    let subject = subject_of(shard, id, &kind, &record);
    let (any, now) = (subject::remediation_of(shard, id), router.clock.now());
    let payload = Bytes::from(record.encode());
    about_to_write(&kind);
    match router.bus.publish_first_confirmed(&any, &subject, payload.clone()).await {
        Ok(written) => {
            tracing::info!(remediation = %id, record = %kind, "recorded");
            has_written(&kind);
            count::begun(&kind, &record);
            tell(&owned.audit, &kind, &subject, payload, written.sequence, now);
            Event::Recorded { id, kind, at: now, sequence: written.sequence, record }
        }
        Err(PublishError::Exists { .. }) => used(router, id, kind).await,
        Err(error) => {
            tracing::warn!(%error, remediation = %id, record = %kind, "could not write a first record");
            Event::NotRecorded { id, kind }
        }
    }
}

/// What the id was used for before.
async fn used(router: &Router, id: RemediationId, kind: RecordKind) -> Event {
    match intake::earlier(router, id).await {
        Ok(Some(earlier)) => Event::Used { id, earlier },
        Ok(None) => Event::NotRecorded { id, kind },
        Err(error) => {
            tracing::warn!(%error, remediation = %id, "could not read what a command id was used for");
            Event::NotRecorded { id, kind }
        }
    }
}

/// What we have written ourselves need not be read again to be told. (What the driver follows, it hands on as it reads it.)
fn tell(
    audit: &Handover,
    kind: &RecordKind,
    subject: &Subject,
    payload: Bytes,
    sequence: u64,
    now: Timestamp,
) {
    if !matches!(kind, RecordKind::Accepted | RecordKind::ApprovalAnswered(_)) {
        let subject = subject.to_string();
        let headers = Headers::new();
        audit.hand_on(LogMessage { subject, payload, sequence, published_at: now, headers });
    }
}

fn about_to_write(kind: &RecordKind) {
    match kind {
        RecordKind::Accepted => crash_point("router.accepted-to-write"),
        RecordKind::Planned => crash_point("router.planned-to-write"),
        RecordKind::Step { .. } => crash_point("router.step-to-write"),
        RecordKind::ApprovalAsked(_) => crash_point("router.approval-to-ask"),
        RecordKind::ApprovalAnswered(_) => crash_point("router.expiry-to-write"),
        RecordKind::Ended => crash_point("router.ended-to-write"),
        // An agent's word.
        RecordKind::Result { .. } => {}
    }
}

fn has_written(kind: &RecordKind) {
    match kind {
        RecordKind::Accepted => crash_point("router.accepted-written"),
        RecordKind::Planned => crash_point("router.planned-written"),
        RecordKind::Step { .. } => crash_point("router.step-written"),
        RecordKind::ApprovalAsked(_) => crash_point("router.approval-asked"),
        RecordKind::ApprovalAnswered(_) => crash_point("router.expiry-written"),
        RecordKind::Ended => crash_point("router.ended-written"),
        RecordKind::Result { .. } => {}
    }
}

async fn standing(bus: &Bus, shard: Shard, id: RemediationId, kind: RecordKind, subject: &Subject) -> Event {
    let message = match bus.last_in(&topology::remediations(shard), subject.as_str()).await {
        Ok(Some(message)) => message,
        Ok(None) => return Event::NotRecorded { id, kind },
        Err(error) => {
            tracing::warn!(%error, remediation = %id, record = %kind, "could not read the record that stands there");
            return Event::NotRecorded { id, kind };
        }
    };
    match Record::decode(&kind, &message.payload) {
        Ok(record) => Event::Recorded {
            id,
            kind,
            at: message.published_at,
            sequence: message.sequence,
            record: Box::new(record),
        },
        Err(error) => {
            tracing::error!(%error, remediation = %id, "a record of the log is not readable");
            Event::NotRecorded { id, kind }
        }
    }
}

/// What the log holds of one remediation. Tries until it can be read: nobody else may know of what stands there.
pub(crate) async fn find(bus: &Bus, shard: Shard, id: RemediationId) -> Vec<Logged> {
    loop {
        match bus.read_log(shard, &subject::remediation_of(shard, id)).await {
            Ok(messages) => return messages.iter().filter_map(decoded).collect(),
            Err(error) => tracing::warn!(%error, remediation = %id, "could not read a remediation yet"),
        }
        tokio::time::sleep(TRY_AGAIN).await;
    }
}

/// A message of the log as its record; one that is not readable is told and left out.
pub(crate) fn decoded(message: &LogMessage) -> Option<Logged> {
    let (_, id, kind) = subject::parse_record(&message.subject)?;
    match Record::decode(&kind, &message.payload) {
        Ok(record) => Some((kind, message.published_at, message.sequence, record)),
        Err(error) => {
            tracing::error!(%error, remediation = %id, subject = message.subject, "a record is not readable");
            None
        }
    }
}

/// Steps also name agent and host.
fn subject_of(shard: Shard, id: RemediationId, kind: &RecordKind, record: &Record) -> Subject {
    match (kind, record) {
        (RecordKind::Step { step, attempt }, Record::Step(command)) => {
            subject::step(shard, id, command.agent, &command.host, step, *attempt)
        }
        _ => subject::record(shard, id, kind),
    }
}

/// Tell the sender, when it named a subject for that.
pub(crate) async fn answer(bus: &Bus, reply_to: Option<&str>, answer: &CommandAnswer) {
    let Some(raw) = reply_to else { return };
    let Some(subject) = Subject::foreign(raw) else {
        tracing::warn!(reply_to = raw, "cannot answer there: not a subject that a sender may name");
        return;
    };
    let body = serde_json::to_vec(answer).expect("an answer holds only what JSON can say");
    if let Err(error) = bus.publish_core(&subject, body.into(), Headers::new()).await {
        tracing::warn!(%error, "could not answer the sender");
    }
    crash_point("router.command-answered");
}

/// Settle a command: its fate stands in the log, or it is kept as a dead letter.
pub(crate) async fn settle(delivery: Delivery, dead_letter: Option<String>) {
    crash_point("router.command-to-settle");
    let settled = match dead_letter {
        Some(reason) => delivery.dead_letter(DeadLetterReason::Refused(reason)).await,
        // Should it get lost, the command comes again and is answered from the log.
        None => delivery.done_unconfirmed().await,
    };
    if let Err(error) = settled {
        // It comes again, and is answered from the log.
        tracing::warn!(%error, "could not settle a command");
    }
    crash_point("router.command-settled");
}
