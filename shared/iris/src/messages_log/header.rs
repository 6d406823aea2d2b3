//! What a line says about itself in its first columns, and what follows in a stamped one.

use std::fmt;

use super::{Severity, Timestamp, timestamp::Recent};

/// How the recovery banner begins, the only unstamped line that starts an entry (messages-log.md, section 3).
pub(crate) const BANNER: &[u8] = b"*** Recovery started at ";

/// More bytes than the longest line start that decides: stamp 21, blank and bracket 2, process id 20, two after it.
pub(crate) const DECIDED_WITHIN: usize = 64;

/// The process id may be padded with blanks on the left; so wide a field holds any of them.
const PROCESS_ID_WIDTH: usize = 20;

/// A longer name in brackets is text. The longest category seen has 31 characters.
const CATEGORY_WIDTH: usize = 128;

/// What the first bytes of a line make of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum LineStart {
    /// A stamped line: a new entry.
    Stamped(Stamp),
    /// The recovery banner: a new entry without a stamp.
    Banner,
    /// Nothing but a line end; it may belong to a banner below.
    Blank,
    /// Anything else: it continues the entry above.
    Continuation,
    /// The bytes end too early to tell.
    Undecided,
}

/// The part of a header that decides that a line is one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Stamp {
    pub timestamp: Timestamp,
    pub process_id: u64,
    /// Bytes up to and with the closing bracket of the process id.
    pub length: usize,
}

/// Where the parts after the stamp lie in an entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Rest<'a> {
    pub severity: Option<Severity>,
    pub category: Option<Category<'a>>,
    pub text_at: usize,
    pub damaged: bool,
}

/// All that stands before the text of a stamped line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Head<'a> {
    pub stamp: Stamp,
    pub rest: Rest<'a>,
}

impl<'a> Head<'a> {
    /// No header that [`usual`](Self::usual) reads is shorter: stamp, ` (1) 0 [A]`.
    pub const SHORTEST: usize = Timestamp::LENGTH + 10;

    /// Reads the header of a line as most are: of the same ten minutes as `recent`, with process id, severity and a
    /// category of letters and dots, and not at the end of the bytes. What this gives, [`LineStart::of`] and
    /// [`Stamp::rest`] give too; where it gives nothing, they decide.
    // Its answer is larger than what it does: handed back through memory it costs a quarter more.
    #[inline(always)]
    pub fn usual(line: &'a [u8], recent: &Recent) -> Option<Self> {
        const MARKS: u64 = u64::from_le_bytes([0xff, 0xff, 0xfc, 0xff, 0xff, 0, 0, 0]);
        const WANTED: u64 = u64::from_le_bytes(*b") 0 [\0\0\0");
        let window: &[u8; 64] = line.first_chunk()?;
        let timestamp = recent.read(window.first_chunk()?)?;
        if [window[Timestamp::LENGTH], window[Timestamp::LENGTH + 1]] != *b" (" {
            return None;
        }
        let (process_id, digits) = number_below_ten_million(word(window, Timestamp::LENGTH + 2))?;
        let closed_at = Timestamp::LENGTH + 2 + (digits & 7);
        // `) S [`, where the two lowest bits of the digit say which severity it is.
        if word(window, closed_at) & MARKS != WANTED {
            return None;
        }
        let severity = Severity::from_digit(window[closed_at + 2] & 3);
        let name_at = closed_at + 5;
        let words = [word(window, name_at), word(window, name_at + 8), word(window, name_at + 16)];
        let closed = name_at + letters_and_dots(words);
        if window[closed] != b']' || !window[name_at].is_ascii_alphabetic() {
            return None; // No category, or a longer one.
        }
        let text_at = closed + 1 + usize::from(window[closed + 1] == b' ');
        if window[text_at] == b'd' {
            return None; // It may be damaged.
        }
        let stamp = Stamp { timestamp, process_id, length: closed_at + 1 };
        let category = Some(Category(&window[name_at..closed]));
        Some(Self { stamp, rest: Rest { severity, category, text_at, damaged: false } })
    }
}

#[inline]
fn word(window: &[u8; 64], at: usize) -> u64 {
    window[at..].first_chunk().map_or(0, |bytes| u64::from_le_bytes(*bytes))
}

