use super::{
    entry::{Cut, Entry, EntryRef, Found},
    header::{DECIDED_WITHIN, LineStart, Stamp},
    open::{Open, Sink},
    timestamp::Recent,
    usual::Head,
};

/// Cuts the bytes of a messages log into entries, chunk by chunk.
///
/// Invariant: the entries are the same however the bytes are cut into chunks.
/// Invariant: with [`Keep::Whole`], the `raw` fields put together are the bytes that went in.
/// Invariant: with [`Keep::Bounded`], the memory held is bounded by the text limit, whatever comes in.
///
/// An entry is complete only when the next one begins, so the last one stays [`pending`](Self::pending) until
/// [`finish`](Self::finish): a tailer calls it after a quiet time, or the last words of a frozen instance never leave.
#[derive(Debug, Clone)]
pub struct Reader {
    options: Options,
    /// Where the first byte of the open entry lies.
    offset: u64,
    open: Open,
    recent: Option<Recent>,
}

/// How much of an entry a [`Reader`] keeps.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Options {
    /// Bytes of text that `message_text` gives at most.
    pub text_limit: usize,
    /// What `raw` holds.
    pub keep: Keep,
}

/// What the `raw` field of an entry holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Keep {
    /// Every byte, as `log parse` needs it.
    Whole,
    /// The header and the bytes that make the text; nothing past the text limit, nothing of a process dump. For a
    /// tailer, whose entries leave the host.
    Bounded,
}

/// The entry that a [`Reader`] has begun and not handed out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pending {
    /// Where its first byte lies.
    pub offset: u64,
    /// How many bytes of it have come.
    pub bytes: u64,
    /// Whether the last of them ended a line; a tailer that waits for quiet should wait for this too.
    pub line_complete: bool,
}

impl Options {
    /// 64 KiB.
    pub const DEFAULT_TEXT_LIMIT: usize = 64 * 1024;

    /// Everything is kept in `raw`.
    pub const fn whole() -> Self {
        Self { text_limit: Self::DEFAULT_TEXT_LIMIT, keep: Keep::Whole }
    }

    /// No entry costs more memory than the text limit.
    pub const fn bounded() -> Self {
        Self { text_limit: Self::DEFAULT_TEXT_LIMIT, keep: Keep::Bounded }
    }
}

/// Cuts bytes that are all there into entries; nothing is left out of their `raw`.
pub fn parse(bytes: &[u8]) -> Vec<Entry> {
    let mut reader = Reader::new(Options::whole());
    let mut entries = reader.push(bytes);
    entries.extend(reader.finish());
    entries
}

/// Where the first stamped line begins that follows a line end in `bytes`, or `None` when it does not show. Whatever comes
/// before it, an entry begins there: so a log can be cut into parts that are read side by side.
pub fn next_stamped_line(bytes: &[u8]) -> Option<usize> {
    let starts = memchr::memchr_iter(b'\n', bytes).map(|line_end| line_end + 1);
    starts.into_iter().find(|start| matches!(LineStart::of(&bytes[*start..]), LineStart::Stamped(_)))
}

impl Reader {
    /// A reader at the start of a log.
    pub fn new(options: Options) -> Self {
        Self::starting_at(options, 0)
    }

    /// A reader that is given the bytes from `offset` on, which should be the start of a line.
    pub fn starting_at(options: Options, offset: u64) -> Self {
        Self { options, offset, open: Open::default(), recent: None }
    }

    /// Takes the next bytes and returns the entries that they complete.
    pub fn push(&mut self, bytes: &[u8]) -> Vec<Entry> {
        let mut entries = Vec::new();
        self.read(bytes, |entry| entries.push(entry.to_entry()));
        entries
    }

    /// Takes the next bytes and shows `sink` the entries that they complete; those that lie whole in `bytes` are
    /// not copied.
    pub fn read(&mut self, bytes: &[u8], mut sink: impl FnMut(EntryRef<'_>)) {
        let rest = self.close_open(bytes, &mut |entry| sink(entry));
        if !rest.is_empty() {
            self.scan(rest, &mut sink);
        }
    }

    /// The end of the log, or a quiet time: hands out the entry that is still open.
    ///
    /// Bytes may follow. Lines that would have continued the entry then make one without a header, whose text is
    /// empty when that of the entry was cut.
    pub fn finish(&mut self) -> Option<Entry> {
        if !self.open.prefix().is_empty() {
            // Nothing that the end of the bytes leaves undecided begins an entry.
            self.open.settle_prefix(LineStart::Continuation, self.options);
        }
        let mut last = None;
        let mut cut = self.open.cut_above;
        self.offset += self.open.emit(self.offset, self.options, &mut |entry: EntryRef<'_>| {
            cut = entry.cut();
            last = Some(entry.to_entry());
        });
        // What was cut off stays cut off: the rest of a process dump may come only now.
        self.open.cut_above = cut;
        last
    }

