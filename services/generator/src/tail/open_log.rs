//! A log that is being read: its file, how far, and the entry it is in.

use std::collections::VecDeque;
use std::fs::File;
use std::io;
use std::os::unix::fs::{FileExt as _, MetadataExt as _};
use std::sync::Arc;
use std::time::{Instant, SystemTime};

use instance_iris::messages_log::{Entry, Options, Reader};

use super::{Begun, FileId, Part, Position};

/// How much is read at a time.
const CHUNK: usize = 64 * 1024;

#[derive(Debug)]
pub(super) struct OpenLog {
    pub file: File,
    pub id: FileId,
    /// When bytes last came.
    pub grown_at: Instant,
    /// Whether it was opened under the live path.
    pub was_live: bool,
    reader: Reader,
    /// How far the file was read.
    read_to: u64,
    /// How far it was handed out.
    end: u64,
    /// The last entry that was begun, in case that it goes on. Its `offset` is kept over its parts.
    begun: Option<Arc<Begun>>,
    /// Whether that entry was handed out before its end was seen.
    handed_out_early: bool,
    parts: VecDeque<Part>,
    /// Length and change of the file when its head was last looked at.
    checked: Option<(u64, SystemTime)>,
}

impl OpenLog {
    /// A log from a place on where an entry begins, or nothing is known of what is before.
    pub fn fresh(file: File, id: FileId, from: u64, now: Instant, was_live: bool) -> Self {
        Self {
            file,
            id,
            grown_at: now,
            was_live,
            reader: Reader::starting_at(Options::bounded(), from),
            read_to: from,
            end: from,
            begun: None,
            handed_out_early: false,
            parts: VecDeque::new(),
            checked: None,
        }
    }

    /// A log that was handed out up to a position. The entry before it is read again and kept back: only so do we know
    /// what a continuation line continues, and that we are inside a process dump.
    pub fn resumed(file: File, position: &Position, now: Instant, was_live: bool) -> io::Result<Self> {
        let mut log = Self::fresh(file, position.file.clone(), position.entry, now, was_live);
        while log.read_to < position.end {
            let left = usize::try_from(position.end - log.read_to).unwrap_or(CHUNK);
            let bytes = log.read_chunk(left.min(CHUNK))?;
            if bytes.is_empty() {
                break;
            }
            for entry in log.reader.push(&bytes) {
                log.take(entry, true);
            }
        }
        log.finish();
        log.parts.clear();
        Ok(log)
    }

    /// Reads on; false when nothing new has come.
    pub fn read(&mut self, now: Instant) -> io::Result<bool> {
        let bytes = self.read_chunk(CHUNK)?;
        if bytes.is_empty() {
            return Ok(false);
        }
        self.grown_at = now;
        for entry in self.reader.push(&bytes) {
            self.take(entry, false);
        }
        Ok(true)
    }

    /// A quiet time has passed: the last entry counts as complete.
    pub fn finish(&mut self) {
        if let Some(entry) = self.reader.finish() {
            self.take(entry, true);
        }
    }

    /// Whether the last line has not ended.
    pub fn is_inside_line(&self) -> bool {
        self.reader.pending().is_some_and(|pending| !pending.line_complete)
    }

    pub fn take_parts(&mut self) -> Vec<Part> {
        self.parts.drain(..).collect()
    }

    /// How far the log has been handed out.
    pub fn position(&self) -> Position {
        let entry = self.begun.as_ref().map_or(self.end, |begun| begun.offset);
        Position { file: self.id.clone(), entry, end: self.end }
    }

    /// Whether other bytes stand now where we have read.
    pub fn is_rewritten(&mut self) -> io::Result<bool> {
        let found = self.file.metadata()?;
        if found.len() < self.read_to {
            return Ok(true);
        }
        let state = (found.len(), found.modified()?);
        if self.checked == Some(state) {
            return Ok(false);
        }
        let rewritten = !self.id.matches(&self.file)?;
        self.checked = Some(state);
        Ok(rewritten)
    }

    /// Device and inode.
    pub fn at(&self) -> io::Result<(u64, u64)> {
        let found = self.file.metadata()?;
        Ok((found.dev(), found.ino()))
    }

    /// When it was last written.
    pub fn written(&self) -> io::Result<SystemTime> {
        self.file.metadata()?.modified()
    }

    /// When it had last been written, as of the last look that found it whole.
    pub fn last_seen(&self) -> Option<SystemTime> {
        self.checked.map(|(_, written)| written)
    }

    fn read_chunk(&mut self, most: usize) -> io::Result<Vec<u8>> {
        let mut bytes = vec![0; most];
        let read = loop {
            match self.file.read_at(&mut bytes, self.read_to) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                read => break read?,
            }
        };
        bytes.truncate(read);
        self.read_to += read as u64;
        Ok(bytes)
    }

    fn take(&mut self, entry: Entry, early: bool) {
        let offset = entry.offset;
        self.end = offset + entry.raw.len() as u64 + entry.dropped_bytes();
        let goes_on = self.handed_out_early && entry.header.is_none() && !entry.is_recovery_banner();
        let continues = self.begun.clone().filter(|_| goes_on);
        let begun = match &continues {
            Some(begun) => Begun { text: longer(&begun.text, &entry.message_text()), ..(**begun).clone() },
            None => Begun { offset, header: entry.header.clone(), text: entry.message_text().into_owned() },
        };
        self.begun = Some(Arc::new(begun));
        self.handed_out_early = early;
        let position = self.position();
        self.parts.push_back(Part { position, offset, entry, continues });
    }
}

/// The text of an entry with what came of it later.
fn longer(text: &str, rest: &str) -> String {
    if rest.is_empty() || text.len() >= Options::DEFAULT_TEXT_LIMIT {
        return text.to_owned();
    }
    format!("{text}\n{rest}")
}
