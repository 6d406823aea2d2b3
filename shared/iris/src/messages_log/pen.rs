use super::{Severity, Timestamp};

/// Milliseconds of a day.
const DAY: u32 = 86_400_000;
/// Milliseconds of a minute.
const MINUTE: u32 = 60_000;
/// `MM/DD/YY-`.
const DATE: usize = 9;
/// `MM/DD/YY-HH:MM:SS`.
const SECOND: usize = 17;
/// The process id with the most digits.
const TEN_DIGITS: usize = 10;

/// Writes the headers of entries one after the other, at the cost of the few bytes that differ between two.
///
/// Invariant: its time never goes back, and is always a real one; after 2099 comes 2000.
#[derive(Debug, Clone)]
pub struct Pen {
    today: Timestamp,
    millisecond_of_day: u32,
    /// Where the minute begins whose text is at hand.
    minute_begun: u32,
    /// `MM/DD/YY`.
    date: [u8; 8],
    /// `HH:MM:00`, the first byte lowest.
    minute: u64,
}

/// Who writes: all between the time and the text of an entry, which is the same for each of a process but for one digit.
#[derive(Debug, Clone)]
pub struct Author {
    /// `MM/DD/YY-HH:MM:SS:mmm (pid) S ` and blanks.
    head: [u8; HEAD],
    length: usize,
}

const HEAD: usize = Timestamp::LENGTH + 2 + TEN_DIGITS + 4;

impl Author {
    /// A process by its id.
    pub fn of(process_id: u32) -> Self {
        let mut head = [b' '; HEAD];
        head[Timestamp::LENGTH + 1] = b'(';
        let number = itoa::Buffer::new().format(process_id).as_bytes().to_vec();
        let closed_at = Timestamp::LENGTH + 2 + number.len();
        head[Timestamp::LENGTH + 2..closed_at].copy_from_slice(&number);
        head[closed_at] = b')';
        head[DATE - 1] = b'-';
        Self { head, length: closed_at + 4 }
    }
}

impl Pen {
    /// A pen whose first entry is written at this time; a stamp without a year counts as one of 2000.
    pub fn at(start: Timestamp) -> Self {
        let time = (start.hour(), start.minute(), start.second(), start.millisecond());
        let date = (start.year().unwrap_or(2000), start.month(), start.day());
        let today = Timestamp::new(date, time).expect("the parts of a stamp are real");
        let seconds = (u32::from(time.0) * 60 + u32::from(time.1)) * 60 + u32::from(time.2);
        let millisecond_of_day = seconds * 1000 + u32::from(time.3);
        let mut pen = Self { today, millisecond_of_day, minute_begun: 0, date: [0; 8], minute: 0 };
        pen.turn();
        pen
    }

    /// Goes on by so many milliseconds.
    #[inline]
    pub fn advance(&mut self, milliseconds: u32) {
        for _ in 0..milliseconds / DAY {
            self.today = self.today.next_day();
        }
        self.millisecond_of_day += milliseconds % DAY;
        if self.millisecond_of_day >= self.minute_begun + MINUTE || milliseconds >= DAY {
            self.turn();
        }
    }

    /// The time of the entry that is written next.
    pub fn timestamp(&self) -> Timestamp {
        let seconds = self.millisecond_of_day / 1000;
        let [hour, minute, second] = [seconds / 3600, seconds / 60 % 60, seconds % 60].map(narrow);
        let millisecond = u16::try_from(self.millisecond_of_day % 1000).expect("below 1000");
        let date = (self.today.year().unwrap_or(2000), self.today.month(), self.today.day());
        Timestamp::new(date, (hour, minute, second, millisecond)).expect("the pen holds a real time")
    }

    /// Appends `MM/DD/YY-HH:MM:SS:mmm (pid) S `. The caller answers for what follows: `[Category] ` or nothing, a text that
    /// [`write_entry`](super::write_entry) would take, and a line end.
    #[inline]
    pub fn header(&self, out: &mut Vec<u8>, author: &Author, severity: Severity) {
        let at = out.len();
        // All of a fixed length is copied, and what is too much taken away: cheaper than to copy a length that varies.
        out.extend_from_slice(&author.head);
        let Some(head) = out.get_mut(at..).and_then(<[u8]>::first_chunk_mut::<HEAD>) else { return };
        let within = self.millisecond_of_day.wrapping_sub(self.minute_begun);
        let (second, millisecond) = (within / 1000, within % 1000);
        let second = self.minute | u64::from(second / 10) << 48 | u64::from(second % 10) << 56;
        let [hundreds, tens, ones] = [millisecond / 100, millisecond / 10 % 10, millisecond % 10];
        let millisecond = u32::from_le_bytes(*b":000") | hundreds << 8 | tens << 16 | ones << 24;
        head[..DATE - 1].copy_from_slice(&self.date);
        head[DATE..SECOND].copy_from_slice(&second.to_le_bytes());
        head[SECOND..Timestamp::LENGTH].copy_from_slice(&millisecond.to_le_bytes());
        if let Some(digit) = head.get_mut(author.length.wrapping_sub(2)) {
            *digit = b'0' + severity.as_u8();
        }
        out.truncate(at.saturating_add(author.length));
    }

