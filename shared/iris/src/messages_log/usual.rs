//! The header of a line as most are, judged in words of eight bytes; `header` decides about all others.

use super::{
    Severity, Timestamp,
    header::{Category, ONES, Rest, Stamp, TOP_BITS, letters, same},
    timestamp::Recent,
};

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
    /// category of letters and dots, and not at the end of the bytes. What this gives,
    /// [`LineStart::of`](super::header::LineStart::of) and
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

#[cfg(test)]
mod tests {
    use super::{Head, letters_and_dots};
    use crate::messages_log::{header::LineStart, timestamp::Recent};

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
    fn letters_and_dots_are_counted_up_to_the_first_other_byte() {
        for byte in 0..=255_u8 {
            for place in 0..24 {
                let mut window = [b'a'; 24];
                window[place] = byte;
                let words = [0, 8, 16].map(|at| u64::from_le_bytes(*window[at..].first_chunk().unwrap()));
                let length = if byte.is_ascii_alphabetic() || byte == b'.' { 24 } else { place };
                assert_eq!(letters_and_dots(words), length, "{byte} at {place}");
            }
        }
    }
}
