//! messages.log and alerts.log: stamps, the repeat counter, rotation.

use std::fs::{self, OpenOptions};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use instance_iris::messages_log::{NewEntry, Timestamp, write_entry};

use crate::shell::folder::InstanceFolder;
use crate::shell::log_monitor::{LogMonitor, Notice, suspended};
use crate::shell::wording::Wording;
use crate::world::act::{Entry, Severity, Writer};
use crate::world::health::is_alert;

/// The two logs of an instance, as one writer sees them.
///
/// A message that comes again is counted, not written; real logs show that the count is written as an entry of its
/// own, with a new stamp, when another message comes.
#[derive(Debug)]
pub struct LogFile {
    messages: PathBuf,
    alerts: PathBuf,
    wording: Wording,
    last: Option<Last>,
    watched: Option<Watched>,
}

/// The Log Monitor of a running instance.
#[derive(Debug)]
struct Watched {
    monitor: LogMonitor,
    /// In whose name it writes.
    pid: u32,
    speed: f64,
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
        Self { wording: Wording::of(folder), ..Self::at(&folder.messages_log(), &folder.alerts_log()) }
    }

    /// Logs that lie elsewhere, in the words that are known.
    pub fn at(messages: &Path, alerts: &Path) -> Self {
        Self {
            messages: messages.to_owned(),
            alerts: alerts.to_owned(),
            wording: Wording::Known,
            last: None,
            watched: None,
        }
    }

    /// From now on the Log Monitor chooses what is reported, and writes in the name of `pid`; times between stamps pass
    /// `speed` times faster than on a real instance. Before, all alerts are reported.
    pub fn watch(&mut self, pid: u32, speed: f64) {
        self.watched = Some(Watched { monitor: LogMonitor::default(), pid, speed });
    }

    /// Writes an entry, or counts it when it is the last one again. What became of an alert.
    pub fn write(&mut self, at: &jiff::Zoned, pid: u32, entry: Entry) -> io::Result<Option<Notice>> {
        let entry = self.wording.put(entry);
        if let Some(last) = self.last.as_mut().filter(|last| last.entry == entry && last.pid == pid) {
            last.repeated += 1;
            return Ok(None);
        }
        if let Some(last) = self.last.as_mut().filter(|last| last.pid == pid) {
            // Real counts bear the category of what the same process writes next.
            last.entry.category = entry.category;
        }
        self.write_repeats(at)?;
        let line = stamped(at, pid, &entry, 0);
        append(&self.messages, &line)?;
        let notice = is_alert(entry.severity).then(|| self.notice(at, pid));
        if notice.is_some_and(|notice| notice != Notice::Suppressed) {
            append(&self.alerts, &line)?;
        }
        self.last = Some(Last { entry, pid, repeated: 0 });
        if let (Some(Notice::Last), Some(watched)) = (notice, &self.watched) {
            let entry = Entry { writer: Writer::Control, ..Entry::utility(Severity::Severe, suspended(pid)) };
            let (pid, line) = (watched.pid, stamped(at, watched.pid, &entry, 0));
            append(&self.messages, &line)?;
            append(&self.alerts, &line)?;
            self.last = Some(Last { entry, pid, repeated: 0 });
        }
        Ok(notice)
    }

    fn notice(&mut self, at: &jiff::Zoned, pid: u32) -> Notice {
        self.watched
            .as_mut()
            .map_or(Notice::Reported, |watched| watched.monitor.hear(at.timestamp(), pid, watched.speed))
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

#[cfg(test)]
mod tests {
    use std::fs;

    use tempfile::TempDir;

    use super::LogFile;
    use crate::shell::folder::InstanceFolder;
    use crate::shell::log_monitor::Notice;
    use crate::world::act::{Entry, Severity, Writer};

    fn log() -> (TempDir, InstanceFolder, LogFile, jiff::Zoned) {
        let temporary = TempDir::new().unwrap();
        let folder = InstanceFolder::new(temporary.path());
        fs::create_dir(folder.manager()).unwrap();
        let log = LogFile::of(&folder);
        (temporary, folder, log, "2026-02-03T04:05:06.789[UTC]".parse().unwrap())
    }

    fn entry(severity: Severity, text: &str) -> Entry {
        Entry::kernel(Writer::Control, severity, text)
    }

    #[test]
    fn a_message_that_comes_again_is_counted_until_another_comes() {
        let (_kept, folder, mut log, at) = log();
        for _ in 0..4 {
            log.write(&at, 12, entry(Severity::Fatal, "again")).unwrap();
        }
        log.write(&at, 13, entry(Severity::Info, "other")).unwrap();
        let stamp = "02/03/26-04:05:06:789";
        let expected = format!(
            "{stamp} (12) 3 [Generic.Event] again\n{stamp} (12) 3 [Generic.Event] again...(repeated 3 times)\n\
             {stamp} (13) 0 [Generic.Event] other\n"
        );
        assert_eq!(fs::read_to_string(folder.messages_log()).unwrap(), expected);
        let alerts = fs::read_to_string(folder.alerts_log()).unwrap();
        assert_eq!(alerts, format!("{stamp} (12) 3 [Generic.Event] again\n"));
    }

    #[test]
    fn a_count_bears_the_category_of_what_its_process_writes_next() {
        let told = |next_pid: u32| {
            let (_kept, folder, mut log, at) = log();
            for _ in 0..2 {
                log.write(&at, 12, entry(Severity::Warning, "again")).unwrap();
            }
            log.write(&at, next_pid, Entry::utility(Severity::Info, "other")).unwrap();
            let text = fs::read_to_string(folder.messages_log()).unwrap();
            text.lines().nth(1).unwrap()[22..].to_owned()
        };
        assert_eq!(told(12), "(12) 1 [Utility.Event] again...(repeated 1 times)");
        assert_eq!(told(13), "(12) 1 [Generic.Event] again...(repeated 1 times)");
    }

    #[test]
    fn a_process_that_floods_is_left_out_of_alerts_log_and_stays_in_messages_log() {
        let (_kept, folder, mut log, at) = log();
        log.watch(99, 1.0);
        let told = (0..5)
            .map(|number| log.write(&at, 12, entry(Severity::Severe, &format!("no {number}"))).unwrap());
        assert_eq!(
            told.map(Option::unwrap).collect::<Vec<_>>(),
            [Notice::Reported, Notice::Reported, Notice::Last, Notice::Suppressed, Notice::Suppressed]
        );
        let stamp = "02/03/26-04:05:06:789";
        let suspended = format!(
            "{stamp} (99) 2 [Utility.Event] Process 12 generated 3 alerts in 10 seconds. Suspending alert notifications \
             for this process.\n"
        );
        let line = |number| format!("{stamp} (12) 2 [Generic.Event] no {number}\n");
        let alerts = fs::read_to_string(folder.alerts_log()).unwrap();
        assert_eq!(alerts, line(0) + &line(1) + &line(2) + &suspended);
        let messages = fs::read_to_string(folder.messages_log()).unwrap();
        assert_eq!(messages, alerts + &line(3) + &line(4));
    }

    #[test]
    fn a_count_is_written_in_time_even_when_no_other_message_comes() {
        let (_kept, folder, mut log, at) = log();
        let write = |log: &mut LogFile| {
            let _ = log.write(&at, 12, entry(Severity::Info, "again")).unwrap();
        };
        write(&mut log);
        log.write_repeats(&at).unwrap();
        write(&mut log);
        log.write_repeats(&at).unwrap();
        log.write_repeats(&at).unwrap();
        let text = fs::read_to_string(folder.messages_log()).unwrap();
        assert_eq!(text.lines().count(), 2, "{text}");
        assert!(text.ends_with("again...(repeated 1 times)\n"));
    }

    #[test]
    fn rotation_keeps_every_old_log() {
        let (_kept, folder, mut log, at) = log();
        for _ in 0..2 {
            fs::write(folder.messages_log(), vec![b'x'; 1024 * 1024 + 1]).unwrap();
            log.rotate(&at, 1).unwrap();
        }
        log.write(&at, 12, entry(Severity::Info, "new")).unwrap();
        log.rotate(&at, 1).unwrap();
        for old in ["messages.old_20260203", "messages.old_20260203_1"] {
            assert!(folder.manager().join(old).is_file(), "{old}");
        }
        assert!(fs::read_to_string(folder.messages_log()).unwrap().ends_with("new\n"));
    }
}
