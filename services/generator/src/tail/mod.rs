//! Following one live messages.log: which bytes of which file come next, cut into entries. No bus, no clock.
//!
//! ```text
//! nothing open --(the file of the position, the next rotated one, or the live one)--> reading
//! reading --bytes--> reading --quiet--> the last entry is handed out
//! reading --quiet, and the live path is another file--> nothing open
//! reading --file shorter or with another head--> nothing open (the rest may lie in a copy)
//! ```
//!
//! Invariant: every byte of every log that is found belongs to exactly one part, in order; a part is handed out again
//! only after a restart from an older position, with the same identity and offset.

mod file_id;
mod folder;
mod open_log;

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use instance_iris::messages_log::{Entry, Header};

pub use file_id::{FileId, InvalidFileId};

use crate::StartAt;
use folder::Sibling;
use open_log::OpenLog;

/// How many logs that were read to their end are remembered, so as not to read one again.
const REMEMBERED: usize = 32;

/// How much longer a line without its end is waited for: half a stamp would be taken for text.
const WITHIN_LINE: u32 = 10;

/// How far a log has been handed out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Position {
    pub file: FileId,
    /// Where the entry begins that the last part handed out belongs to. What follows may continue it, and a process
    /// dump that began in it may go on.
    pub entry: u64,
    /// The first byte that has not been handed out.
    pub end: u64,
}

/// The beginning of an entry that was handed out before all of it had come.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Begun {
    /// Where it begins: the offset of its first part.
    pub offset: u64,
    /// `None` for a recovery banner and for text before the first stamp.
    pub header: Option<Header>,
    /// Its text so far, all parts.
    pub text: String,
}

/// A piece of a log that is to be published: an entry, or what came of one after it had been handed out.
#[derive(Debug, Clone)]
pub struct Part {
    /// The position once this part is done.
    pub position: Position,
    /// Where it begins.
    pub offset: u64,
    pub entry: Entry,
    /// For the rest of an entry: what was handed out of it before.
    pub continues: Option<Arc<Begun>>,
}

impl Part {
    /// Whether there is nothing to tell: blank lines, the rest of a process dump, what lies past the text limit.
    pub fn is_silent(&self) -> bool {
        self.entry.header.is_none()
            && self.entry.repeated() == 0
            && self.entry.message_text().trim().is_empty()
    }
}

/// What one look at the files brought.
#[derive(Debug, Default)]
pub struct Look {
    pub parts: Vec<Part>,
    /// Whether there is more to be had at once.
    pub more: bool,
}

/// A log that could not be looked at. The next look may work.
#[derive(Debug, thiserror::Error)]
#[error("could not read log \"{path}\"")]
pub struct TailError {
    pub path: PathBuf,
    #[source]
    pub source: io::Error,
}

/// Follows the log at a path. [`Tail::look`] is called again and again, after the parts of the last look are done.
#[derive(Debug)]
pub struct Tail {
    path: PathBuf,
    quiet: Duration,
    start_at: StartAt,
    open: Option<OpenLog>,
    /// Where to go on, until a file is open.
    resume: Option<Position>,
    /// When the log was last written that was read to its end; younger ones come next.
    after: Option<SystemTime>,
    read: Vec<FileId>,
    /// A young live log whose head does not tell it yet: its length, and since when.
    unripe: Option<(u64, Instant)>,
}

impl Tail {
    /// `quiet`: after it the last entry counts as complete.
    pub fn new(path: &Path, resume: Option<Position>, quiet: Duration, start_at: StartAt) -> Self {
        let start_at = if resume.is_some() { StartAt::Beginning } else { start_at };
        Self {
            path: path.to_owned(),
            quiet,
            start_at,
            open: None,
            resume,
            after: None,
            read: Vec::new(),
            unripe: None,
        }
    }

    /// Looks at the files once, and reads at most 64 KiB.
    pub fn look(&mut self, now: Instant) -> Result<Look, TailError> {
        self.look_at_files(now).map_err(|source| TailError { path: self.path.clone(), source })
    }

    fn look_at_files(&mut self, now: Instant) -> io::Result<Look> {
        if self.open.is_none() {
            self.open = self.open_next(now)?;
        }
        let Some(open) = &mut self.open else { return Ok(Look::default()) };
        if open.is_rewritten()? {
            return self.leave_rewritten(now);
        }
        if open.read(now)? {
            return Ok(Look { parts: open.take_parts(), more: true });
        }
        let patience = if open.is_inside_line() { self.quiet * WITHIN_LINE } else { self.quiet };
        if now.saturating_duration_since(open.grown_at) < patience {
            return Ok(Look::default());
        }
        open.finish();
        let parts = open.take_parts();
        if !parts.is_empty() || !self.is_superseded()? {
            return Ok(Look { parts, more: false });
        }
        self.leave_rotated()?;
        Ok(Look { parts: Vec::new(), more: true })
    }

