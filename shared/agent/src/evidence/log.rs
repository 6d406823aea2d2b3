//! Reading `messages.log` from a place on, across a change of file.

use std::{
    fs::{self, File},
    io::{self, Read, Seek, SeekFrom},
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
};

use instance_contract::ConditionId;
use instance_iris::messages_log::{Entry, EntryRef, Options, Reader};
use instance_knowledge::Matcher;

/// How IRIS begins to log a start that follows another one.
const BANNER: &[u8] = b"\n\n*** Recovery started at ";
/// How much of a log is looked at in one go, in bytes.
const WINDOW: u64 = 1024 * 1024;

/// A place in a log: the file and how much of it was there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LogMark {
    /// 0 for a log that did not exist.
    pub inode: u64,
    /// In bytes, up to the end of the last whole line.
    pub size: u64,
}

impl LogMark {
    /// The present end of the log; a log that does not exist yet is empty.
    pub fn now(path: &Path) -> io::Result<Self> {
        let Some(mut file) = open(path)? else { return Ok(Self { inode: 0, size: 0 }) };
        let metadata = file.metadata()?;
        let size = end_of_last_line(&mut file, metadata.len())?;
        Ok(Self { inode: metadata.ino(), size })
    }
}

/// The entries written since the mark, and the mark to go on from. A line that is still being written is left for the
/// next time. When IRIS has begun a new file, the rest of the old one is read first, as far as it lies beside it.
pub fn entries_since(path: &Path, mark: LogMark) -> io::Result<(Vec<Entry>, LogMark)> {
    let mut entries = Vec::new();
    let Some(mut file) = open(path)? else { return Ok((entries, mark)) };
    let metadata = file.metadata()?;
    let same = metadata.ino() == mark.inode && metadata.len() >= mark.size;
    if !same && let Some(mut old) = renamed(path, mark.inode)? {
        let end = old.metadata()?.len();
        read(&mut old, mark.size, end, |entry| entries.push(entry.to_entry()))?;
    }
    let from = if same { mark.size } else { 0 };
    let end = end_of_last_line(&mut file, metadata.len())?.max(from);
    read(&mut file, from, end, |entry| entries.push(entry.to_entry()))?;
    Ok((entries, LogMark { inode: metadata.ino(), size: end }))
}

/// The entries since the instance was last started, and the mark to go on from. A log without a start is read whole.
pub fn entries_since_last_start(path: &Path) -> io::Result<(Vec<Entry>, LogMark)> {
    let mut since = SinceStart::default();
    let Some(mut file) = open(path)? else { return Ok((since.entries, LogMark { inode: 0, size: 0 })) };
    let metadata = file.metadata()?;
    let end = end_of_last_line(&mut file, metadata.len())?;
    let from = last_banner(&mut file, end, WINDOW)?.unwrap_or(0);
    read(&mut file, from, end, |entry| since.take(entry))?;
    Ok((since.entries, LogMark { inode: metadata.ino(), size: end }))
}

/// The conditions of the error catalogue that the entries tell of, each with the first line of its text.
pub fn conditions_in(entries: &[Entry]) -> Vec<(ConditionId, String)> {
    let matcher = Matcher::in_force();
    let known = |entry: &Entry| {
        let text = entry.message_text();
        let id = matcher.classify(&text)?.id.parse().ok()?;
        Some((id, text.lines().next().unwrap_or_default().to_owned()))
    };
    entries.iter().filter_map(known).collect()
}

/// Forgets everything when a start begins.
///
/// A start writes the recovery banner, then `Allocated ... shared memory`, then `Startup of InterSystems IRIS`. The
/// first start of an installation writes no banner, and one that fails gets no further than the memory.
#[derive(Default)]
struct SinceStart {
    entries: Vec<Entry>,
    /// The present start has shown its banner, but not its memory yet.
    banner_before_memory: bool,
}

