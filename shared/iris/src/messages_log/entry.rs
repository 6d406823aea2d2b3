use std::{borrow::Cow, sync::LazyLock};

use memchr::memmem::Finder;

use super::{
    Keep, Options, Severity, Timestamp,
    header::{BANNER, Category},
    usual::Head,
};

/// A process dump says this in its first lines; what follows prints shared memory, the license key included.
static DUMP: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new("IRISSTAT"));

/// One entry of a messages log: a stamped line with its continuation lines, a recovery banner, or the lines before the
/// first stamp.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Where the first byte of the entry lies, counted from where the reader started.
    pub offset: u64,
    /// The bytes as they lie in the file, line ends included: all of them, or as many as [`Keep`](super::Keep) says.
    pub raw: Vec<u8>,
    /// What the stamped line says; `None` for a recovery banner and for lines before the first stamp.
    pub header: Option<Header>,
    shape: Shape,
}

/// What stands before the text of a stamped line.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Header {
    /// Local time of the instance.
    pub timestamp: Timestamp,
    /// Process id of the writer on its host; 0 occurs in old files.
    pub process_id: u64,
    /// Absent in the oldest logs.
    pub severity: Option<Severity>,
    /// Without brackets. Absent before 2020, and in damaged repeat lines, where it is another message's.
    pub category: Option<String>,
}

/// An [`Entry`] that borrows its bytes: what [`Reader::read`](super::Reader::read) hands out, at no allocation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EntryRef<'a> {
    /// See [`Entry::offset`].
    pub offset: u64,
    /// See [`Entry::raw`].
    pub raw: &'a [u8],
    /// See [`Entry::header`].
    pub header: Option<HeaderRef<'a>>,
    shape: Shape,
}

/// A [`Header`] that borrows its category.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HeaderRef<'a> {
    /// See [`Header::timestamp`].
    pub timestamp: Timestamp,
    /// See [`Header::process_id`].
    pub process_id: u64,
    /// See [`Header::severity`].
    pub severity: Option<Severity>,
    /// See [`Header::category`].
    pub category: Option<Category<'a>>,
}

/// Where the text lies in `raw`, and what was left out of it. Small, for it is made for every entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Shape {
    /// Bytes of the entry past its text.
    dropped: u64,
    /// A header has no more than 256 bytes.
    text_at: u16,
    cut: Cut,
    damaged: bool,
    /// Whether the bytes past the text are part of `raw`.
    kept: bool,
}

impl Shape {
    /// Where the text ends in `raw`.
    #[inline]
    fn text_end(self, raw: &[u8]) -> usize {
        let past = if self.kept { usize::try_from(self.dropped).unwrap_or(usize::MAX) } else { 0 };
        raw.len().saturating_sub(past)
    }
}

/// Where a text ends before its entry does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Cut {
    #[default]
    Nowhere,
    AtLimit,
    AtDump,
}

/// An entry as the reader found it, before anything was read out of it.
pub(crate) struct Found<'a> {
    pub offset: u64,
    /// The entry's bytes, at least as many as the text limit and a header need.
    pub held: &'a [u8],
    /// How many bytes the entry has in the log.
    pub total: u64,
    pub head: Option<Head<'a>>,
    /// False when the entry is known to be one line.
    pub continued: bool,
    /// How the entry ended that these lines would have continued, had it not been handed out early.
    pub cut_above: Cut,
}

impl<'a> Found<'a> {
    /// An entry of one stamped line.
    #[inline]
    pub fn line(offset: u64, bytes: &'a [u8], head: Head<'a>) -> Self {
        let total = bytes.len() as u64;
        Self { offset, held: bytes, total, head: Some(head), continued: false, cut_above: Cut::Nowhere }
    }
}

