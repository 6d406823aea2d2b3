//! `instance log count`: how many entries of which severity and category, read by several threads side by side.

use std::{
    collections::BTreeMap,
    fs::File,
    io,
    os::unix::fs::FileExt as _,
    path::{Path, PathBuf},
    thread,
};

use anyhow::{Context as _, Result};
use instance_iris::messages_log::{Category, EntryRef, Options, Reader, Severity, next_stamped_line};
use serde_json::json;

use crate::{
    exit::Exit,
    output::{print, print_json, table},
    session::Session,
};

pub const EXAMPLES: &str = "\
Examples:
  instance log count messages.log
  instance log count messages.log --threads 2 --json";

/// Small enough to stay in the cache of a processor.
const CHUNK: usize = 256 * 1024;

#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// The log
    file: PathBuf,
    /// Threads that read side by side, 1 to 64
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u64).range(1..=64))]
    threads: u64,
}

/// Entries by severity (the last: none) and category.
#[derive(Debug, Default, PartialEq, Eq)]
struct Counts {
    by: BTreeMap<String, [u64; 5]>,
    /// The category of the last entry, for most of a log is one or two of them.
    last: Option<(String, [u64; 5])>,
}

pub fn run(args: &Args, session: &Session) -> Result<Exit> {
    let unreadable = || format!("could not read \"{}\"", args.file.display());
    let counts = count(&args.file, args.threads).with_context(unreadable)?;
    let all: u64 = counts.by.values().flatten().sum();
    if session.json() {
        let rows: Vec<_> =
            counts.by.iter().map(|(category, by)| json!({"category": category, "by_severity": by})).collect();
        print_json(&json!({"schema": "instance.cli.v1.log_count", "entries": all, "counts": rows}))?;
        return Ok(Exit::Done);
    }
    let rows = counts.by.iter().map(|(category, by)| {
        let [info, warning, severe, fatal, none] = by.map(|count| count.to_string());
        let category = if category.is_empty() { "-" } else { category };
        [category.to_owned(), info, warning, severe, fatal, none]
    });
    print(table(["category", "info", "warning", "severe", "fatal", "none"], rows))?;
    print(format_args!("{all} entries"))?;
    Ok(Exit::Done)
}

fn count(path: &Path, threads: u64) -> io::Result<Counts> {
    let file = File::open(path)?;
    let size = file.metadata()?.len();
    let mut starts = vec![0];
    for part in 1..threads {
        let start = start_after(&file, size / threads * part)?.unwrap_or(size);
        starts.push(start.max(starts[starts.len() - 1]));
    }
    starts.push(size);
    let file = &file;
    let parts: Vec<io::Result<Counts>> = thread::scope(|scope| {
        let workers: Vec<_> =
            starts.windows(2).map(|part| scope.spawn(move || count_part(file, part[0], part[1]))).collect();
        workers.into_iter().map(|worker| worker.join().expect("a counter does not panic")).collect()
    });
    let mut sum = Counts::default();
    for part in parts {
        for (category, by) in part?.by {
            sum.add(&category, by);
        }
    }
    Ok(sum)
}

fn count_part(file: &File, from: u64, to: u64) -> io::Result<Counts> {
    let (mut reader, mut counts) = (Reader::starting_at(Options::bounded(), from), Counts::default());
    let (mut chunk, mut at) = (vec![0; CHUNK], from);
    while at < to {
        let most = usize::try_from(to - at).unwrap_or(CHUNK).min(CHUNK);
        let read = match file.read_at(&mut chunk[..most], at) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            read => read?,
        };
        if read == 0 {
            break;
        }
        at += read as u64;
        reader.read(&chunk[..read], |entry| counts.take(entry));
    }
    if let Some(last) = reader.finish() {
        counts.take(last.view());
    }
    counts.settle();
    Ok(counts)
}

/// The first entry that begins with a stamp after this place; `None` when there is none up to the end.
fn start_after(file: &File, from: u64) -> io::Result<Option<u64>> {
    let (mut bytes, mut at) = (Vec::new(), from);
    let mut chunk = vec![0; CHUNK];
    loop {
        let read = file.read_at(&mut chunk, at)?;
        bytes.extend_from_slice(&chunk[..read]);
        at += read as u64;
        if let Some(start) = next_stamped_line(&bytes) {
            return Ok(Some(from + start as u64));
        }
        if read == 0 {
            return Ok(None);
        }
    }
}

impl Counts {
    fn take(&mut self, entry: EntryRef<'_>) {
        let category = entry.header.and_then(|header| header.category);
        let name = category.map_or(&b""[..], Category::as_bytes);
        let severity = entry.header.and_then(|header| header.severity);
        let place = severity.map_or(4, |severity: Severity| usize::from(severity.as_u8()));
        if self.last.as_ref().is_none_or(|(last, _)| last.as_bytes() != name) {
            self.settle();
            self.last = Some((category.map_or(String::new(), |category| category.to_string()), [0; 5]));
        }
        if let Some((_, by)) = &mut self.last {
            by[place] += 1;
        }
    }

    fn settle(&mut self) {
        if let Some((category, by)) = self.last.take() {
            self.add(&category, by);
        }
    }

    fn add(&mut self, category: &str, by: [u64; 5]) {
        let known = self.by.entry(category.to_owned()).or_default();
        for (known, more) in known.iter_mut().zip(by) {
            *known += more;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_number_of_threads_counts_the_same() {
        let mut log = String::from("\n\n*** Recovery started at Fri Nov 14 10:48:58 2025\n     x\n");
        for number in 0..500 {
            let category = ["[Generic.Event] ", "[Utility.Event] ", ""][number % 3];
            let degree = number % 4;
            let entry = format!("11/14/25-09:45:55:657 ({number}) {degree} {category}entry\n  goes on\n");
            log.push_str(&entry);
        }
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("messages.log");
        std::fs::write(&path, &log).unwrap();
        let one = count(&path, 1).unwrap();
        assert_eq!(one.by.values().flatten().sum::<u64>(), 501);
        assert_eq!(one.by["Generic.Event"].iter().sum::<u64>(), 167);
        for threads in [2, 3, 7, 64] {
            assert_eq!(count(&path, threads).unwrap(), one, "{threads}");
        }
        std::fs::write(&path, "").unwrap();
        assert_eq!(count(&path, 4).unwrap(), Counts::default());
    }
}
