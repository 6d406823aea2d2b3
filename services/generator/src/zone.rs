//! From the stamp of an entry to an instant.
//!
//! A stamp is local time without a zone. The zone is a setting, or else the offset is learnt from the line that an instance
//! writes at its start, which holds the same moment in UTC (messages-log.md, section 1). A learnt offset goes
//! wrong when the clocks change, so what contradicts it makes us forget it: no instant is better than a wrong one.

use instance_iris::messages_log::Timestamp as Stamp;
use jiff::civil::DateTime;
use jiff::tz::{Offset, TimeZone};
use jiff::{SignedDuration, Timestamp};

/// Offsets are multiples of a quarter of an hour, and the text is written within seconds of the stamp.
const QUARTER: i64 = 15 * 60;
const WRITTEN_WITHIN: i64 = 20;
/// No entry is written in the future; clocks of one host agree better than this.
const FUTURE: SignedDuration = SignedDuration::from_mins(10);
/// Processes write out of order by milliseconds, not by this much.
const BACKWARDS: SignedDuration = SignedDuration::from_mins(30);

/// What is known of the zone of one instance.
#[derive(Debug)]
pub struct Zone {
    given: Option<TimeZone>,
    /// Seconds east of UTC.
    learnt: Option<i32>,
    newest: Option<DateTime>,
}

impl Zone {
    pub fn new(given: Option<TimeZone>, learnt: Option<i32>) -> Self {
        Self { given, learnt, newest: None }
    }

    /// The offset that was learnt, in seconds east of UTC.
    pub fn learnt(&self) -> Option<i32> {
        self.learnt
    }

    /// The instant of an entry, which may also teach the offset. `now` is when it is read.
    pub fn instant(&mut self, stamp: Stamp, text: &str, now: Timestamp) -> Option<Timestamp> {
        let local = civil(stamp)?;
        if let Some(zone) = &self.given {
            // In the hour that comes twice: the first one.
            return zone.to_ambiguous_zoned(local).compatible().ok().map(|zoned| zoned.timestamp());
        }
        if self.newest.is_some_and(|newest| newest.duration_since(local) > BACKWARDS) {
            self.learnt = None;
        }
        self.newest = Some(local);
        if let Some(offset) = offset_told(local, text) {
            self.learnt = Some(offset);
        }
        let instant = at_offset(local, self.learnt?)?;
        if instant.duration_since(now) > FUTURE {
            self.learnt = None;
            return None;
        }
        Some(instant)
    }
}

/// The stamp as a date and time; `None` for an old one without a year.
pub fn civil(stamp: Stamp) -> Option<DateTime> {
    let small = |part: u8| i8::try_from(part).ok();
    DateTime::new(
        i16::try_from(stamp.year()?).ok()?,
        small(stamp.month())?,
        small(stamp.day())?,
        small(stamp.hour())?,
        small(stamp.minute())?,
        small(stamp.second())?,
        i32::from(stamp.millisecond()) * 1_000_000,
    )
    .ok()
}

fn at_offset(local: DateTime, seconds: i32) -> Option<Timestamp> {
    Offset::from_seconds(seconds).ok()?.to_timestamp(local).ok()
}

/// The offset in `Instance 'IRIS' starting on node X by user 'U' on MM/DD/YYYY HH:MM:SS.mmm UTC`.
fn offset_told(local: DateTime, text: &str) -> Option<i32> {
    let told = text.strip_prefix("Instance '")?.strip_suffix(" UTC")?;
    let (_, moment) = told.split_once(" starting on node ")?.1.rsplit_once(" on ")?;
    let utc = DateTime::strptime("%m/%d/%Y %H:%M:%S%.f", moment).ok()?;
    let seconds = local.duration_since(utc).as_secs();
    let quarters = (seconds + seconds.signum() * QUARTER / 2) / QUARTER;
    let offset = quarters * QUARTER;
    let plausible = (seconds - offset).abs() <= WRITTEN_WITHIN && offset.abs() <= 14 * 3600;
    i32::try_from(offset).ok().filter(|_| plausible)
}

#[cfg(test)]
mod tests {
    use super::*;

    const STARTED: &str =
        "Instance 'IRIS' starting on node db1 by user 'irisusr (root)' on 11/14/2025 08:48:58.910 UTC";

    fn at(zone: &mut Zone, stamp: &str, text: &str) -> String {
        let now = "2026-09-01T00:00:00Z".parse().unwrap();
        let instant = zone.instant(stamp.parse().unwrap(), text, now);
        instant.map_or_else(|| "unknown".to_owned(), |instant| instant.to_string())
    }

    #[test]
    fn the_offset_is_learnt_at_a_start_and_forgotten_when_the_clock_goes_back() {
        let mut zone = Zone::new(None, None);
        assert_eq!(at(&mut zone, "11/14/25-10:48:57:000", "x"), "unknown");
        assert_eq!(at(&mut zone, "11/14/25-10:48:58:912", STARTED), "2025-11-14T08:48:58.912Z");
        assert_eq!(at(&mut zone, "11/14/25-10:49:00:000", "x"), "2025-11-14T08:49:00Z");
        assert_eq!(zone.learnt(), Some(7200));
        assert_eq!(at(&mut zone, "11/14/25-09:50:00:000", "x"), "unknown");
        assert_eq!(at(&mut zone, "11/14/25-09:51:00:000", "x"), "unknown");
    }

    #[test]
    fn a_future_instant_forgets_the_offset_and_an_old_stamp_has_none() {
        let mut zone = Zone::new(None, Some(0));
        assert_eq!(at(&mut zone, "09/02/26-00:00:00:000", "x"), "unknown");
        assert_eq!(zone.learnt(), None);
        assert_eq!(at(&mut Zone::new(None, Some(0)), "08/10-11:19:47:024", "x"), "unknown");
    }

    #[test]
    fn a_given_zone_knows_summer_and_winter() {
        let mut zone = Zone::new(Some(TimeZone::get("Europe/Berlin").unwrap()), None);
        assert_eq!(at(&mut zone, "07/01/26-12:00:00:000", "x"), "2026-07-01T10:00:00Z");
        assert_eq!(at(&mut zone, "12/01/25-12:00:00:000", "x"), "2025-12-01T11:00:00Z");
    }

    #[test]
    fn what_is_no_quarter_of_an_hour_teaches_nothing() {
        let mut zone = Zone::new(None, None);
        assert_eq!(at(&mut zone, "11/14/25-10:40:12:000", STARTED), "unknown");
    }
}
