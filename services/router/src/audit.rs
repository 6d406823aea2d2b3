//! Writes the audit trail of a shard, beside and after the plans: it tells the shard's remediation log on, many records
//! in one message. No plan ever waits for it.
//!
//! Where to go on stands in the newest message of the trail itself, and the server takes a message only behind that one.
//! So a death at any point, a lost answer or a second owner who writes too loses nothing and doubles nothing.

mod source; // The log in its order: what the driver hands on, and the rest read.

use std::time::Duration;

use instance_bus::{Bus, BusError, LogMessage, PublishError};
use instance_chassis::crash_point;
use instance_contract::{AuditRecord, AuditRecords, Shard, subject};
use instance_engine::audit::{Source, Trail};
use instance_signals::metrics::{AUDIT_FAILURES, AUDIT_RECORDS};
use tokio::time::{Instant, timeout_at};

use source::Source as Log;
pub(crate) use source::{Handed, Handover, handover};

/// A message is written when the log is quiet for so long,
const QUIET: Duration = Duration::from_millis(100);
/// or when records were gathered for so long.
const GATHER: Duration = Duration::from_millis(500);
/// Records in one message; about 900 bytes each.
const AT_MOST: usize = 400;
/// Bytes of records after which a message takes no more. A record is at most some 20 KB, and a server takes 1 MB.
const BYTES: usize = 512 * 1024;
/// What a record has beside its three texts: names, times, ids and four digests.
const BESIDE_TEXTS: usize = 1_024;
/// Until the trail is tried again.
const TRY_AGAIN: Duration = Duration::from_secs(2);

