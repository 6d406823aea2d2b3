//! `instance classify`: says of every entry of a log what kind of trouble it is, and measures that against labels.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result};
use instance_contract::{ErrorType, Severity};
use instance_invent::Meaning;
use instance_iris::messages_log::{self, Entry, Options, Reader};
use serde_json::json;

use crate::{
    exit::Exit,
    input,
    output::{print, print_json, table},
    session::Session,
};

const EXAMPLES: &str = "\
Examples:
  instance classify messages.log                        How many entries of which kind and condition?
  instance classify messages.log --min-severity 2 --entries
  instance classify --labelled labels.tsv               The confusion table of a labelled file.
A labelled file has one entry a line: the kind, a tab, the severity, a tab, the text (\\n for a line end).";

/// A larger log is read in parts by the shell.
const LARGEST_LABELS: usize = 64 * 1024 * 1024;
const CHUNK: usize = 256 * 1024;

#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES, arg_required_else_help = true)]
pub struct Args {
    /// A messages.log; `-` for stdin
    #[arg(required_unless_present = "labelled")]
    log: Option<PathBuf>,
    /// Measure against the kinds that people gave, all of them
    #[arg(long, value_name = "FILE", conflicts_with_all = ["log", "entries", "min_severity"])]
    labelled: Option<PathBuf>,
    /// Leave out milder entries
    #[arg(long, value_name = "0-3", default_value_t = 0, value_parser = clap::value_parser!(u8).range(0..=3))]
    min_severity: u8,
    /// Show every entry instead of counts
    #[arg(long)]
    entries: bool,
}

pub fn run(args: &Args, session: &Session) -> Result<Exit> {
    match (&args.labelled, &args.log) {
        (Some(labels), _) => measure(labels, session),
        (None, Some(log)) => classify(log, args, session),
        (None, None) => Ok(Exit::Usage),
    }
}

/// How many entries of each kind and condition, and in which severities.
type Counts = BTreeMap<(ErrorType, Option<String>), [u64; 4]>;

fn classify(path: &Path, args: &Args, session: &Session) -> Result<Exit> {
    let mut source = input::open(path)?;
    let mut reader = Reader::new(Options::bounded());
    let mut chunk = vec![0; CHUNK];
    let mut counts = Counts::new();
    loop {
        let read = std::io::Read::read(&mut source, &mut chunk)
            .with_context(|| format!("could not read \"{}\"", path.display()))?;
        let mut entries = reader.push(&chunk[..read]);
        if read == 0 {
            entries.extend(reader.finish());
        }
        for entry in &entries {
            one(entry, args, session, &mut counts)?;
        }
        if read == 0 {
            break;
        }
    }
    if !args.entries {
        tell(&counts, session)?;
    }
    Ok(Exit::Done)
}

fn one(entry: &Entry, args: &Args, session: &Session, counts: &mut Counts) -> Result<()> {
    let digit =
        entry.header.as_ref().and_then(|header| header.severity).map_or(0, messages_log::Severity::as_u8);
    let text = entry.message_text();
    if digit < args.min_severity || (entry.header.is_none() && text.trim().is_empty()) {
        return Ok(());
    }
    let category = entry.header.as_ref().and_then(|header| header.category.as_deref());
    let severity = Severity::try_from(digit).context("a severity of a log is one of four")?;
    let meaning = Meaning::of(&text, severity, category);
    let condition = meaning.condition.map(|condition| condition.as_str().to_owned());
    if !args.entries {
        counts.entry((meaning.error_type, condition)).or_default()[usize::from(digit)] += 1;
        return Ok(());
    }
    if session.json() {
        return print_json(&json!({
            "schema": "instance.cli.v1.classified", "offset": entry.offset, "severity": digit,
            "error_type": meaning.error_type, "condition": condition, "message_text": text,
        }));
    }
    let first = text.lines().next().unwrap_or_default();
    let condition = condition.unwrap_or_else(|| "-".to_owned());
    print(crate::output::printable(&format!(
        "{digit} {:9} {condition:36} {first}",
        meaning.error_type.as_str()
    )))
}

/// How many entries are answered by a condition, how many by their kind alone, and how many by neither.
fn answered(counts: &Counts) -> [u64; 3] {
    let mut sums = [0; 3];
    for ((kind, condition), by) in counts {
        let place = match (condition, kind) {
            (Some(_), _) => 0,
            (None, ErrorType::Other) => 2,
            (None, _) => 1,
        };
        sums[place] += by.iter().sum::<u64>();
    }
    sums
}