/// The number that the first one to seven of eight bytes are, and how many they are; something else must follow.
#[inline]
fn number_below_ten_million(bytes: u64) -> Option<(u64, usize)> {
    let values = bytes ^ (ONES * 0x30);
    let outside = (values | (values & !TOP_BITS).wrapping_add(ONES * (0x7f - 9))) & TOP_BITS;
    let digits = outside.trailing_zeros() / 8;
    if digits == 0 || digits > 7 {
        return None;
    }
    // The digits move up to the end, with zeros before them; then two, four and eight of them make a number each.
    let aligned = values << (64 - digits * 8);
    let pairs = aligned.wrapping_mul(10).wrapping_add(aligned >> 8) & 0x00ff_00ff_00ff_00ff;
    let fours = pairs.wrapping_mul(100).wrapping_add(pairs >> 16) & 0x0000_ffff_0000_ffff;
    let number = fours.wrapping_mul(10_000).wrapping_add(fours >> 32) & 0xffff_ffff;
    Some((number, digits as usize))
}

/// How many of 24 bytes at their start are letters and dots. Without a branch, for nothing foretells it.
#[inline]
fn letters_and_dots(words: [u64; 3]) -> usize {
    // Gathers the top bits of eight bytes in one.
    let others = |word: u64| {
        let plain = (letters(word & !TOP_BITS) | same(word & !TOP_BITS, b'.')) & !word;
        ((!plain & TOP_BITS) >> 7).wrapping_mul(0x0102_0408_1020_4080) >> 56
    };
    let [first, second, third] = words.map(others);
    (first | second << 8 | third << 16 | 1 << 24).trailing_zeros() as usize
}

impl LineStart {
    /// Decides on the bytes from the start of a line on; they may go on past its end.
    #[inline]
    pub fn of(line: &[u8]) -> Self {
        match line.first() {
            None => Self::Undecided,
            Some(b'0'..=b'9') => match Stamp::at_start_of(line) {
                Some(stamp) => Self::Stamped(stamp),
                None => Self::continuation_if(is_decided(line)),
            },
            Some(b'*') if line.starts_with(BANNER) => Self::Banner,
            Some(b'*') => Self::continuation_if(is_decided(line) || !BANNER.starts_with(line)),
            Some(b'\n') => Self::Blank,
            Some(b'\r') => match line.get(1) {
                None => Self::Undecided,
                Some(b'\n') => Self::Blank,
                Some(_) => Self::Continuation,
            },
            Some(_) => Self::Continuation,
        }
    }

    fn continuation_if(decided: bool) -> Self {
        if decided { Self::Continuation } else { Self::Undecided }
    }
}

fn is_decided(line: &[u8]) -> bool {
    line.len() >= DECIDED_WITHIN || memchr::memchr(b'\n', line).is_some()
}

impl Stamp {
    #[inline]
    fn at_start_of(line: &[u8]) -> Option<Self> {
        let (timestamp, length) = Timestamp::at_start_of(line)?;
        let after = line.get(length..)?.strip_prefix(b" (")?;
        let field = &after[..after.len().min(PROCESS_ID_WIDTH + 1)];
        let padding = field.iter().take_while(|byte| **byte == b' ').count();
        let mut process_id: u64 = 0;
        let mut at = padding;
        while let Some(digit) = field.get(at).map(|byte| byte.wrapping_sub(b'0')).filter(|digit| *digit < 10)
        {
            process_id = process_id.checked_mul(10)?.checked_add(u64::from(digit))?;
            at += 1;
        }
        let closed = at > padding && field.get(at) == Some(&b')');
        let apart = match after.get(at + 1)? {
            b' ' | b'\n' => true,
            b'\r' => after.get(at + 2) == Some(&b'\n'),
            _ => false,
        };
        (closed && apart).then_some(Self { timestamp, process_id, length: length + 2 + at + 1 })
    }

    /// Reads severity and category of an entry that begins with this stamp.
    #[inline]
    pub fn rest<'a>(&self, entry: &'a [u8]) -> Rest<'a> {
        let mut at = self.length + usize::from(entry.get(self.length) == Some(&b' '));
        if self.timestamp.year().is_none() {
            // The old shape knows neither severity nor category; a digit here is text.
            return Rest { severity: None, category: None, text_at: at, damaged: false };
        }
        let severity = severity(&entry[at..]);
        if severity.is_some() {
            at += 1 + usize::from(entry.get(at + 1) == Some(&b' '));
        }
        let category = category(&entry[at..]);
        if let Some(Category(name)) = category {
            at += name.len() + 2;
            at += usize::from(entry.get(at) == Some(&b' '));
        }
        let damaged = is_damaged(&entry[at..]);
        Rest { severity, category: category.filter(|_| !damaged), text_at: at, damaged }
    }
}

fn severity(rest: &[u8]) -> Option<Severity> {
    let severity = Severity::from_digit(rest.first()?.wrapping_sub(b'0'))?;
    matches!(&rest[1..], [] | [b' ' | b'\n', ..] | [b'\r', b'\n', ..]).then_some(severity)
}

/// The name of a category: a letter, then letters, digits, dots and underscores.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Category<'a>(&'a [u8]);