impl SinceStart {
    fn take(&mut self, entry: EntryRef<'_>) {
        let text = entry.message_text();
        let memory = text.starts_with("Allocated ") && text.contains(" shared memory");
        let starts = entry.is_recovery_banner() || (memory && !self.banner_before_memory);
        if starts {
            self.entries.clear();
        }
        self.banner_before_memory = entry.is_recovery_banner() || (self.banner_before_memory && !memory);
        self.entries.push(entry.to_entry());
    }
}

/// Where the last recovery banner begins, with an empty line before it as IRIS writes it: what was before it is forgotten
/// anyhow, and reading megabytes of it as entries takes long. Looks backwards, `window` bytes at a time.
fn last_banner(file: &mut File, end: u64, window: u64) -> io::Result<Option<u64>> {
    let overlap = BANNER.len() as u64 - 1;
    let (mut upto, mut bytes) = (end, Vec::new());
    while upto > 0 {
        let from = upto.saturating_sub(window);
        bytes.clear();
        file.seek(SeekFrom::Start(from))?;
        file.take((upto + overlap).min(end) - from).read_to_end(&mut bytes)?;
        if let Some(at) = memchr::memmem::rfind(&bytes, BANNER) {
            // After the end of the line before.
            return Ok(Some(from + at as u64 + 1));
        }
        upto = from;
    }
    Ok(None)
}