    /// The same from the process id on.
    #[inline]
    pub fn header_without_stamp(&self, out: &mut Vec<u8>, author: &Author, severity: Severity) {
        let at = out.len() + author.length - (Timestamp::LENGTH + 1);
        out.extend_from_slice(&author.head[Timestamp::LENGTH + 1..author.length]);
        out[at - 2] = b'0' + severity.as_u8();
    }

    /// Begins a new minute, and maybe a new day.
    #[inline(never)]
    fn turn(&mut self) {
        if self.millisecond_of_day >= DAY {
            self.millisecond_of_day -= DAY;
            self.today = self.today.next_day();
        }
        let mut stamp = Vec::with_capacity(Timestamp::LENGTH);
        self.today.write_to(&mut stamp);
        self.date.copy_from_slice(&stamp[..DATE - 1]);
        let minutes = self.millisecond_of_day / MINUTE;
        self.minute_begun = minutes * MINUTE;
        let [hour, minute] = [minutes / 60, minutes % 60].map(|part| two(narrow(part)));
        self.minute = u64::from_le_bytes([hour[0], hour[1], b':', minute[0], minute[1], b':', b'0', b'0']);
    }
}

/// Parts of a time of day are below 100.
#[inline]
fn narrow(part: u32) -> u8 {
    u8::try_from(part).unwrap_or(u8::MAX)
}

#[inline]
fn two(value: u8) -> [u8; 2] {
    [b'0' + value / 10, b'0' + value % 10]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn after(start: &str, milliseconds: u32) -> String {
        let mut pen = Pen::at(start.parse().unwrap());
        pen.advance(milliseconds);
        pen.timestamp().to_string()
    }

    #[test]
    fn time_goes_over_seconds_days_months_and_leap_years() {
        assert_eq!(after("11/14/25-09:45:55:657", 0), "11/14/25-09:45:55:657");
        assert_eq!(after("11/14/25-09:45:55:657", 343), "11/14/25-09:45:56:000");
        assert_eq!(after("11/30/25-23:59:59:999", 1), "12/01/25-00:00:00:000");
        assert_eq!(after("12/31/25-23:59:59:999", 1), "01/01/26-00:00:00:000");
        assert_eq!(after("02/28/24-12:00:00:000", DAY), "02/29/24-12:00:00:000");
        assert_eq!(after("02/28/25-12:00:00:000", DAY), "03/01/25-12:00:00:000");
        assert_eq!(after("01/10/26-00:00:00:001", 31 * DAY + 5), "02/10/26-00:00:00:006");
        assert_eq!(after("12/31/99-23:00:00:000", DAY), "01/01/00-23:00:00:000");
    }

    #[test]
    fn the_text_of_a_time_is_that_of_the_time() {
        let mut pen = Pen::at("12/31/25-23:58:58:001".parse().unwrap());
        for step in [0, 1, 9, 10, 998, 1000, 57_999, 59_999, 60_000, 61_001, 3_599_999, DAY - 1, DAY, DAY + 1]
        {
            pen.advance(step);
            let mut out = Vec::new();
            pen.header(&mut out, &Author::of(1), Severity::Info);
            assert_eq!(String::from_utf8(out).unwrap(), format!("{} (1) 0 ", pen.timestamp()));
        }
    }

    #[test]
    fn a_header_is_that_of_the_careful_writer() {
        let stamp: Timestamp = "11/14/25-09:45:55:657".parse().unwrap();
        for category in [None, Some("Utility.Event")] {
            let entry = super::super::NewEntry {
                timestamp: stamp,
                process_id: 4_114_424,
                severity: Severity::Severe,
                category,
                text: "x",
                repeated: 0,
            };
            let (mut careful, mut quick) = (Vec::new(), Vec::new());
            super::super::write_entry(&mut careful, &entry).unwrap();
            let (pen, author) = (Pen::at(stamp), Author::of(4_114_424));
            pen.header(&mut quick, &author, Severity::Severe);
            let category = category.map_or(String::new(), |name| format!("[{name}] "));
            quick.extend_from_slice(category.as_bytes());
            quick.extend_from_slice(b"x\n");
            assert_eq!(quick, careful);
            let mut rest = Vec::new();
            pen.header_without_stamp(&mut rest, &author, Severity::Severe);
            assert_eq!(rest, b"(4114424) 2 ");
        }
    }
}
