//! `instance log parse`: a messages log as entries, byte for byte; `instance log count` is beside it.

use std::{
    io::{self, BufWriter, Read as _, Write},
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use instance_iris::messages_log::{Category, EntryRef, Options, Reader, Severity};
use serde::Serialize;

use crate::{
    exit::Exit,
    input, log_count,
    output::printable,
    session::{Session, Tone},
};

const EXAMPLES: &str = "\
Examples:
  instance log parse messages.log
  instance log parse messages.log --json | jq 'select(.severity >= 2)'
  tail -f messages.log | instance log parse - --json
  instance log parse messages.log --json | jq -j .raw     Gives the file again.";

/// Bytes read at once.
const CHUNK: usize = 256 * 1024;
/// An entry that is longer comes in parts, the later ones without a timestamp, so that memory stays bounded.
const LONGEST_ENTRY: u64 = 32 * 1024 * 1024;

#[derive(Debug, clap::Args)]
#[command(arg_required_else_help = true)]
pub struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// Take a messages.log (or alerts.log) apart into entries
    #[command(after_help = EXAMPLES)]
    Parse {
        /// The log; `-` for stdin
        file: PathBuf,
    },
    /// Count the entries of a messages.log by category and severity
    Count(log_count::Args),
}

pub fn run(args: &Args, session: &Session) -> Result<Exit> {
    match &args.command {
        Command::Parse { file } => parse(file, session)?,
        Command::Count(args) => return log_count::run(args, session),
    }
    Ok(Exit::Done)
}

fn parse(path: &Path, session: &Session) -> Result<()> {
    let mut source = input::open(path)?;
    let mut out = BufWriter::new(io::stdout().lock());
    let mut reader = Reader::new(Options::whole());
    let mut chunk = vec![0; CHUNK];
    loop {
        let count = match source.read(&mut chunk) {
            Ok(count) => count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => {
                return Err(error).with_context(|| format!("could not read \"{}\"", path.display()));
            }
        };
        let mut written = Ok(());
        reader.read(&chunk[..count], |entry| {
            if written.is_ok() {
                written = write_entry(&mut out, entry, session);
            }
        });
        written?;
        let too_long = reader.pending().is_some_and(|pending| pending.bytes > LONGEST_ENTRY);
        if (too_long || count == 0)
            && let Some(entry) = reader.finish()
        {
            write_entry(&mut out, entry.view(), session)?;
        }
        // Whoever follows a growing log wants each entry as soon as it is known.
        out.flush()?;
        if count == 0 {
            return Ok(());
        }
    }
}

fn write_entry(out: &mut impl Write, entry: EntryRef<'_>, session: &Session) -> Result<()> {
    if session.json() {
        serde_json::to_writer(&mut *out, &AsLine(entry))?;
        Ok(out.write_all(b"\n")?)
    } else {
        Ok(writeln!(out, "{}", text_of(entry, session))?)
    }
}

/// One entry, with the names of an IrisMessage.
#[derive(Serialize)]
struct Line<'a> {
    schema: &'static str,
    /// Of the first byte, from the start of the log.
    offset: u64,
    timestamp: Option<String>,
    process_id: Option<u64>,
    /// 0 where the log has none, as in an IrisMessage.
    severity: u8,
    category: Option<&'a str>,
    message_text: &'a str,
    truncated: bool,
    repeated: u32,
    raw: &'a str,
    /// Only where `raw` cannot hold the bytes.
    #[serde(skip_serializing_if = "Option::is_none")]
    raw_base64: Option<String>,
}

/// An entry on its way to a [`Line`], without a copy of what it borrows.
struct AsLine<'a>(EntryRef<'a>);

impl Serialize for AsLine<'_> {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let entry = self.0;
        let raw = String::from_utf8_lossy(entry.raw);
        let header = entry.header;
        Line {
            schema: "instance.cli.v1.log_entry",
            offset: entry.offset,
            timestamp: header.map(|header| header.timestamp.to_string()),
            process_id: header.map(|header| header.process_id),
            severity: header.and_then(|header| header.severity).map_or(0, Severity::as_u8),
            category: header.and_then(|header| header.category).map(Category::as_str),
            message_text: &entry.message_text(),
            truncated: entry.truncated(),
            repeated: entry.repeated(),
            raw: &raw,
            raw_base64: std::str::from_utf8(entry.raw).is_err().then(|| STANDARD.encode(entry.raw)),
        }
        .serialize(serializer)
    }
}

/// For people: what matters first, continuation lines indented.
fn text_of(entry: EntryRef<'_>, session: &Session) -> String {
    let text = printable(&entry.message_text());
    let mut continued = text.split('\n');
    let first = continued.next().unwrap_or_default();
    let head = match entry.header {
        None => format!("{:21} {:7} {:>7} {first}", "-", "-", "-"),
        Some(header) => {
            let severity = header.severity.map_or("-", Severity::name);
            let padded = format!("{severity:7}");
            let severity = match header.severity {
                Some(Severity::Fatal | Severity::Severe) => session.paint(Tone::Bad, &padded),
                Some(Severity::Warning) => session.paint(Tone::Warn, &padded),
                _ => padded,
            };
            let category = header.category.map(|name| format!("[{}] ", name.as_str())).unwrap_or_default();
            format!("{:21} {severity} {:>7} {category}{first}", header.timestamp, header.process_id)
        }
    };
    let repeated = match entry.repeated() {
        0 => String::new(),
        times => format!(" (repeated {times} times)"),
    };
    let left_out = if entry.is_process_dump() {
        Some(format!("(a process dump of {} bytes is left out)", entry.dropped_bytes()))
    } else {
        entry.truncated().then(|| format!("({} more bytes)", entry.dropped_bytes()))
    };
    let mut lines = vec![head + &repeated];
    lines.extend(continued.map(str::to_owned).chain(left_out).map(|line| format!("    {line}")));
    lines.join("\n")
}
