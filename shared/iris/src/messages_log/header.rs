//! What a line says about itself in its first columns, and what follows in a stamped one.

use std::fmt;

use super::{Severity, Timestamp};

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
pub struct Category<'a>(pub(super) &'a [u8]);

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

pub(super) const TOP_BITS: u64 = 0x8080_8080_8080_8080;
pub(super) const ONES: u64 = 0x0101_0101_0101_0101;

/// Sets the top bit of each of eight bytes that may be of a category; the other bits say nothing.
#[inline]
const fn in_category(word: u64) -> u64 {
    let low = word & !TOP_BITS;
    (letters(low) | between(low, b'0', b'9') | same(low, b'.') | same(low, b'_')) & !word
}

/// Sets the top bit of each letter; all bytes must be below 128, and the other bits say nothing.
#[inline]
pub(super) const fn letters(bytes: u64) -> u64 {
    // A small letter where the byte was a letter of either case, and nowhere else.
    between(bytes | (ONES * 0x20), b'a', b'z')
}

/// Sets the top bit of each byte that is this one; all bytes must be below 128, and the other bits say nothing.
#[inline]
pub(super) const fn same(bytes: u64, byte: u8) -> u64 {
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
    use super::LineStart;

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

    #[test]
    fn eight_bytes_at_a_time_are_judged_as_one_at_a_time() {
        for byte in 0..=255_u8 {
            for place in 0..20 {
                let mut window = [b'a'; 20];
                window[place] = byte;
                let expected = (!super::IN_CATEGORY[usize::from(byte)]).then_some(place);
                assert_eq!(super::category_length(&window), expected, "{byte} at {place}");
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