impl<'a> Category<'a> {
    /// That of a header which was read.
    pub(crate) fn of(name: &'a str) -> Self {
        Self(name.as_bytes())
    }

    /// The name, without brackets.
    pub fn as_str(self) -> &'a str {
        std::str::from_utf8(self.0).expect("the bytes were judged: they are ASCII")
    }

    /// The bytes of the name, which are ASCII.
    #[inline]
    pub fn as_bytes(self) -> &'a [u8] {
        self.0
    }
}

impl fmt::Display for Category<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.pad(self.as_str())
    }
}

impl fmt::Debug for Category<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.as_str().fmt(formatter)
    }
}

/// The name in brackets at the start of `rest`. `[SYSTEM MONITOR]` holds a blank, so it is text.
pub(crate) fn category(rest: &[u8]) -> Option<Category<'_>> {
    let name = rest.strip_prefix(b"[")?;
    let window = &name[..name.len().min(CATEGORY_WIDTH + 1)];
    let length = category_length(window)?;
    let closed = name[length] == b']' && name[0].is_ascii_alphabetic();
    closed.then(|| Category(&name[..length]))
}

/// How many bytes at the start may be of a category; `None` when all may.
#[inline]
fn category_length(window: &[u8]) -> Option<usize> {
    let mut at = 0;
    while let Some(word) = window.get(at..).and_then(|rest| rest.first_chunk::<8>()) {
        let outside = !in_category(u64::from_le_bytes(*word)) & TOP_BITS;
        if outside != 0 {
            return Some(at + outside.trailing_zeros() as usize / 8);
        }
        at += 8;
    }
    let rest = window[at..].iter().position(|byte| !IN_CATEGORY[usize::from(*byte)])?;
    Some(at + rest)
}

const TOP_BITS: u64 = 0x8080_8080_8080_8080;
const ONES: u64 = 0x0101_0101_0101_0101;

/// Sets the top bit of each of eight bytes that may be of a category; the other bits say nothing.
#[inline]
const fn in_category(word: u64) -> u64 {
    let low = word & !TOP_BITS;
    (letters(low) | between(low, b'0', b'9') | same(low, b'.') | same(low, b'_')) & !word
}

/// Sets the top bit of each letter; all bytes must be below 128, and the other bits say nothing.
#[inline]
const fn letters(bytes: u64) -> u64 {
    // A small letter where the byte was a letter of either case, and nowhere else.
    between(bytes | (ONES * 0x20), b'a', b'z')
}

/// Sets the top bit of each byte that is this one; all bytes must be below 128, and the other bits say nothing.
#[inline]
const fn same(bytes: u64, byte: u8) -> u64 {
    TOP_BITS - (bytes ^ (ONES * byte as u64))
}

/// Sets the top bit of each byte from `low` to `high`; all bytes must be below 128, and the other bits say nothing.
#[inline]
const fn between(bytes: u64, low: u8, high: u8) -> u64 {
    let at_least = bytes.wrapping_add(ONES * (0x80 - low as u64));
    let above = bytes.wrapping_add(ONES * (0x7f - high as u64));
    at_least & !above
}

/// Letters, digits, dot and underscore, as a table: the reader asks for every byte of every category.
static IN_CATEGORY: [bool; 256] = {
    let mut table = [false; 256];
    let mut byte = 0_u8;
    while byte < 128 {
        table[byte as usize] = byte.is_ascii_alphanumeric() || byte == b'.' || byte == b'_';
        byte += 1;
    }
    table
};

/// The counter flush of 2025.2 and 2026.1 can write a shifted copy of an older category in front of a text that has
/// lost its head; the category of such a line is that of another message (messages-log.md, section 3).
pub(crate) fn is_damaged(text: &[u8]) -> bool {
    text.starts_with(b"dRO] ") || text.starts_with(b"dRW] ")
}

#[cfg(test)]
mod tests {
    use super::{Head, LineStart};
    use crate::messages_log::timestamp::Recent;

    fn check(line: &str, expected: &str) {
        let found = match LineStart::of(line.as_bytes()) {
            LineStart::Stamped(stamp) => {
                let rest = stamp.rest(line.as_bytes());
                let text = &line[rest.text_at..];
                format!("{} {:?} {:?} {:?}", stamp.process_id, rest.severity, rest.category, text)
            }
            other => format!("{other:?}"),
        };
        assert_eq!(found, expected, "{line:?}");
    }

