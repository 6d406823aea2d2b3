//! messages.log and alerts.log: stamps, the repeat counter, rotation.

use std::fs::{self, OpenOptions};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use instance_iris::messages_log::{NewEntry, Timestamp, write_entry};

use crate::shell::folder::InstanceFolder;
use crate::world::act::Entry;
use crate::world::health::is_alert;

/// The two logs of an instance, as one writer sees them.
///
/// A message that comes again is counted, not written; real logs show that the count is written as an entry of its
/// own, with a new stamp, when another message comes.
#[derive(Debug)]
pub struct LogFile {
    messages: PathBuf,
    alerts: PathBuf,
    last: Option<Last>,
}

#[derive(Debug)]
struct Last {
    entry: Entry,
    pid: u32,
    repeated: u32,
}

impl LogFile {
    /// The logs of that instance; neither needs to exist.
    pub fn of(folder: &InstanceFolder) -> Self {
        Self { messages: folder.messages_log(), alerts: folder.alerts_log(), last: None }
    }

    /// Writes an entry, or counts it when it is the last one again.
    pub fn write(&mut self, at: &jiff::Zoned, pid: u32, entry: Entry) -> io::Result<()> {
        if let Some(last) = self.last.as_mut().filter(|last| last.entry == entry && last.pid == pid) {
            last.repeated += 1;
            return Ok(());
        }
        self.write_repeats(at)?;
        let line = stamped(at, pid, &entry, 0);
        append(&self.messages, &line)?;
        if is_alert(entry.severity) {
            append(&self.alerts, &line)?;
        }
        self.last = Some(Last { entry, pid, repeated: 0 });
        Ok(())
    }

    /// Writes text without a stamp.
    pub fn write_banner(&mut self, at: &jiff::Zoned, text: &str) -> io::Result<()> {
        self.write_repeats(at)?;
        self.last = None;
        append(&self.messages, text.as_bytes())
    }

    /// Writes what has been counted so far.
    pub fn write_repeats(&mut self, at: &jiff::Zoned) -> io::Result<()> {
        let Some(last) = self.last.as_mut().filter(|last| last.repeated > 0) else { return Ok(()) };
        let line = stamped(at, last.pid, &last.entry, last.repeated);
        last.repeated = 0;
        append(&self.messages, &line)
    }

    /// Moves a messages.log larger than `limit_mb` aside; the next entry begins a new one.
    pub fn rotate(&mut self, at: &jiff::Zoned, limit_mb: u64) -> io::Result<()> {
        match fs::metadata(&self.messages) {
            Ok(found) if found.len() > limit_mb.saturating_mul(1024 * 1024) => {}
            _ => return Ok(()),
        }
        self.write_repeats(at)?;
        let day = at.strftime("%Y%m%d").to_string();
        let old = (0..u32::MAX)
            .map(|number| self.messages.with_file_name(old_name(&day, number)))
            .find(|path| !path.exists())
            .expect("no folder holds that many files");
        fs::rename(&self.messages, old)
    }
}

/// `messages.old_20260926`, then `messages.old_20260926_1`, ...
fn old_name(day: &str, number: u32) -> String {
    if number == 0 { format!("messages.old_{day}") } else { format!("messages.old_{day}_{number}") }
}

fn stamped(at: &jiff::Zoned, pid: u32, entry: &Entry, repeated: u32) -> Vec<u8> {
    let mut line = Vec::new();
    let entry = NewEntry {
        timestamp: timestamp(at),
        process_id: u64::from(pid),
        severity: entry.severity,
        category: Some(entry.category.as_str()),
        text: &entry.text,
        repeated,
    };
    write_entry(&mut line, &entry).expect("the world writes entries that read back");
    line
}

fn timestamp(at: &jiff::Zoned) -> Timestamp {
    let two = |part: i8| part.unsigned_abs();
    Timestamp::new(
        (at.year().unsigned_abs(), two(at.month()), two(at.day())),
        // A leap second has no stamp of its own.
        (two(at.hour()), two(at.minute()), two(at.second()).min(59), at.millisecond().unsigned_abs()),
    )
    .expect("a date of this century has a stamp")
}

/// One write for one entry, so that a reader never waits for the rest of a line.
fn append(path: &Path, bytes: &[u8]) -> io::Result<()> {
    OpenOptions::new().append(true).create(true).open(path)?.write_all(bytes)
}