impl Entry {
    /// The text: first line and continuation lines joined by `\n`, without the last line end and without the
    /// `...(repeated N times)` suffix; invalid UTF-8 is replaced. It ends before a process dump and at the text limit.
    pub fn message_text(&self) -> Cow<'_, str> {
        self.view().message_text()
    }

    /// How often IRIS says that the message came again; 0 when it came once.
    pub fn repeated(&self) -> u32 {
        self.view().repeated()
    }

    /// Bytes of the entry that [`message_text`](Self::message_text) leaves out at its end: past the text limit, or
    /// the process dump.
    pub fn dropped_bytes(&self) -> u64 {
        self.shape.dropped
    }

    /// Whether anything was left out of the text.
    pub fn truncated(&self) -> bool {
        self.shape.dropped > 0
    }

    /// Whether the entry holds a process dump. A dump prints shared memory, the license key included: it is never in
    /// [`message_text`](Self::message_text), and in `raw` only when the reader keeps everything.
    pub fn is_process_dump(&self) -> bool {
        self.shape.cut == Cut::AtDump
    }

    /// Whether the line was damaged by the repeat counter: the head of its text is lost and its category unknown.
    pub fn is_damaged_repeat(&self) -> bool {
        self.shape.damaged
    }

    /// Whether the entry is the banner that IRIS writes at a start, without a stamp.
    pub fn is_recovery_banner(&self) -> bool {
        self.view().is_recovery_banner()
    }

    /// The same entry, borrowed.
    pub fn view(&self) -> EntryRef<'_> {
        let header = self.header.as_ref().map(|header| HeaderRef {
            timestamp: header.timestamp,
            process_id: header.process_id,
            severity: header.severity,
            category: header.category.as_deref().map(Category::of),
        });
        EntryRef { offset: self.offset, raw: &self.raw, header, shape: self.shape }
    }
}

impl<'a> EntryRef<'a> {
    /// Finds the bounds of the text of an entry.
    #[inline]
    pub(crate) fn of(found: &Found<'a>, options: Options) -> Self {
        let header = found.head.map(|Head { stamp, rest }| HeaderRef {
            timestamp: stamp.timestamp,
            process_id: stamp.process_id,
            severity: rest.severity,
            category: rest.category,
        });
        let text_at = found.head.map_or(0, |head| head.rest.text_at);
        let (text_end, cut) = text_end(found, text_at, options.text_limit);
        let kept = options.keep == Keep::Whole;
        let shape = Shape {
            dropped: found.total.wrapping_sub(text_end as u64), // The text lies within the entry.
            text_at: u16::try_from(text_at).unwrap_or(u16::MAX),
            cut,
            damaged: found.head.is_some_and(|head| head.rest.damaged),
            kept,
        };
        let raw = if kept { found.held } else { &found.held[..text_end] };
        Self { offset: found.offset, raw, header, shape }
    }

    /// See [`Entry::message_text`].
    pub fn message_text(&self) -> Cow<'a, str> {
        let text = String::from_utf8_lossy(self.text_and_repeat().0);
        if memchr::memchr(b'\r', text.as_bytes()).is_none() {
            return text;
        }
        Cow::Owned(text.replace("\r\n", "\n"))
    }

    /// See [`Entry::repeated`].
    pub fn repeated(&self) -> u32 {
        self.text_and_repeat().1
    }

    /// See [`Entry::dropped_bytes`].
    pub fn dropped_bytes(&self) -> u64 {
        self.shape.dropped
    }

    /// See [`Entry::truncated`].
    pub fn truncated(&self) -> bool {
        self.shape.dropped > 0
    }

    /// See [`Entry::is_process_dump`].
    pub fn is_process_dump(&self) -> bool {
        self.shape.cut == Cut::AtDump
    }

    /// See [`Entry::is_damaged_repeat`].
    pub fn is_damaged_repeat(&self) -> bool {
        self.shape.damaged
    }

    /// See [`Entry::is_recovery_banner`].
    pub fn is_recovery_banner(&self) -> bool {
        self.header.is_none() && self.raw[line_ends_at_start(self.raw)..].starts_with(BANNER)
    }

    /// The bytes of the text as they lie in the log: continuation lines and their line ends, the repeat suffix and
    /// the last line end included.
    pub fn text_bytes(&self) -> &'a [u8] {
        &self.raw[usize::from(self.shape.text_at)..self.shape.text_end(self.raw)]
    }

    pub(crate) fn cut(&self) -> Cut {
        self.shape.cut
    }

    /// An entry of its own.
    pub fn to_entry(&self) -> Entry {
        let header = self.header.map(|header| Header {
            timestamp: header.timestamp,
            process_id: header.process_id,
            severity: header.severity,
            category: header.category.map(|category| category.as_str().to_owned()),
        });
        Entry { offset: self.offset, raw: self.raw.to_vec(), header, shape: self.shape }
    }

    fn text_and_repeat(&self) -> (&'a [u8], u32) {
        let text = self.text_bytes();
        // Blank lines above a recovery banner are no part of what it says.
        let text = if self.header.is_none() { &text[line_ends_at_start(text)..] } else { text };
        if self.shape.cut == Cut::AtLimit {
            return (without_line_end(text), 0);
        }
        // The suffix stands at the end of the last line that has anything on it: blank lines that came later, above
        // a dump or at the end of the file, are no part of the message then.
        let trimmed = without_line_ends(text);
        if let Some((text, repeated)) = split_repeat(trimmed) {
            return (text, repeated);
        }
        (if self.shape.cut == Cut::AtDump { trimmed } else { without_line_end(text) }, 0)
    }
}