    /// What has come of an entry that is not complete; `None` when everything was handed out.
    pub fn pending(&self) -> Option<Pending> {
        let pending = Pending {
            offset: self.offset,
            bytes: self.open.total(),
            line_complete: self.open.line_complete(),
        };
        (!self.open.is_empty()).then_some(pending)
    }

    /// Goes on with the entry that an earlier chunk left open, up to a line that begins an entry and lies whole in
    /// `bytes`; returns the bytes from there.
    #[inline(never)]
    fn close_open<'b>(&mut self, bytes: &'b [u8], sink: Sink<'_>) -> &'b [u8] {
        let mut rest = bytes;
        while !rest.is_empty() {
            if self.open.inside_line {
                let end = memchr::memchr(b'\n', rest).map_or(rest.len(), |line_end| line_end + 1);
                self.open.push(&rest[..end], self.options);
                rest = &rest[end..];
            } else if self.open.prefix().is_empty() {
                if self.open.is_empty() {
                    return rest;
                }
                match LineStart::of(rest) {
                    LineStart::Stamped(_) => {
                        self.offset += self.open.emit(self.offset, self.options, sink);
                        return rest;
                    }
                    LineStart::Banner => {
                        self.offset += self.open.emit_before_banner(self.offset, self.options, sink);
                        if self.open.is_empty() {
                            return rest;
                        }
                        // The blank lines are held, so the banner is too; one byte of it puts us inside its line.
                        self.open.push(&rest[..1], self.options);
                        rest = &rest[1..];
                    }
                    LineStart::Undecided => {
                        self.open.prefix().extend_from_slice(rest);
                        return &[];
                    }
                    kind @ (LineStart::Blank | LineStart::Continuation) => {
                        let end = memchr::memchr(b'\n', rest).map_or(rest.len(), |line_end| line_end + 1);
                        self.open.push_line_start(kind, &rest[..end], self.options);
                        rest = &rest[end..];
                    }
                }
            } else {
                rest = self.lengthen_prefix(rest, sink);
            }
        }
        rest
    }

    /// Adds bytes to the undecided beginning of a line and decides if they suffice; returns what is left of them.
    fn lengthen_prefix<'b>(&mut self, bytes: &'b [u8], sink: Sink<'_>) -> &'b [u8] {
        let prefix = self.open.prefix();
        let window = &bytes[..bytes.len().min(DECIDED_WITHIN - prefix.len())];
        let end = memchr::memchr(b'\n', window).map_or(window.len(), |line_end| line_end + 1);
        prefix.extend_from_slice(&window[..end]);
        match LineStart::of(prefix) {
            LineStart::Undecided => {}
            LineStart::Stamped(stamp) => {
                self.offset += self.open.emit(self.offset, self.options, sink);
                self.open.start_with_prefix(Some(stamp), self.options);
            }
            LineStart::Banner => {
                self.offset += self.open.emit_before_banner(self.offset, self.options, sink);
                self.open.start_with_prefix(None, self.options);
            }
            kind @ (LineStart::Blank | LineStart::Continuation) => {
                self.open.settle_prefix(kind, self.options);
            }
        }
        &bytes[end..]
    }

