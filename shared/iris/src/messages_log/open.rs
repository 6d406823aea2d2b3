use super::{
    Keep, Options,
    entry::{Cut, EntryRef, Found},
    header::{LineStart, Stamp},
    usual::Head,
};

/// A header needs no more than this before its text: stamp, process id, severity, category.
const HEADER_ROOM: usize = 256;

/// Who takes entries.
pub(super) type Sink<'s> = &'s mut dyn FnMut(EntryRef<'_>);

/// The entry whose end has not been seen, as far as earlier chunks brought it.
#[derive(Debug, Clone, Default)]
pub(super) struct Open {
    stamp: Option<Stamp>,
    body: Held,
    /// Blank lines at its end: the recovery banner takes them along if it comes next.
    blanks: Held,
    /// The beginning of a line that is too short to tell what it starts.
    prefix: Vec<u8>,
    continued: bool,
    /// How the last entry ended, when it was handed out early and these lines may go on with it.
    pub cut_above: Cut,
    /// Whether the next byte goes on with a line that is already part of `body`.
    pub inside_line: bool,
}

/// Bytes up to a bound, and the count of all of them.
#[derive(Debug, Clone, Default)]
struct Held {
    bytes: Vec<u8>,
    total: u64,
}

impl Held {
    fn push(&mut self, bytes: &[u8], bound: usize) {
        let room = bound.saturating_sub(self.bytes.len());
        self.bytes.extend_from_slice(&bytes[..bytes.len().min(room)]);
        self.total += bytes.len() as u64;
    }

    fn append(&mut self, other: &mut Self, bound: usize) {
        let total = self.total + other.total;
        self.push(&other.bytes, bound);
        self.total = total;
        other.clear();
    }

    fn clear(&mut self) {
        self.bytes.clear();
        self.total = 0;
    }
}

impl Open {
    /// Takes the end of a chunk: `body` is what is decided, `blanks` the blank lines after it, `prefix` what is not.
    pub fn keep(&mut self, stamp: Option<Stamp>, parts: [&[u8]; 3], continued: bool, options: Options) {
        let [body, blanks, prefix] = parts;
        self.stamp = stamp;
        self.body.push(body, bound(options));
        self.blanks.push(blanks, bound(options));
        self.prefix.extend_from_slice(prefix);
        self.continued = continued;
        self.inside_line =
            prefix.is_empty() && blanks.is_empty() && !body.is_empty() && !body.ends_with(b"\n");
    }

    pub fn is_empty(&self) -> bool {
        self.total() == 0
    }

    pub fn total(&self) -> u64 {
        self.body.total + self.blanks.total + self.prefix.len() as u64
    }

    /// Whether the last byte taken ended a line.
    pub fn line_complete(&self) -> bool {
        !self.inside_line && self.prefix.is_empty()
    }

    /// The undecided beginning of a line, to be lengthened until it tells.
    pub fn prefix(&mut self) -> &mut Vec<u8> {
        &mut self.prefix
    }

    /// Adds bytes of a line that goes on with this entry.
    pub fn push(&mut self, bytes: &[u8], options: Options) {
        self.body.push(bytes, bound(options));
        self.inside_line = !bytes.ends_with(b"\n");
    }

    /// Adds the start of a line that turned out to be of this kind and to begin no entry.
    pub fn push_line_start(&mut self, kind: LineStart, bytes: &[u8], options: Options) {
        self.continued |= self.body.total + self.blanks.total > 0;
        if kind == LineStart::Blank {
            self.blanks.push(bytes, bound(options));
            return;
        }
        self.body.append(&mut self.blanks, bound(options));
        self.push(bytes, options);
    }

    /// Moves the undecided beginning of a line out, as the start of a line of this kind.
    pub fn settle_prefix(&mut self, kind: LineStart, options: Options) {
        let prefix = std::mem::take(&mut self.prefix);
        self.push_line_start(kind, &prefix, options);
        self.reuse_prefix(prefix);
    }

    /// Hands out the entry at `offset` without the blank lines at its end, which stay as the start of a banner.
    pub fn emit_before_banner(&mut self, offset: u64, options: Options, sink: Sink<'_>) -> u64 {
        let taken = self.emit_body(offset, options, sink);
        let mut blanks = std::mem::take(&mut self.blanks);
        self.body.append(&mut blanks, bound(options));
        self.continued = self.body.total > 0;
        taken
    }

    /// Hands out the entry at `offset`, its blank lines included; tells how many bytes it had in the log.
    pub fn emit(&mut self, offset: u64, options: Options, sink: Sink<'_>) -> u64 {
        let mut blanks = std::mem::take(&mut self.blanks);
        self.body.append(&mut blanks, bound(options));
        self.emit_body(offset, options, sink)
    }

    fn emit_body(&mut self, offset: u64, options: Options, sink: Sink<'_>) -> u64 {
        let total = self.body.total;
        if total > 0 {
            let (bytes, continued) = (self.body.bytes.as_slice(), self.continued);
            let cut_above = self.cut_above;
            let head = self.stamp.map(|stamp| Head { stamp, rest: stamp.rest(bytes) });
            sink(EntryRef::of(&Found { offset, held: bytes, total, head, continued, cut_above }, options));
        }
        self.body.clear();
        self.stamp = None;
        self.continued = false;
        self.cut_above = Cut::Nowhere;
        total
    }

    /// Begins a new entry with the undecided line that turned out to start it.
    pub fn start_with_prefix(&mut self, stamp: Option<Stamp>, options: Options) {
        let prefix = std::mem::take(&mut self.prefix);
        self.stamp = stamp;
        self.push(&prefix, options);
        self.reuse_prefix(prefix);
    }

    fn reuse_prefix(&mut self, mut prefix: Vec<u8>) {
        prefix.clear();
        self.prefix = prefix;
    }
}

/// How many bytes of an entry are held in memory.
fn bound(options: Options) -> usize {
    match options.keep {
        Keep::Whole => usize::MAX,
        Keep::Bounded => options.text_limit.saturating_add(HEADER_ROOM),
    }
}
