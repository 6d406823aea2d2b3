//! `instance audit report`: the trail for people, spreadsheets and programs.

use anyhow::Result;
use instance_contract::{AuditEntry, AuditKind, AuditRecord, AuditRecords, InstanceName};
use jiff::{SignedDuration, Timestamp};
use serde_json::json;

use crate::{
    csv,
    exit::Exit,
    online,
    output::{print, print_json, table, when},
    session::Session,
};

pub const EXAMPLES: &str = "\
Examples:
  instance audit report --since 7d
  instance audit report --since 2026-11-01T00:00:00Z --kind approved --kind denied
  instance audit report --instance PROD --format csv > audit.csv
  instance audit report --json | jq '.records[] | select(.who == \"operator\")'";

#[derive(Debug, clap::Args)]
pub struct Args {
    /// Not before: an instant (RFC 3339), a day (2026-11-21), or how long ago, like 12h or 7d
    #[arg(long, value_name = "TIME", value_parser = since)]
    since: Option<Since>,
    /// Only these kinds of decision
    #[arg(long, value_name = "KIND", value_parser = kind)]
    kind: Vec<AuditKind>,
    /// Only about one IRIS instance
    #[arg(long, value_name = "NAME")]
    instance: Option<InstanceName>,
    /// How it is printed; --json is the same as `--format json`
    #[arg(long, value_name = "FORMAT", default_value = "text")]
    format: Format,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Format {
    Text,
    Json,
    Csv,
}

/// Where a report begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Since {
    At(Timestamp),
    Ago(SignedDuration),
}

const COLUMNS: [&str; 12] = [
    "at",
    "kind",
    "who",
    "what",
    "why",
    "instance",
    "remediation",
    "digest",
    "trace",
    "shard",
    "number",
    "hash",
];

pub fn run(args: &Args, session: &Session) -> Result<Exit> {
    online::run(session, async |bus| {
        let since = args.since.map(|since| match since {
            Since::At(at) => at,
            Since::Ago(ago) => online::now() - ago,
        });
        let mut records = Vec::new();
        for shard in bus.topology().await?.shards() {
            let mut reading = bus.read_audit(shard).await?;
            while let Some(message) = reading.next().await? {
                // What cannot be read is for `audit verify` to tell.
                let Ok(told) = message.json::<AuditRecords>() else { continue };
                records
                    .extend(told.records.into_iter().filter(|record| is_wanted(args, since, &record.entry)));
            }
        }
        records.sort_by_key(|record| record.entry.at);
        match if session.json() { Format::Json } else { args.format } {
            Format::Json => {
                print_json(&json!({"schema": "instance.cli.v1.audit_report", "records": records}))?;
            }
            Format::Csv => {
                print(COLUMNS.join(","))?;
                records.iter().try_for_each(|record| print(csv::line(&cells(record))))?;
            }
            Format::Text if records.is_empty() => session.note("nothing of that kind has been decided"),
            Format::Text => print(table(["at", "who", "what", "why", "about"], records.iter().map(row)))?,
        }
        Ok(Exit::Done)
    })
}

fn is_wanted(args: &Args, since: Option<Timestamp>, entry: &AuditEntry) -> bool {
    since.is_none_or(|since| entry.at >= since)
        && (args.kind.is_empty() || args.kind.contains(&entry.kind))
        && args.instance.as_ref().is_none_or(|instance| entry.instance.as_ref() == Some(instance))
}

/// For people: a line that fits, with what finds the rest.
fn row(record: &AuditRecord) -> [String; 5] {
    let AuditEntry { at, kind, who, what, why, instance, remediation_id, .. } = &record.entry;
    let about = [instance.as_ref().map(ToString::to_string), remediation_id.map(|id| id.to_string())];
    [
        when(*at),
        cut(who, 40),
        cut(&format!("{}: {what}", kind.as_str()), 100),
        cut(why, 80),
        about.into_iter().flatten().collect::<Vec<_>>().join(" "),
    ]
}

fn cut(text: &str, longest: usize) -> String {
    let line = text.replace('\n', " ");
    if line.chars().nth(longest).is_none() {
        return line;
    }
    line.chars().take(longest - 3).chain("...".chars()).collect()
}

fn cells(record: &AuditRecord) -> [String; 12] {
    fn text(value: Option<impl ToString>) -> String {
        value.map(|value| value.to_string()).unwrap_or_default()
    }
    let entry = &record.entry;
    [
        entry.at.to_string(),
        entry.kind.as_str().to_owned(),
        entry.who.clone(),
        entry.what.clone(),
        entry.why.clone(),
        text(entry.instance.as_ref()),
        text(entry.remediation_id),
        text(entry.digest.as_ref()),
        text(entry.trace_id.as_ref()),
        entry.shard.to_string(),
        entry.number.to_string(),
        record.hash.to_string(),
    ]
}

fn kind(text: &str) -> Result<AuditKind, String> {
    let known = || AuditKind::ALL.map(AuditKind::as_str).join(", ");
    AuditKind::ALL
        .into_iter()
        .find(|kind| kind.as_str() == text)
        .ok_or_else(|| format!("there is no such kind; known are {}", known()))
}

/// `2026-11-21T08:00:00Z`, `2026-11-21` (UTC), `7d`, `12h`, `30m`, `90s`.
fn since(text: &str) -> Result<Since, String> {
    let rule =
        || format!("\"{text}\" is no time; write 2026-11-21T08:00:00Z, 2026-11-21, 7d, 12h, 30m or 90s");
    if let Ok(at) = text.parse() {
        return Ok(Since::At(at));
    }
    if let Ok(at) = format!("{text}T00:00:00Z").parse() {
        return Ok(Since::At(at));
    }
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let number: i64 = text[..digits].parse().map_err(|_| rule())?;
    let seconds: i64 = match &text[digits..] {
        "s" => 1,
        "m" => 60,
        "h" => 3_600,
        "d" => 86_400,
        _ => return Err(rule()),
    };
    // A trail is kept for a year; a hundred of them are still an instant that exists.
    let longest = 100 * 365 * 86_400;
    let seconds = number.checked_mul(seconds).filter(|seconds| *seconds <= longest).ok_or_else(rule)?;
    Ok(Since::Ago(SignedDuration::from_secs(seconds)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_beginning_is_an_instant_a_day_or_so_long_ago() {
        let at = |text: &str| Ok(Since::At(text.parse().unwrap()));
        assert_eq!(since("2026-11-21T08:00:00Z"), at("2026-11-21T08:00:00Z"));
        assert_eq!(since("2026-11-21"), at("2026-11-21T00:00:00Z"));
        assert_eq!(since("7d"), Ok(Since::Ago(SignedDuration::from_hours(7 * 24))));
        assert_eq!(since("90s"), Ok(Since::Ago(SignedDuration::from_secs(90))));
        for bad in ["", "d", "-1d", "7", "7w", "last week", "9223372036854775807d", "2026-13-01"] {
            assert!(since(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn kinds_are_known_by_their_names() {
        assert_eq!(kind("step_sent"), Ok(AuditKind::StepSent));
        assert!(kind("steps").unwrap_err().contains("step_answered"));
    }
}