    /// Cuts bytes that begin at the start of a line, with no entry open; keeps what may go on in the next chunk.
    fn scan(&mut self, bytes: &[u8], sink: &mut impl FnMut(EntryRef<'_>)) {
        let mut current =
            Current { cut_above: std::mem::take(&mut self.open.cut_above), ..Current::default() };
        let mut at = 0;
        loop {
            at = self.usual_lines(bytes, at, &mut current, sink);
            if at == bytes.len() {
                break;
            }
            match self.unusual(bytes, at, &mut current) {
                Begins::Entry(next) => {
                    self.end(&current, bytes, next.from, &mut |entry| sink(entry));
                    current = next;
                }
                Begins::Nothing => {}
                Begins::Undecided => break,
            }
            let Some(line_end) = memchr::memchr(b'\n', &bytes[at..]) else {
                at = bytes.len();
                break;
            };
            at += line_end + 1;
        }
        let body_end = current.blank_from.unwrap_or(at);
        let parts = [&bytes[current.from..body_end], &bytes[body_end..at], &bytes[at..]];
        self.offset += current.from as u64;
        self.open.cut_above = current.cut_above;
        self.open.keep(current.stamp(), parts, current.continued, self.options);
    }

    /// Goes over lines that are as most are, from the one at `at` on; tells where the first other one begins. Each of
    /// them begins an entry, and ends the one before.
    #[inline]
    fn usual_lines<'b>(
        &self,
        bytes: &'b [u8],
        at: usize,
        current: &mut Current<'b>,
        sink: &mut impl FnMut(EntryRef<'_>),
    ) -> usize {
        let Some(recent) = self.recent else { return at };
        let Some(mut head) = first_usual(&bytes[at..], &recent) else { return at };
        self.end(current, bytes, at, &mut |entry| sink(entry));
        let mut from = at;
        let stopped_at = loop {
            // A header has no line end. Where its text begins is not waited for, so the search runs beside the reading.
            let searched_from = from + Head::SHORTEST;
            let Some(line_end) = memchr::memchr(b'\n', &bytes[searched_from..]) else { break bytes.len() };
            let next_at = searched_from + line_end + 1;
            let Some(next) = Head::usual(&bytes[next_at..], &recent) else { break next_at };
            let (line, offset) = (&bytes[from..next_at], self.offset.wrapping_add(from as u64));
            sink(EntryRef::of(&Found::line(offset, line, head), self.options));
            (head, from) = (next, next_at);
        };
        *current = Current { from, head: Some(head), ..Current::default() };
        stopped_at
    }

    /// Hands out the entry that ends at `to`, when there is one.
    fn end(&self, current: &Current<'_>, bytes: &[u8], to: usize, sink: Sink<'_>) {
        let lines = &bytes[current.from..to];
        if lines.is_empty() {
            return;
        }
        let &Current { from, head, continued, cut_above, .. } = current;
        let (offset, total) = (self.offset + from as u64, lines.len() as u64);
        sink(EntryRef::of(&Found { offset, held: lines, total, head, continued, cut_above }, self.options));
    }

    /// What a line is that is not as most are. One that goes on with an entry is taken into it.
    #[inline(never)]
    fn unusual<'b>(&mut self, bytes: &'b [u8], at: usize, current: &mut Current<'b>) -> Begins<'b> {
        let line = &bytes[at..];
        match LineStart::of(line) {
            LineStart::Stamped(stamp) => {
                self.recent = Recent::of(line, stamp.timestamp).or(self.recent);
                let head = Some(Head { stamp, rest: stamp.rest(line) });
                Begins::Entry(Current { from: at, head, ..Current::default() })
            }
            LineStart::Banner => {
                let from = current.blank_from.unwrap_or(at);
                Begins::Entry(Current { from, continued: from < at, ..Current::default() })
            }
            LineStart::Undecided => Begins::Undecided,
            LineStart::Blank => {
                current.continued |= at > current.from;
                current.blank_from.get_or_insert(at);
                Begins::Nothing
            }
            LineStart::Continuation => {
                current.continued |= at > current.from;
                current.blank_from = None;
                Begins::Nothing
            }
        }
    }
}

/// Called where a run of usual lines begins, so that [`Head::usual`] stands only in the loop over them.
#[inline(never)]
fn first_usual<'b>(line: &'b [u8], recent: &Recent) -> Option<Head<'b>> {
    Head::usual(line, recent)
}

/// What a line begins.
enum Begins<'b> {
    Entry(Current<'b>),
    Nothing,
    Undecided,
}

/// The entry that a scan is in.
#[derive(Default)]
struct Current<'b> {
    from: usize,
    head: Option<Head<'b>>,
    /// Where the blank lines begin that its last lines are.
    blank_from: Option<usize>,
    continued: bool,
    cut_above: Cut,
}

impl Current<'_> {
    fn stamp(&self) -> Option<Stamp> {
        self.head.map(|head| head.stamp)
    }
}