fn without_line_ends(text: &[u8]) -> &[u8] {
    let end = text.iter().rposition(|byte| !matches!(byte, b'\r' | b'\n')).map_or(0, |at| at + 1);
    &text[..end]
}

fn line_ends_at_start(text: &[u8]) -> usize {
    text.iter().position(|byte| !matches!(byte, b'\r' | b'\n')).unwrap_or(text.len())
}

fn without_line_end(text: &[u8]) -> &[u8] {
    text.strip_suffix(b"\r\n").or_else(|| text.strip_suffix(b"\n")).unwrap_or(text)
}

/// Splits `...(repeated N times)` off the end.
pub(crate) fn split_repeat(text: &[u8]) -> Option<(&[u8], u32)> {
    let head = text.strip_suffix(b" times)")?;
    let digits = head.iter().rev().take(10).take_while(|byte| byte.is_ascii_digit()).count();
    let (head, digits) = head.split_at(head.len() - digits);
    let text = head.strip_suffix(b"...(repeated ")?;
    // IRIS counts from one; another writing would not print back.
    let written = std::str::from_utf8(digits).ok().filter(|digits| !digits.starts_with('0'))?;
    Some((text, written.parse().ok()?))
}

/// Where the text of an entry ends: with it, at the limit or above a process dump.
#[inline]
fn text_end(found: &Found<'_>, text_at: usize, text_limit: usize) -> (usize, Cut) {
    // A stamped line itself is written by the message call, so a dump can only begin below it.
    let one_line = !found.continued && found.head.is_some();
    if one_line && found.held.len() <= text_at.saturating_add(text_limit) {
        return (found.held.len(), Cut::Nowhere);
    }
    text_end_of_many(found, text_at, text_limit)
}

#[inline(never)]
fn text_end_of_many(found: &Found<'_>, text_at: usize, text_limit: usize) -> (usize, Cut) {
    if found.head.is_none() && found.cut_above != Cut::Nowhere {
        return (text_at, found.cut_above);
    }
    let limit = text_at.saturating_add(text_limit);
    let (end, cut) = match found.held.get(limit) {
        Some(_) => (character_start(found.held, limit).max(text_at), Cut::AtLimit),
        None => (found.held.len(), Cut::Nowhere),
    };
    if !found.continued && found.head.is_some() {
        return (end, cut);
    }
    dump_start(&found.held[..end], found.head.is_some()).map_or((end, cut), |start| (start, Cut::AtDump))
}

fn character_start(bytes: &[u8], at: usize) -> usize {
    let is_inside = |at: &usize| bytes[*at] & 0b1100_0000 == 0b1000_0000;
    (at.saturating_sub(3)..=at).rev().find(|at| !is_inside(at)).unwrap_or(at)
}

/// Where the first line of a process dump begins.
fn dump_start(bytes: &[u8], below_first_line: bool) -> Option<usize> {
    let from = if below_first_line { memchr::memchr(b'\n', bytes)? + 1 } else { 0 };
    let mark = from + DUMP.find(&bytes[from..])?;
    Some(memchr::memrchr(b'\n', &bytes[from..mark]).map_or(from, |line_end| from + line_end + 1))
}
