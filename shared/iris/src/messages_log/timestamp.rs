use std::{fmt, str::FromStr};

/// When an entry was written, as IRIS writes it: `MM/DD/YY-HH:MM:SS:mmm`, in the local time of the instance.
///
/// The stamp carries no zone, so it is not an instant and has no order: logs go back on a DST change, and several
/// processes append. Old Caché logs leave the year out (`MM/DD-HH:MM:SS:mmm`).
///
/// Invariant: the parts are a real date and time of day, and `Display` gives the text that was parsed.
///
/// One word holds all parts, for it is made for every line of a log and handed on several times; `Parts` says how.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Timestamp(u64);

/// The parts of a stamp, real or not.
#[derive(Clone, Copy)]
struct Parts {
    /// Without the century; [`NO_YEAR`] for a stamp without one.
    year: u8,
    month: u8,
    day: u8,
    hour: u8,
    minute: u8,
    second: u8,
    millisecond: u16,
}

const NO_YEAR: u8 = u8::MAX;

/// A text, or a set of parts, that is no stamp of a messages log.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("\"{0}\" is not a messages.log timestamp (MM/DD/YY-HH:MM:SS:mmm)")]
pub struct InvalidTimestamp(String);

impl Timestamp {
    /// Length of the stamp in bytes.
    pub(crate) const LENGTH: usize = 21;
    /// Length of the old stamp that has no year.
    pub(crate) const LENGTH_WITHOUT_YEAR: usize = 18;

    /// Builds a stamp from its parts; `year` is 2000 to 2099, `second` at most 59, `millisecond` at most 999.
    pub fn new(
        (year, month, day): (u16, u8, u8),
        (hour, minute, second, millisecond): (u8, u8, u8, u16),
    ) -> Result<Self, InvalidTimestamp> {
        let short =
            year.checked_sub(2000).and_then(|year| u8::try_from(year).ok()).filter(|year| *year < 100);
        short
            .and_then(|year| Parts { year, month, day, hour, minute, second, millisecond }.real())
            .ok_or_else(|| {
                InvalidTimestamp(format!(
                    "{month:02}/{day:02}/{year}-{hour:02}:{minute:02}:{second:02}:{millisecond:03}"
                ))
            })
    }

    /// The four-digit year. IRIS writes two digits, read as 20YY; `None` for a stamp of an old Caché log.
    #[inline]
    pub fn year(&self) -> Option<u16> {
        let year = self.parts().year;
        (year != NO_YEAR).then(|| 2000 + u16::from(year))
    }

    /// 1 to 12.
    pub fn month(&self) -> u8 {
        self.parts().month
    }

    /// 1 to 31.
    pub fn day(&self) -> u8 {
        self.parts().day
    }

    /// 0 to 23.
    pub fn hour(&self) -> u8 {
        self.parts().hour
    }

    /// 0 to 59.
    pub fn minute(&self) -> u8 {
        self.parts().minute
    }

    /// 0 to 59.
    pub fn second(&self) -> u8 {
        self.parts().second
    }

    /// 0 to 999.
    pub fn millisecond(&self) -> u16 {
        self.parts().millisecond
    }

    #[inline]
    fn parts(self) -> Parts {
        let [low, high, second, minute, hour, day, month, year] = self.0.to_le_bytes();
        Parts { year, month, day, hour, minute, second, millisecond: u16::from_le_bytes([low, high]) }
    }

    /// Reads the stamp at the start of a line, and tells how many bytes it took.
    #[inline]
    pub(crate) fn at_start_of(line: &[u8]) -> Option<(Self, usize)> {
        if let Some(bytes) = line.first_chunk::<{ Self::LENGTH }>().filter(|bytes| bytes[5] == b'/') {
            return Self::with_year(bytes).map(|stamp| (stamp, Self::LENGTH));
        }
        let bytes = line.first_chunk::<{ Self::LENGTH_WITHOUT_YEAR }>()?;
        Self::without_year(bytes).map(|stamp| (stamp, Self::LENGTH_WITHOUT_YEAR))
    }

    #[inline]
    fn with_year(bytes: &[u8; Self::LENGTH]) -> Option<Self> {
        let date = numbers(*bytes.first_chunk()?, &DATE)?.to_le_bytes();
        let time = Parts::time_of_day(bytes[8..].first_chunk()?)?;
        Parts { year: date[6], month: date[0], day: date[3], ..time }.real()
    }

    fn without_year(bytes: &[u8; Self::LENGTH_WITHOUT_YEAR]) -> Option<Self> {
        let mut date = *b"00/00/00";
        date[..5].copy_from_slice(&bytes[..5]);
        let date = numbers(date, &DATE)?.to_le_bytes();
        let time = Parts::time_of_day(bytes[5..].first_chunk()?)?;
        Parts { month: date[0], day: date[3], ..time }.real()
    }