    #[test]
    fn every_shape_of_a_stamped_line() {
        check("11/14/25-09:45:55:657 (50745) 0 [SIMD] x\n", r#"50745 Some(Info) Some("SIMD") "x\n""#);
        check("11/14/25-09:45:55:657 (4114424) 2 [A.b_1]  x", r#"4114424 Some(Severe) Some("A.b_1") " x""#);
        check("11/14/25-09:45:55:657 (1) 0 [Generic.Event] \n", r#"1 Some(Info) Some("Generic.Event") "\n""#);
        check("06/14/18-14:25:05:988 (3788) 0 $ZF(-100) cmd", r#"3788 Some(Info) None "$ZF(-100) cmd""#);
        check(
            "06/14/18-14:25:05:988 (0) 2 [SYSTEM MONITOR] x",
            r#"0 Some(Severe) None "[SYSTEM MONITOR] x""#,
        );
        check("08/10-11:19:47:024 ( 2240) 3 System", r#"2240 None None "3 System""#);
        check("06/14/18-14:25:05:988 (7) no severity", r#"7 None None "no severity""#);
        check("06/14/18-14:25:05:988 (7) 4 text", r#"7 None None "4 text""#);
        check("06/14/18-14:25:05:988 (7)\r\n", r#"7 None None "\r\n""#);
        check("06/14/18-14:25:05:988 (7) 3\r\n", r#"7 Some(Fatal) None "\r\n""#);
        check(
            "03/29/26-18:28:14:019 (4) 1 [Database.MountedRO] dRO]  o",
            r#"4 Some(Warning) None "dRO]  o""#,
        );
    }

    /// Every byte of usual lines changed into every other: what is read at a glance is what is read with care.
    #[test]
    fn a_glance_never_differs_from_care() {
        let known = b"11/14/25-09:45:55:657 (50745) 2 [Utility.Event] ";
        let LineStart::Stamped(stamp) = LineStart::of(known) else { panic!("a stamped line") };
        let recent = Recent::of(known, stamp.timestamp).unwrap();
        let mut seen = 0;
        let mut same = |line: &[u8]| {
            let Some(head) = Head::usual(line, &recent) else { return };
            seen += 1;
            assert_eq!(LineStart::of(line), LineStart::Stamped(head.stamp), "{:?}", line.escape_ascii());
            assert_eq!(head.stamp.rest(line), head.rest, "{:?}", line.escape_ascii());
        };
        for text in [
            "[Utility.Event] LMF Error: No valid license key.",
            "[Database.MountedRO] dRO]  opening",
            "[A]\n\n",
        ] {
            for pid in ["1", "50745", "4114424", "12345678"] {
                let line = format!(
                    "11/14/25-09:47:59:999 ({pid}) 2 {text} and so on, to the length of a usual line\n"
                );
                for place in 0..line.len() {
                    for byte in 0..=u8::MAX {
                        let mut other = line.clone().into_bytes();
                        other[place] = byte;
                        same(&other);
                    }
                }
            }
        }
        assert!(seen > 50_000, "{seen}");
    }

    #[test]
    fn eight_bytes_at_a_time_are_judged_as_one_at_a_time() {
        for byte in 0..=255_u8 {
            for place in 0..20 {
                let mut window = [b'a'; 20];
                window[place] = byte;
                let expected = (!super::IN_CATEGORY[usize::from(byte)]).then_some(place);
                assert_eq!(super::category_length(&window), expected, "{byte} at {place}");
                let words = [0, 8, 12].map(|at| u64::from_le_bytes(*window[at..].first_chunk().unwrap()));
                let is_other = !byte.is_ascii_alphabetic() && byte != b'.';
                let seen_at = if place < 16 { place } else { place + 4 };
                let length = if is_other { seen_at } else { 24 };
                assert_eq!(super::letters_and_dots(words), length, "{byte} at {place}");
            }
        }
    }

    #[test]
    fn lines_that_are_not_stamped() {
        check("*** Recovery started at Fri Nov 14 10:48:58 2025\n", "Banner");
        check("*** SERIOUS\n", "Continuation");
        check("*** Recovery", "Undecided");
        check("\n", "Blank");
        check("\r", "Undecided");
        check("\r\n", "Blank");
        check("\tin ../bin/\n", "Continuation");
        check("log: 11/14/25-09:45:55:657 (1) 0 x\n", "Continuation");
        check("10/22/24-23:14:12 [SYSTEM MONITOR] System Monitor started\n", "Continuation");
        check("11/14/25-09:45:55:657 (50745", "Undecided");
        check("11/14/25-09:45:55:657 (50745)", "Undecided");
        check("11/14/25-09:45:55:657 (50745).\n", "Continuation");
        check("11/14/25-09:45:55:657 (x) 0 y\n", "Continuation");
        check("11/14/25-09:45:55:657 () 0 y\n", "Continuation");
        check("99/99/99-09:45:55:657 (1) 0 y\n", "Continuation");
        check("11/14/25-09:45:55:657 (99999999999999999999) 0 y\n", "Continuation");
    }
}
