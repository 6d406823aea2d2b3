//! When an action may be done: windows of the week.

use std::fmt;

use instance_contract::Fault;
use jiff::{Timestamp, civil::Weekday, tz::Offset};
use serde::{Deserialize, Serialize};

use super::ActionWord;

const DAY: u32 = 24 * 60;
const WEEK: u32 = 7 * DAY;

/// A span of the day, on some days, in which the named actions are allowed. An action that no window names is
/// allowed at any time.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Window {
    /// At least one of config, os, restart, license.
    pub actions: Vec<ActionWord>,
    /// Days on which the window opens: mon, tue, wed, thu, fri, sat, sun. Default: every day.
    #[serde(default = "every_day")]
    pub days: Vec<Day>,
    /// Opens at, `HH:MM`.
    pub from: TimeOfDay,
    /// Closes at, `HH:MM`; on the next day when it is not after `from`.
    pub to: TimeOfDay,
    /// What is added to UTC to get the time meant, `+HH:MM` or `-HH:MM`. Default `+00:00`. A fixed offset, not a zone:
    /// a plan must not depend on the machine that makes it.
    #[serde(default)]
    pub utc_offset: UtcOffset,
}

/// A day of the week.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Day {
    Mon,
    Tue,
    Wed,
    Thu,
    Fri,
    Sat,
    Sun,
}

fn every_day() -> Vec<Day> {
    vec![Day::Mon, Day::Tue, Day::Wed, Day::Thu, Day::Fri, Day::Sat, Day::Sun]
}

/// Minutes since midnight, 0..=1439.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct TimeOfDay(u32);

/// Minutes east of UTC, -840..=840.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct UtcOffset(i32);

fn clock(raw: &str) -> Option<u32> {
    let (hours, minutes) = raw.split_once(':')?;
    if hours.len() != 2 || minutes.len() != 2 {
        return None;
    }
    let (hours, minutes): (u32, u32) = (hours.parse().ok()?, minutes.parse().ok()?);
    (hours < 24 && minutes < 60).then_some(hours * 60 + minutes)
}

impl TryFrom<String> for TimeOfDay {
    type Error = String;
    fn try_from(raw: String) -> Result<Self, String> {
        clock(&raw).map(Self).ok_or_else(|| format!("\"{raw}\" is not a time of day from 00:00 to 23:59"))
    }
}

impl TryFrom<String> for UtcOffset {
    type Error = String;
    fn try_from(raw: String) -> Result<Self, String> {
        let refused = || format!("\"{raw}\" is not an offset from -14:00 to +14:00");
        let (sign, rest) = match (raw.strip_prefix('+'), raw.strip_prefix('-')) {
            (Some(rest), _) => (1, rest),
            (_, Some(rest)) => (-1, rest),
            _ => return Err(refused()),
        };
        let minutes = clock(rest).filter(|minutes| *minutes <= 14 * 60).ok_or_else(refused)?;
        Ok(Self(sign * i32::try_from(minutes).unwrap_or_default()))
    }
}

impl fmt::Display for TimeOfDay {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:02}:{:02}", self.0 / 60, self.0 % 60)
    }
}

impl From<TimeOfDay> for String {
    fn from(time: TimeOfDay) -> String {
        time.to_string()
    }
}

impl From<UtcOffset> for String {
    fn from(offset: UtcOffset) -> String {
        let minutes = offset.0.unsigned_abs();
        format!("{}{:02}:{:02}", if offset.0 < 0 { '-' } else { '+' }, minutes / 60, minutes % 60)
    }
}

impl Window {
    pub(crate) fn is_open(&self, now: Timestamp) -> bool {
        let minute = minute_of_week(now);
        self.spans().iter().any(|(start, length)| (minute + WEEK - start) % WEEK < *length)
    }

    /// Start in minutes of the UTC week (Monday 00:00 is 0), and length in minutes.
    fn spans(&self) -> Vec<(u32, u32)> {
        let length = match (self.to.0 + DAY - self.from.0) % DAY {
            0 => DAY,
            length => length,
        };
        let shift =
            u32::try_from(i32::try_from(WEEK).unwrap_or_default() - self.utc_offset.0).unwrap_or_default();
        self.days.iter().map(|day| ((*day as u32 * DAY + self.from.0 + shift) % WEEK, length)).collect()
    }

    fn overlaps(&self, other: &Self) -> bool {
        let others = other.spans();
        self.spans().iter().any(|(start, length)| {
            others.iter().any(|(other_start, other_length)| {
                (other_start + WEEK - start) % WEEK < *length
                    || (start + WEEK - other_start) % WEEK < *other_length
            })
        })
    }

    pub(crate) fn names(&self, action: ActionWord) -> bool {
        self.actions.contains(&action)
    }
}

fn minute_of_week(now: Timestamp) -> u32 {
    let civil = Offset::UTC.to_datetime(now);
    let day = match civil.weekday() {
        Weekday::Monday => 0,
        Weekday::Tuesday => 1,
        Weekday::Wednesday => 2,
        Weekday::Thursday => 3,
        Weekday::Friday => 4,
        Weekday::Saturday => 5,
        Weekday::Sunday => 6,
    };
    day * DAY
        + u32::try_from(civil.hour()).unwrap_or_default() * 60
        + u32::try_from(civil.minute()).unwrap_or_default()
}

/// Windows that say nothing, or twice the same.
pub(super) fn faults(windows: &[Window]) -> Vec<Fault> {
    let mut faults = Vec::new();
    for (index, window) in windows.iter().enumerate() {
        if window.actions.is_empty() {
            faults.push(Fault::new(format!("windows[{index}].actions"), "", "must name at least one action"));
        }
        if window.days.is_empty() {
            faults.push(Fault::new(format!("windows[{index}].days"), "", "must name at least one day"));
        }
        for (earlier, other) in windows[..index].iter().enumerate() {
            let common = window.actions.iter().find(|action| other.names(**action));
            if let Some(action) = common
                && window.overlaps(other)
            {
                let rule = format!("must not overlap windows[{earlier}], which names the same action");
                faults.push(Fault::new(format!("windows[{index}]"), action.as_str(), rule));
            }
        }
    }
    faults
}