fn tell(counts: &Counts, session: &Session) -> Result<()> {
    let [by_condition, by_kind, by_neither] = answered(counts);
    if session.json() {
        let rows: Vec<_> = counts
            .iter()
            .map(|((kind, condition), by)| json!({"error_type": kind, "condition": condition, "by_severity": by}))
            .collect();
        let sums = json!({"condition": by_condition, "kind_alone": by_kind, "neither": by_neither});
        return print_json(
            &json!({"schema": "instance.cli.v1.classification", "counts": rows, "answered_by": sums}),
        );
    }
    let rows = counts.iter().map(|((kind, condition), by)| {
        let [info, warning, severe, fatal] = by.map(|count| count.to_string());
        [kind.to_string(), condition.clone().unwrap_or_else(|| "-".to_owned()), info, warning, severe, fatal]
    });
    print(table(["kind", "condition", "info", "warning", "severe", "fatal"], rows))?;
    print(format!(
        "\n{} entries: {by_condition} with a condition, {by_kind} with a kind alone, {by_neither} of which nobody knows anything",
        by_condition + by_kind + by_neither
    ))
}

/// An entry and the kind that a person gave it.
struct Labelled {
    kind: ErrorType,
    severity: Severity,
    text: String,
}

/// Prints the confusion table: a row for each kind as labelled, a column for each kind as found.
fn measure(path: &Path, session: &Session) -> Result<Exit> {
    let bytes = input::read(path, LARGEST_LABELS)?;
    let text = String::from_utf8(bytes).with_context(|| format!("\"{}\" is no text", path.display()))?;
    let labelled = labels(&text).with_context(|| format!("could not read \"{}\"", path.display()))?;
    let mut confusion: BTreeMap<(ErrorType, ErrorType), u64> = BTreeMap::new();
    let (mut right, mut known) = (0, 0);
    for entry in &labelled {
        let meaning = Meaning::of(&entry.text, entry.severity, None);
        *confusion.entry((entry.kind, meaning.error_type)).or_default() += 1;
        right += u64::from(meaning.error_type == entry.kind);
        known += u64::from(meaning.condition.is_some());
    }
    let all = labelled.len() as u64;
    let at = |labelled, found| confusion.get(&(labelled, found)).copied().unwrap_or_default();
    if session.json() {
        let rows: Vec<_> = confusion
            .iter()
            .map(|((kind, found), count)| json!({"labelled": kind, "found": found, "count": count}))
            .collect();
        print_json(&json!({
            "schema": "instance.cli.v1.confusion", "entries": all, "right": right, "with_condition": known,
            "confusion": rows,
        }))?;
        return Ok(Exit::Done);
    }
    let header =
        ["labelled", "config", "license", "resource", "journal", "database", "security", "mirror", "other"];
    let rows = ErrorType::ALL.iter().copied().map(|kind| {
        let mut row = [const { String::new() }; 9];
        row[0] = kind.to_string();
        for (cell, found) in row[1..].iter_mut().zip(ErrorType::ALL.iter().copied()) {
            *cell = at(kind, found).to_string();
        }
        row
    });
    print(table(header, rows))?;
    let share = (right * 1000 + all / 2).checked_div(all).unwrap_or(0);
    print(format_args!(
        "{right} of {all} as labelled ({}.{} %), {known} with a condition of the catalogue",
        share / 10,
        share % 10
    ))?;
    Ok(Exit::Done)
}

fn labels(text: &str) -> Result<Vec<Labelled>> {
    let lines = text.lines().enumerate().filter(|(_, line)| !line.is_empty() && !line.starts_with('#'));
    lines
        .map(|(at, line)| {
            let at = format!("line {}", at + 1);
            let mut fields = line.splitn(3, '\t');
            let mut field =
                || fields.next().with_context(|| format!("{at}: must be kind, severity and text"));
            let (kind, severity, text) = (field()?, field()?, field()?);
            let severity: u8 = severity.parse().with_context(|| format!("{at}: severity \"{severity}\""))?;
            Ok(Labelled {
                kind: kind.parse().with_context(|| at.clone())?,
                severity: Severity::try_from(severity).with_context(|| at.clone())?,
                text: text.replace("\\n", "\n"),
            })
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_are_read_and_bad_ones_name_their_line() {
        let good = labels("# by hand\nlicense\t2\tLMF Error: No valid license key.\\nx\n").unwrap();
        assert_eq!((good[0].kind, good[0].severity), (ErrorType::License, Severity::Severe));
        assert!(good[0].text.ends_with("key.\nx"));
        for bad in ["license\t2", "weather\t2\tx", "license\t4\tx", "license\tx\ty"] {
            let told = format!("{:#}", labels(bad).err().unwrap());
            assert!(told.contains("line 1"), "{told}");
        }
    }
}