    /// The same time a day later; after 2099 comes 2000.
    pub(crate) fn next_day(self) -> Self {
        let parts = self.parts();
        let first_of_year = if parts.year == NO_YEAR { NO_YEAR } else { (parts.year + 1) % 100 };
        if parts.day < parts.days_of_month() {
            Parts { day: parts.day + 1, ..parts }.packed()
        } else if parts.month < 12 {
            Parts { day: 1, month: parts.month + 1, ..parts }.packed()
        } else {
            Parts { day: 1, month: 1, year: first_of_year, ..parts }.packed()
        }
    }

    /// Appends the stamp as IRIS writes it.
    pub(crate) fn write_to(self, out: &mut Vec<u8>) {
        let Parts { year, month, day, hour, minute, second, millisecond } = self.parts();
        push_two(out, month);
        out.push(b'/');
        push_two(out, day);
        if year != NO_YEAR {
            out.push(b'/');
            push_two(out, year);
        }
        out.push(b'-');
        push_two(out, hour);
        out.push(b':');
        push_two(out, minute);
        out.push(b':');
        push_two(out, second);
        out.push(b':');
        let hundreds = u8::try_from(millisecond / 100).expect("a millisecond is below 1000");
        out.push(b'0' + hundreds);
        push_two(out, u8::try_from(millisecond % 100).expect("a remainder of 100 fits"));
    }
}

impl Parts {
    /// Reads `-HH:MM:SS:mmm`; the date is still to come.
    #[inline]
    fn time_of_day(bytes: &[u8; 13]) -> Option<Self> {
        let time = numbers(*bytes[1..].first_chunk()?, &TIME)?.to_le_bytes();
        let end = numbers(*bytes[5..].first_chunk()?, &TIME_END)?.to_le_bytes();
        let millisecond = u16::from(bytes[10] - b'0') * 100 + u16::from(end[6]);
        let [hour, minute, second] = [time[0], time[3], time[6]];
        (bytes[0] == b'-').then_some(Self {
            year: NO_YEAR,
            month: 0,
            day: 0,
            hour,
            minute,
            second,
            millisecond,
        })
    }

    /// The stamp, when there is such a moment.
    #[inline]
    fn real(self) -> Option<Timestamp> {
        let real = (1..=self.days_of_month()).contains(&self.day)
            && self.hour < 24
            && self.minute < 60
            && self.second < 60
            && self.millisecond < 1000;
        real.then(|| self.packed())
    }

    #[inline]
    fn packed(self) -> Timestamp {
        let [low, high] = self.millisecond.to_le_bytes();
        let Self { year, month, day, hour, minute, second, .. } = self;
        Timestamp(u64::from_le_bytes([low, high, second, minute, hour, day, month, year]))
    }

    /// 0 for what is no month.
    #[inline]
    fn days_of_month(self) -> u8 {
        // A stamp without a year may be of a leap year.
        let leap = self.year == NO_YEAR || self.year.is_multiple_of(4);
        match self.month {
            1 | 3 | 5 | 7 | 8 | 10 | 12 => 31,
            4 | 6 | 9 | 11 => 30,
            2 => 28 + u8::from(leap),
            _ => 0,
        }
    }
}

impl fmt::Debug for Timestamp {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "Timestamp({self})")
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut text = Vec::with_capacity(Self::LENGTH);
        self.write_to(&mut text);
        formatter.pad(std::str::from_utf8(&text).expect("a stamp is ASCII"))
    }
}

impl FromStr for Timestamp {
    type Err = InvalidTimestamp;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match Self::at_start_of(text.as_bytes()) {
            Some((stamp, length)) if length == text.len() => Ok(stamp),
            _ => Err(InvalidTimestamp(text.to_owned())),
        }
    }
}

/// A stamp as it was written, for reading the next one: of ten minutes all stamps begin with the same thirteen bytes, so
/// only what comes after them has to be judged.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Recent {
    /// `MM/DD/YY`.
    date: u64,
    /// `/YY-HH:M`.
    hour: u64,
    /// The first moment of the ten minutes.
    begun: u64,
}

impl Recent {
    /// `None` for a stamp of the old form, without a year.
    pub fn of(line: &[u8], stamp: Timestamp) -> Option<Self> {
        stamp.year()?;
        let window: &[u8; Timestamp::LENGTH] = line.first_chunk()?;
        let parts = stamp.parts();
        let begun = Parts { minute: parts.minute / 10 * 10, second: 0, millisecond: 0, ..parts }.packed().0;
        Some(Self { date: word(window, 0), hour: word(window, 5), begun })
    }

    /// Reads the stamp at the start of a line if it is of the same ten minutes; what this gives,
    /// [`Timestamp::at_start_of`] gives too.
    #[inline]
    pub fn read(&self, line: &[u8; Timestamp::LENGTH]) -> Option<Timestamp> {
        if word(line, 0) != self.date || word(line, 5) != self.hour {
            return None;
        }
        let end = word(line, 13);
        let numbers = numbers(end.to_le_bytes(), &TIME_END)?;
        let digits = end ^ TIME_END.bytes;
        let [minute, second] = [digits & 0xff, numbers >> 16 & 0xff];
        let millisecond = (digits >> 40 & 0xff) * 100 + (numbers >> 48 & 0xff);
        (second < 60).then_some(Timestamp(self.begun + (minute << 24 | second << 16 | millisecond)))
    }
}