fn open(path: &Path) -> io::Result<Option<File>> {
    match File::open(path) {
        Ok(file) => Ok(Some(file)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// The file that the mark was made in, under its new name (`messages.old_<date>`).
fn renamed(path: &Path, inode: u64) -> io::Result<Option<File>> {
    let (Some(folder), Some(name)) = (path.parent(), path.file_stem()) else { return Ok(None) };
    let belongs = |other: &PathBuf| other.file_stem() == Some(name) && other != path;
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        if belongs(&entry.path()) && entry.metadata()?.ino() == inode {
            return open(&entry.path());
        }
    }
    Ok(None)
}

fn read(file: &mut File, from: u64, to: u64, mut sink: impl FnMut(EntryRef<'_>)) -> io::Result<()> {
    file.seek(SeekFrom::Start(from))?;
    let mut reader = Reader::starting_at(Options::bounded(), from);
    let mut bytes = file.take(to.saturating_sub(from));
    let mut chunk = vec![0; 256 * 1024];
    loop {
        match bytes.read(&mut chunk)? {
            0 => break,
            count => reader.read(&chunk[..count], &mut sink),
        }
    }
    if let Some(last) = reader.finish() {
        sink(last.view());
    }
    Ok(())
}

/// Looks back from `size` for a line end; a line of more than 64 KiB without one counts as whole.
fn end_of_last_line(file: &mut File, size: u64) -> io::Result<u64> {
    const WINDOW: u64 = 64 * 1024;
    let from = size.saturating_sub(WINDOW);
    let mut tail = Vec::new();
    file.seek(SeekFrom::Start(from))?;
    file.take(size - from).read_to_end(&mut tail)?;
    match tail.iter().rposition(|byte| *byte == b'\n') {
        Some(at) => Ok(from + at as u64 + 1),
        None if size < WINDOW => Ok(0),
        None => Ok(size),
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    fn line(text: &str) -> String {
        format!("11/14/25-09:45:55:657 (50745) 0 [Generic.Event] {text}\n")
    }

    fn append(path: &Path, text: &str) {
        let mut file = File::options().create(true).append(true).open(path).unwrap();
        file.write_all(text.as_bytes()).unwrap();
    }

    fn texts(entries: &[Entry]) -> Vec<String> {
        entries.iter().map(|entry| entry.message_text().trim().to_owned()).collect()
    }

    #[test]
    fn only_what_came_after_the_mark_and_only_whole_lines() {
        let folder = tempfile::tempdir().unwrap();
        let log = folder.path().join("messages.log");
        let mark = LogMark::now(&log).unwrap();
        append(&log, &line("one"));
        let (entries, mark) = entries_since(&log, mark).unwrap();
        assert_eq!(texts(&entries), ["one"]);
        append(&log, &line("two")[..50]);
        let (entries, mark) = entries_since(&log, mark).unwrap();
        assert_eq!(texts(&entries), Vec::<String>::new());
        append(&log, &line("two")[50..]);
        assert_eq!(texts(&entries_since(&log, mark).unwrap().0), ["two"]);
    }

    #[test]
    fn a_log_that_was_renamed_and_begun_anew_loses_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let log = folder.path().join("messages.log");
        append(&log, &line("before"));
        let mark = LogMark::now(&log).unwrap();
        append(&log, &line("last of the old file"));
        fs::rename(&log, folder.path().join("messages.old_20251114")).unwrap();
        append(&log, &line("first of the new file"));
        let (entries, mark) = entries_since(&log, mark).unwrap();
        assert_eq!(texts(&entries), ["last of the old file", "first of the new file"]);
        assert_eq!(entries_since(&log, mark).unwrap().0.len(), 0);
    }

    #[test]
    fn the_last_start_is_found_with_and_without_a_banner() {
        let folder = tempfile::tempdir().unwrap();
        let log = folder.path().join("messages.log");
        let memory = line("Allocated 504MB shared memory using Huge Pages");
        append(&log, &line("old"));
        append(&log, &memory);
        append(&log, &line("Enabling logons"));
        let (entries, _) = entries_since_last_start(&log).unwrap();
        assert_eq!(texts(&entries), ["Allocated 504MB shared memory using Huge Pages", "Enabling logons"]);
        append(&log, "\n\n*** Recovery started at Fri Nov 14 10:48:58 2025\n     Log file directory: /x\n");
        append(&log, &line("Global buffer setting requires attention."));
        append(&log, &memory);
        append(&log, &line("again"));
        let found = texts(&entries_since_last_start(&log).unwrap().0);
        assert_eq!(found.len(), 4, "{found:?}");
        assert!(found[0].contains("*** Recovery started"));
    }

    #[test]
    fn looking_backwards_for_a_start_finds_what_reading_everything_finds() {
        let banner = "\n\n*** Recovery started at Fri Nov 14 10:48:58 2025\n     Log file directory: /x\n";
        let memory = line("Allocated 504MB shared memory");
        let parts = ["", banner, &memory, &line("Enabling logons"), "*** Recovery started at no time\n"];
        let folder = tempfile::tempdir().unwrap();
        let log = folder.path().join("messages.log");
        for number in 0..5 * 5 * 5 * 5 {
            let chosen = [number / 125, number / 25 % 5, number / 5 % 5, number % 5];
            let text: String = chosen.iter().map(|part| parts[*part]).collect();
            fs::write(&log, &text).unwrap();
            let mut file = File::open(&log).unwrap();
            let end = end_of_last_line(&mut file, text.len() as u64).unwrap();
            let mut since = |from| {
                let mut since = SinceStart::default();
                read(&mut file, from, end, |entry| since.take(entry)).unwrap();
                texts(&since.entries)
            };
            let everything = since(0);
            // Windows that end anywhere in a banner.
            for window in [7, 64, WINDOW] {
                let from = last_banner(&mut File::open(&log).unwrap(), end, window).unwrap();
                assert_eq!(since(from.unwrap_or(0)), everything, "{chosen:?}, {window}");
            }
        }
    }

    #[test]
    fn conditions_are_those_of_the_catalogue() {
        let condition = &instance_knowledge::conditions()[0];
        let folder = tempfile::tempdir().unwrap();
        let log = folder.path().join("messages.log");
        append(&log, &line(&condition.wordings[0].example));
        append(&log, &line("nothing that anybody knows"));
        let (entries, _) = entries_since_last_start(&log).unwrap();
        let found: Vec<String> = conditions_in(&entries).into_iter().map(|(id, _)| id.to_string()).collect();
        assert_eq!(found, [condition.id.as_str()]);
    }
}