/// Why a trail cannot go on from where it was thought to end. The next look at its newest message tells where it does.
#[derive(Debug, thiserror::Error)]
enum Halt {
    #[error("could not read what is to be told")]
    Read(#[from] BusError),
    #[error("could not write to the audit trail")]
    Write(#[from] PublishError),
    #[error("the newest message of the audit trail is not one: {0}")]
    Foreign(String),
}

impl Halt {
    /// Somebody else has written, or nobody knows whether we have: no news for a person.
    const fn is_ordinary(&self) -> bool {
        matches!(self, Self::Write(PublishError::Exists { .. } | PublishError::Unknown { .. }))
    }
}

/// Keeps the trail of a shard for as long as it is polled.
pub(crate) async fn keep(bus: &Bus, shard: Shard, mut handed: Handed) -> std::convert::Infallible {
    let mut told = String::new();
    loop {
        let Err(halt) = write(bus, shard, Some(&mut handed), None).await else { continue };
        let error = instance_chassis::error_chain(&halt);
        if halt.is_ordinary() || error == told {
            tracing::debug!(error, %shard, "looks for the end of the audit trail again");
        } else {
            AUDIT_FAILURES.add(1, &[]);
            tracing::warn!(error, %shard, "the audit trail waits; plans do not");
            told = error;
        }
        tokio::time::sleep(TRY_AGAIN).await;
    }
}

/// Tells what stands in the log now, for a router that is about to leave.
pub(crate) async fn finish(bus: &Bus, shard: Shard, patience: Duration) {
    let told = async {
        let end = bus.last_sequence(shard).await?;
        write(bus, shard, None, Some(end)).await
    };
    match tokio::time::timeout(patience, told).await {
        Ok(Ok(())) => {}
        Ok(Err(halt)) if halt.is_ordinary() => {}
        Ok(Err(halt)) => {
            tracing::info!(error = instance_chassis::error_chain(&halt), %shard, "the next router tells the rest of the audit trail");
        }
        Err(_) => tracing::info!(%shard, "the next router tells the rest of the audit trail"),
    }
}

/// From the end of the trail on, for ever or up to a place in the log.
async fn write(bus: &Bus, shard: Shard, handed: Option<&mut Handed>, until: Option<u64>) -> Result<(), Halt> {
    let (mut trail, mut after) = end_of(bus, shard).await?;
    let is_done = |trail: &Trail| until.is_some_and(|until| trail.next_sequence() > until);
    if is_done(&trail) {
        return Ok(());
    }
    for owner in bus.read_log(shard, &subject::owners(shard)).await? {
        trail.learn(&owner.subject, &owner.payload);
    }
    let mut log = Log::new(bus, shard, handed, trail.next_sequence());
    loop {
        let mut batch = Batch::default();
        batch.add(tell(bus, shard, &mut trail, &log.next().await?).await?);
        let deadline = Instant::now() + GATHER;
        while !batch.is_full() && !is_done(&trail) {
            let quiet = Instant::now() + QUIET;
            let Ok(message) = timeout_at(deadline.min(quiet), log.next()).await else { break };
            batch.add(tell(bus, shard, &mut trail, &message?).await?);
        }
        let count = batch.records.len() as u64;
        let payload = serde_json::to_vec(&AuditRecords::new(batch.records)).expect("records are plain JSON");
        crash_point("router.audit-to-write");
        after = bus.append_audit(shard, after, payload.into()).await?.sequence;
        AUDIT_RECORDS.add(count, &[]);
        crash_point("router.audit-written");
        if is_done(&trail) {
            return Ok(());
        }
    }
}

/// Records that go into one message.
#[derive(Default)]
struct Batch {
    records: Vec<AuditRecord>,
    bytes: usize,
}

impl Batch {
    fn add(&mut self, record: AuditRecord) {
        let texts = [&record.entry.who, &record.entry.what, &record.entry.why];
        self.bytes += BESIDE_TEXTS + texts.into_iter().map(|text| json_length(text)).sum::<usize>();
        self.records.push(record);
    }

    fn is_full(&self) -> bool {
        self.records.len() >= AT_MOST || self.bytes >= BYTES
    }
}

/// Bytes of a text in JSON, at most.
fn json_length(text: &str) -> usize {
    let of = |byte: u8| match byte {
        b'"' | b'\\' => 2,
        control if control < b' ' => 6,
        _ => 1,
    };
    text.bytes().map(of).sum()
}

/// The trail as it stands, and the place of its newest message in the stream.
async fn end_of(bus: &Bus, shard: Shard) -> Result<(Trail, u64), Halt> {
    let Some(newest) = bus.newest_audit(shard).await? else { return Ok((Trail::new(shard), 0)) };
    let records: AuditRecords =
        serde_json::from_slice(&newest.payload).map_err(|error| Halt::Foreign(error.to_string()))?;
    let last = records.records.last().ok_or_else(|| Halt::Foreign("it holds no record".to_owned()))?;
    Ok((Trail::after(last), newest.sequence))
}

async fn tell(
    bus: &Bus,
    shard: Shard,
    trail: &mut Trail,
    message: &LogMessage,
) -> Result<AuditRecord, BusError> {
    if let Some(id) = trail.wants(&message.subject) {
        for record in bus.read_log(shard, &subject::remediation_of(shard, id)).await? {
            trail.learn(&record.subject, &record.payload);
        }
        trail.looked_for(id);
    }
    Ok(trail.tell(&Source {
        subject: &message.subject,
        payload: &message.payload,
        sequence: message.sequence,
        at: message.published_at,
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A batch of records whose reasons are of this text.
    fn full(text: &str) -> (usize, usize) {
        let mut trail = Trail::new(Shard(0));
        let mut batch = Batch::default();
        while !batch.is_full() {
            let notice = serde_json::json!({
                "schema": "instance.v1.notice", "kind": "halted", "at": "2026-11-21T08:00:00Z",
                "who": text, "what": text, "why": text,
            });
            batch.add(trail.tell(&Source {
                subject: "instance.v1.remediation.0.notice.halt.1",
                payload: notice.to_string().as_bytes(),
                sequence: trail.next_sequence(),
                at: "2026-11-21T08:00:00Z".parse().unwrap(),
            }));
        }
        let (count, counted) = (batch.records.len(), batch.bytes);
        let length = serde_json::to_vec(&AuditRecords::new(batch.records)).unwrap().len();
        assert!(length <= counted, "{length} bytes were counted as {counted}");
        (count, length)
    }

    #[test]
    fn a_message_of_the_longest_records_is_one_that_a_server_takes() {
        assert_eq!(full("a storm").0, AT_MOST);
        assert_eq!(full("\"D:\\mgr\" \u{7f} \u{e9}").0, AT_MOST);
        // Six bytes of JSON each.
        let (count, bytes) = full(&"\u{1}".repeat(2_000));
        assert!(count < AT_MOST && bytes < 600 * 1024, "{count} records, {bytes} bytes");
    }
}