/// Eight bytes of a line.
#[inline]
fn word(line: &[u8; Timestamp::LENGTH], at: usize) -> u64 {
    u64::from_le_bytes(*line[at..].first_chunk().expect("eight of 21 bytes"))
}

/// Eight bytes with a digit where it has a `0`, and otherwise the same byte.
struct Shape {
    bytes: u64,
    /// What lifts the top bit of a byte that is too large for its place.
    lift: u64,
}

const DATE: Shape = Shape::of(*b"00/00/00");
const TIME: Shape = Shape::of(*b"00:00:00");
/// The last eight bytes of a stamp: one digit of the minute, the second, the millisecond.
const TIME_END: Shape = Shape::of(*b"0:00:000");

impl Shape {
    const fn of(shape: [u8; 8]) -> Self {
        let mut lift = [0x7f; 8];
        let mut at = 0;
        while at < 8 {
            if shape[at] == b'0' {
                lift[at] = 0x7f - 9;
            }
            at += 1;
        }
        Self { bytes: u64::from_le_bytes(shape), lift: u64::from_le_bytes(lift) }
    }
}

/// Reads eight bytes of a shape. Byte n of the answer, counted from the lowest, is the number that the digits n and n + 1 make.
///
/// All eight are looked at in one register, as the reader does this for every line of a log.
#[inline]
fn numbers(bytes: [u8; 8], shape: &Shape) -> Option<u64> {
    const TOP_BITS: u64 = 0x8080_8080_8080_8080;
    // Digits turn into 0 to 9 and separators into 0; anything else is more.
    let values = u64::from_le_bytes(bytes) ^ shape.bytes;
    // A byte that is too large lifts its top bit, or had it from the start.
    let lifted = (values & !TOP_BITS).wrapping_add(shape.lift);
    if (values | lifted) & TOP_BITS != 0 {
        return None;
    }
    Some(values.wrapping_mul(10).wrapping_add(values >> 8))
}

fn push_two(out: &mut Vec<u8>, value: u8) {
    out.extend_from_slice(&[b'0' + value / 10, b'0' + value % 10]);
}

#[cfg(test)]
mod tests {
    use super::{Recent, Timestamp};

    #[test]
    fn text_and_value_are_the_same() {
        for text in ["11/14/25-09:45:55:657", "02/29/24-00:00:00:000", "08/10-11:19:47:024"] {
            assert_eq!(text.parse::<Timestamp>().unwrap().to_string(), text);
        }
        let stamp: Timestamp = "11/14/25-09:45:55:657".parse().unwrap();
        assert_eq!(stamp, Timestamp::new((2025, 11, 14), (9, 45, 55, 657)).unwrap());
        assert_eq!((stamp.year(), stamp.month(), stamp.day()), (Some(2025), 11, 14));
        assert_eq!((stamp.hour(), stamp.minute(), stamp.second(), stamp.millisecond()), (9, 45, 55, 657));
        assert_eq!("08/10-11:19:47:024".parse::<Timestamp>().unwrap().year(), None);
    }

    #[test]
    fn what_is_known_again_is_what_is_read_anew() {
        let known: Timestamp = "11/14/25-09:45:55:657".parse().unwrap();
        let recent = Recent::of(b"11/14/25-09:45:55:657 (", known).unwrap();
        let line = *b"11/14/25-09:45:55:657";
        for place in 0..line.len() {
            for byte in 0..=u8::MAX {
                let mut other = line;
                other[place] = byte;
                let anew = Timestamp::at_start_of(&other).map(|(stamp, _)| stamp);
                let expected = if (0..13).contains(&place) && byte != line[place] { None } else { anew };
                assert_eq!(recent.read(&other), expected, "{byte} at {place}");
            }
        }
        assert!(Recent::of(b"08/10-11:19:47:024 (1)", "08/10-11:19:47:024".parse().unwrap()).is_none());
    }

    #[test]
    fn what_is_no_moment_is_refused() {
        for text in [
            "",
            "13/14/25-09:45:55:657",
            "02/29/25-09:45:55:657",
            "11/14/25-24:45:55:657",
            "11/14/25-09:45:55.657",
            "11/14/25-09:45:55:657 ",
            "11/14/2025-09:45:55:657",
            "1a/14/25-09:45:55:657",
        ] {
            assert!(text.parse::<Timestamp>().is_err(), "{text}");
        }
        assert!(Timestamp::new((2125, 1, 1), (0, 0, 0, 0)).is_err());
        assert!(Timestamp::new((2025, 1, 1), (0, 0, 0, 1000)).is_err());
    }
}
