//! `instance audit verify`: every record follows from the one before and tells of what the log holds, and every message
//! of the log is told of.

use anyhow::Result;
use instance_bus::{Bus, LogMessage, Reading, topology::AUDIT_KEPT};
use instance_contract::{AuditEntry, AuditRecord, Digest, Shard};
use instance_engine::audit::{Chain, Defect};
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use crate::{
    exit::Exit,
    online,
    output::{print, print_json, printable},
    session::{Session, Tone},
};

pub const EXAMPLES: &str = "\
Examples:
  instance audit verify                          Exit code 1, and where, when something is not as it was written.
  instance audit verify --shard 2
  instance audit verify --json | jq '.shards[].defects'";

/// A router tells of a record within a second; after so long one that is not told is missing.
const LATE: SignedDuration = SignedDuration::from_secs(60);

#[derive(Debug, clap::Args)]
pub struct Args {
    /// Only the trail of one shard
    #[arg(long, value_name = "NUMBER")]
    shard: Option<u16>,
}

/// What came of one shard.
struct Checked {
    shard: Shard,
    records: u64,
    compared: u64,
    /// Messages of the log that are too new to be missed.
    awaited: u64,
    defects: Vec<Defect>,
    head: Option<Digest>,
}

pub fn run(args: &Args, session: &Session) -> Result<Exit> {
    online::run(session, async |bus| {
        let mut all = Vec::new();
        for shard in bus.topology().await?.shards() {
            if args.shard.is_none_or(|only| only == shard.0) {
                all.push(check(&bus, shard).await?);
            }
        }
        show(&all, session)?;
        let is_whole = all.iter().all(|checked| checked.defects.is_empty());
        Ok(if is_whole { Exit::Done } else { Exit::Failure })
    })
}

async fn check(bus: &Bus, shard: Shard) -> Result<Checked> {
    let kept = SignedDuration::try_from(AUDIT_KEPT)?;
    let mut checked = Checked { shard, records: 0, compared: 0, awaited: 0, defects: Vec::new(), head: None };
    let mut chain = Chain::new(shard);
    // The log is read first up to where it ends now: what comes later need not be told yet.
    let mut log = Log::of(bus, shard).await?;
    let mut trail = bus.read_audit(shard).await?;
    while let Some(message) = trail.next().await? {
        let (records, defects) = chain.take(message.sequence, &message.payload, (online::now(), kept));
        checked.defects.extend(defects);
        for record in records {
            checked.records += 1;
            compare(&record, &mut log, &mut checked).await?;
            checked.head = Some(record.hash);
        }
    }
    rest(&chain, &mut log, &mut checked).await?;
    Ok(checked)
}

/// Is the log's message still what the record tells of? (The log is kept for a shorter time than the trail.)
async fn compare(record: &AuditRecord, log: &mut Log, checked: &mut Checked) -> Result<()> {
    let AuditEntry { number, log_sequence, .. } = record.entry;
    if let Some(first) = log.next.as_ref().map(|message| message.sequence)
        && number == 1
        && first < log_sequence
    {
        // The very first record tells of what stood there first.
        checked.defects.push(Defect::Untold { from: first, to: log_sequence - 1 });
    }
    if let Some(message) = log.at(log_sequence).await? {
        checked.compared += 1;
        if Digest::of(&message.payload) != record.entry.log_digest {
            checked.defects.push(Defect::LogChanged { number, log_sequence });
        }
    }
    Ok(())
}

/// What the log holds behind the end of the trail.
async fn rest(chain: &Chain, log: &mut Log, checked: &mut Checked) -> Result<()> {
    let mut late: Option<(u64, u64)> = None;
    while let Some(message) = log.next().await? {
        if message.sequence <= chain.told_to() {
            continue;
        }
        if message.published_at + LATE < online::now() {
            let from = late.map_or(message.sequence, |(from, _)| from);
            late = Some((from, message.sequence));
        } else {
            checked.awaited += 1;
        }
    }
    checked.defects.extend(late.map(|(from, to)| Defect::Untold { from, to }));
    Ok(())
}

/// A shard's log, read beside its trail: both are in the same order.
struct Log {
    reading: Reading,
    /// Read, and not asked for yet.
    next: Option<LogMessage>,
}

impl Log {
    async fn of(bus: &Bus, shard: Shard) -> Result<Self> {
        let mut reading = bus.read_whole_log(shard).await?;
        let next = reading.next().await?;
        Ok(Self { reading, next })
    }

    async fn next(&mut self) -> Result<Option<LogMessage>> {
        let Some(message) = self.next.take() else { return Ok(None) };
        self.next = self.reading.next().await?;
        Ok(Some(message))
    }

    /// The message at a sequence, when it is still kept. Sequences are asked for in their order.
    async fn at(&mut self, sequence: u64) -> Result<Option<LogMessage>> {
        while self.next.as_ref().is_some_and(|next| next.sequence < sequence) {
            self.next().await?;
        }
        if self.next.as_ref().is_some_and(|next| next.sequence == sequence) {
            return self.next().await;
        }
        Ok(None)
    }
}

fn show(all: &[Checked], session: &Session) -> Result<()> {
    let now: Timestamp = online::now();
    if session.json() {
        let shards: Vec<Value> = all.iter().map(document).collect();
        let whole = all.iter().all(|checked| checked.defects.is_empty());
        return print_json(&json!({
            "schema": "instance.cli.v1.audit_verification", "checked_at": now, "whole": whole, "shards": shards,
        }));
    }
    for checked in all {
        let Checked { shard, records, compared, awaited, .. } = checked;
        let awaited = match awaited {
            0 => String::new(),
            count => format!(", {count} being told just now"),
        };
        let verdict = match checked.defects.len() {
            0 => session.paint(Tone::Good, "whole"),
            1 => session.paint(Tone::Bad, "1 defect"),
            count => session.paint(Tone::Bad, &format!("{count} defects")),
        };
        print(format_args!(
            "shard {shard}: {verdict}; {records} records, {compared} compared with the log{awaited}"
        ))?;
        for defect in &checked.defects {
            print(format_args!("  {}", printable(&defect.to_string())))?;
        }
        if let Some(head) = &checked.head {
            print(format_args!("  newest hash {head}"))?;
        }
    }
    Ok(())
}

fn document(checked: &Checked) -> Value {
    let defects: Vec<String> = checked.defects.iter().map(ToString::to_string).collect();
    json!({
        "shard": checked.shard, "records": checked.records, "compared": checked.compared,
        "awaited": checked.awaited, "defects": defects, "newest_hash": checked.head,
    })
}
