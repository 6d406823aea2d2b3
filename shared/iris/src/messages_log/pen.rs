use super::{Severity, Timestamp};

/// Milliseconds of a day.
const DAY: u32 = 86_400_000;
/// `MM/DD/YY-`.
const DATE: usize = 9;

/// Writes the headers of entries one after the other, at the cost of the few bytes that differ between two.
///
/// Invariant: its time never goes back, and is always a real one; after 2099 comes 2000.
#[derive(Debug, Clone)]
pub struct Pen {
    today: Timestamp,
    millisecond_of_day: u32,
    stamp: [u8; Timestamp::LENGTH],
}

impl Pen {
    /// A pen whose first entry is written at this time; a stamp without a year counts as one of 2000.
    pub fn at(start: Timestamp) -> Self {
        let time = (start.hour(), start.minute(), start.second(), start.millisecond());
        let date = (start.year().unwrap_or(2000), start.month(), start.day());
        let today = Timestamp::new(date, time).expect("the parts of a stamp are real");
        let seconds = (u32::from(time.0) * 60 + u32::from(time.1)) * 60 + u32::from(time.2);
        let mut pen = Self {
            today,
            millisecond_of_day: seconds * 1000 + u32::from(time.3),
            stamp: [0; Timestamp::LENGTH],
        };
        pen.render_date();
        pen.render_time();
        pen
    }

    /// Goes on by so many milliseconds.
    #[inline]
    pub fn advance(&mut self, milliseconds: u32) {
        self.millisecond_of_day += milliseconds % DAY;
        for _ in 0..milliseconds / DAY {
            self.today = self.today.next_day();
        }
        if self.millisecond_of_day >= DAY {
            self.millisecond_of_day -= DAY;
            self.today = self.today.next_day();
        }
        if milliseconds >= 1 {
            self.render_date_if_new();
            self.render_time();
        }
    }

    /// The time of the entry that is written next.
    pub fn timestamp(&self) -> Timestamp {
        let text = std::str::from_utf8(&self.stamp).expect("a stamp is ASCII");
        text.parse().expect("the pen holds a real time")
    }

    /// Appends `MM/DD/YY-HH:MM:SS:mmm (pid) S [Category] `. The caller answers for what follows: a text that
    /// [`write_entry`](super::write_entry) would take, and a line end.
    #[inline]
    pub fn header(&self, out: &mut Vec<u8>, process_id: u32, severity: Severity, category: Option<&str>) {
        self.header_from(0, out, process_id, severity, category);
    }

    /// The same from the process id on.
    #[inline]
    pub fn header_without_stamp(
        &self,
        out: &mut Vec<u8>,
        process_id: u32,
        severity: Severity,
        category: Option<&str>,
    ) {
        self.header_from(Timestamp::LENGTH + 1, out, process_id, severity, category);
    }

    /// Puts the header together beside the output, which then grows once.
    #[inline]
    fn header_from(
        &self,
        from: usize,
        out: &mut Vec<u8>,
        process_id: u32,
        severity: Severity,
        category: Option<&str>,
    ) {
        const TEN_DIGITS: usize = 10;
        let mut head = [b' '; Timestamp::LENGTH + 2 + TEN_DIGITS + 4];
        head[..Timestamp::LENGTH].copy_from_slice(&self.stamp);
        head[Timestamp::LENGTH + 1] = b'(';
        let mut at = Timestamp::LENGTH + 2 + digits(process_id);
        let end = at;
        let mut rest = process_id;
        loop {
            at -= 1;
            head[at] = b'0' + narrow(rest % 10);
            rest /= 10;
            if rest == 0 {
                break;
            }
        }
        head[end] = b')';
        head[end + 2] = b'0' + severity.as_u8();
        out.extend_from_slice(&head[from..end + 4]);
        if let Some(name) = category {
            out.push(b'[');
            out.extend_from_slice(name.as_bytes());
            out.extend_from_slice(b"] ");
        }
    }

    fn render_date_if_new(&mut self) {
        let shown = [self.stamp[3] - b'0', self.stamp[4] - b'0'];
        // A step of a month and more has gone through `next_day` and ends on the right day of the wrong month.
        if shown[0] * 10 + shown[1] != self.today.day() || self.stamp[..2] != two(self.today.month()) {
            self.render_date();
        }
    }

    fn render_date(&mut self) {
        let mut text = Vec::with_capacity(Timestamp::LENGTH);
        self.today.write_to(&mut text);
        self.stamp.copy_from_slice(&text);
    }

    #[inline]
    fn render_time(&mut self) {
        let (seconds, milliseconds) = (self.millisecond_of_day / 1000, self.millisecond_of_day % 1000);
        let (minutes, hours) = (seconds / 60, seconds / 3600);
        let [hour, minute, second, rest] =
            [hours, minutes % 60, seconds % 60, milliseconds % 100].map(|part| two(narrow(part)));
        let hundreds = b'0' + narrow(milliseconds / 100);
        self.stamp[DATE..].copy_from_slice(&[
            hour[0], hour[1], b':', minute[0], minute[1], b':', second[0], second[1], b':', hundreds,
            rest[0], rest[1],
        ]);
    }
}

/// How many digits a number has.
#[inline]
fn digits(number: u32) -> usize {
    number.checked_ilog10().unwrap_or(0) as usize + 1
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
            Pen::at(stamp).header(&mut quick, 4_114_424, Severity::Severe, category);
            quick.extend_from_slice(b"x\n");
            assert_eq!(quick, careful);
        }
    }
}