    /// Whether the live path is another file now, and nobody writes into the open one any more.
    fn is_superseded(&self) -> io::Result<bool> {
        let Some(open) = &self.open else { return Ok(false) };
        match fs::metadata(&self.path) {
            Ok(live) => Ok((live.dev(), live.ino()) != open.at()?),
            // Between the two halves of a rotation: the writer may still hold the file it began.
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(!open.was_live),
            Err(error) => Err(error),
        }
    }

    fn leave_rotated(&mut self) -> io::Result<()> {
        let Some(open) = self.open.take() else { return Ok(()) };
        self.after = Some(open.written()?);
        self.resume = Some(open.position());
        self.remember(open.id);
        Ok(())
    }

    /// The open file was cut off or written anew. What had come of its last entry is handed out; the rest of the log
    /// may lie in a copy that was made before.
    fn leave_rewritten(&mut self, now: Instant) -> io::Result<Look> {
        let Some(mut open) = self.open.take() else { return Ok(Look::default()) };
        open.finish();
        let parts = open.take_parts();
        let position = open.position();
        let same_head = open.id.matches(&open.file)?;
        tracing::info!(path = %self.path.display(), file = %position.file, "the log was cut off");
        if same_head {
            let length = open.file.metadata()?.len();
            let id = open.id.shortened();
            self.open = Some(OpenLog::fresh(open.file, id, length, now, open.was_live));
        } else {
            self.open = match folder::find(&self.path, &position.file, position.end + 1)? {
                Some(copy) => Some(OpenLog::resumed(copy.file, &position, now, false)?),
                None => None,
            };
            self.after = open.last_seen();
            self.resume = Some(position);
            self.remember(open.id);
        }
        Ok(Look { parts, more: true })
    }

    fn remember(&mut self, id: FileId) {
        self.read.push(id);
        if self.read.len() > REMEMBERED {
            self.read.remove(0);
        }
    }

    fn open_next(&mut self, now: Instant) -> io::Result<Option<OpenLog>> {
        if let Some(position) = self.resume.clone()
            && self.read.is_empty()
        {
            // The first look after a start.
            if let Some(open) = self.open_resumed(&position, now)? {
                self.resume = None;
                return Ok(Some(open));
            }
            tracing::warn!(path = %self.path.display(), file = %position.file, end = position.end,
                "the log that was read last is gone; going on with the live one");
            self.remember(position.file);
        }
        if let Some(after) = self.after
            && let Some(sibling) = folder::next_rotated(&self.path, after, &self.read)?
        {
            return self.open_rotated(sibling, now);
        }
        self.open_live(now)
    }

    /// The log of the position: in the live file, or beside it.
    fn open_resumed(&self, position: &Position, now: Instant) -> io::Result<Option<OpenLog>> {
        if let Some(live) = self.live()?
            && position.file.matches(&live)?
        {
            let length = live.metadata()?.len();
            if length >= position.end {
                return OpenLog::resumed(live, position, now, true).map(Some);
            }
            let id = position.file.shortened();
            return Ok(Some(OpenLog::fresh(live, id, length, now, true)));
        }
        match folder::find(&self.path, &position.file, position.end) {
            Ok(Some(sibling)) => OpenLog::resumed(sibling.file, position, now, false).map(Some),
            Ok(None) => Ok(None),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    fn open_rotated(&mut self, sibling: Sibling, now: Instant) -> io::Result<Option<OpenLog>> {
        let id = FileId::of(&sibling.file, true)?;
        self.after = Some(sibling.written);
        Ok(id.map(|id| OpenLog::fresh(sibling.file, id, 0, now, false)))
    }

    fn open_live(&mut self, now: Instant) -> io::Result<Option<OpenLog>> {
        let Some(live) = self.live()? else {
            // What comes into being from now on is new.
            self.start_at = StartAt::Beginning;
            return Ok(None);
        };
        let length = live.metadata()?.len();
        let Some(id) = self.identify(&live, length, now)? else { return Ok(None) };
        let resume = self.resume.take();
        if let Some(position) = resume
            && position.file.matches(&live)?
        {
            // The same log under another inode: it was moved with a copy.
            if length >= position.end {
                return OpenLog::resumed(live, &position, now, true).map(Some);
            }
            return Ok(Some(OpenLog::fresh(live, position.file.shortened(), length, now, true)));
        }
        let from = if self.start_at == StartAt::End { length } else { 0 };
        self.start_at = StartAt::Beginning;
        Ok(Some(OpenLog::fresh(live, id, from, now, true)))
    }

    /// The identity of the live log, once its head or a quiet time tells it.
    fn identify(&mut self, live: &File, length: u64, now: Instant) -> io::Result<Option<FileId>> {
        if length == 0 {
            self.start_at = StartAt::Beginning;
        }
        let since = match self.unripe {
            Some((known, since)) if known == length => since,
            _ => now,
        };
        let id = FileId::of(live, now.saturating_duration_since(since) >= self.quiet * WITHIN_LINE)?;
        self.unripe = id.is_none().then_some((length, since));
        Ok(id)
    }

    fn live(&self) -> io::Result<Option<File>> {
        match File::open(&self.path) {
            Ok(file) => Ok(Some(file)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }
}

#[cfg(test)]
mod tests;
