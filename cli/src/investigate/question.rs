//! What a question asks for: of which instance, about which time, with which words.

use instance_contract::InstanceName;
use jiff::{SignedDuration, Timestamp, ToSpan as _, civil::Time, tz::TimeZone};

/// A question, understood as far as words go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Asked {
    /// Those that it names, of those that are known. Empty: it names none.
    pub instances: Vec<InstanceName>,
    pub window: Window,
    /// What is left: words about the trouble.
    pub words: String,
}

/// From when to when; `None`: as far as anything is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Window {
    pub from: Option<Timestamp>,
    pub to: Timestamp,
}

impl Window {
    pub fn holds(self, at: Timestamp) -> bool {
        self.from.is_none_or(|from| at >= from) && at <= self.to
    }
}

/// Around an instant that is named by hour and minute.
const AROUND: SignedDuration = SignedDuration::from_mins(30);

/// Reads a question. `zone` is that of whoever asks: "this morning" is their morning.
pub fn read(text: &str, known: &[InstanceName], now: Timestamp, zone: &TimeZone) -> Asked {
    let tokens: Vec<&str> = text.split_whitespace().map(trimmed).filter(|token| !token.is_empty()).collect();
    let named = |token: &str| known.iter().find(|name| name.as_str().eq_ignore_ascii_case(owner(token)));
    let mut instances: Vec<InstanceName> = tokens.iter().filter_map(|token| named(token)).cloned().collect();
    instances.sort();
    instances.dedup();
    let mut window = Window { from: None, to: now };
    let mut words = Vec::new();
    let mut at = 0;
    while at < tokens.len() {
        if let Some((found, length)) = time_at(&tokens[at..], now, zone) {
            window = found;
            at += length;
        } else {
            words.extend(named(tokens[at]).is_none().then_some(tokens[at]));
            at += 1;
        }
    }
    Asked { instances, window, words: words.join(" ") }
}

fn trimmed(token: &str) -> &str {
    token
        .trim_matches(|c: char| matches!(c, '?' | '!' | ',' | ';' | '"' | '\'' | '(' | ')'))
        .trim_end_matches('.')
}

/// `PROD's` names PROD.
fn owner(token: &str) -> &str {
    token.strip_suffix("'s").unwrap_or(token)
}

/// A time at the beginning of some words, and of how many of them it is made.
fn time_at(tokens: &[&str], now: Timestamp, zone: &TimeZone) -> Option<(Window, usize)> {
    let lower: Vec<String> = tokens.iter().take(5).map(|token| token.to_lowercase()).collect();
    let words: Vec<&str> = lower.iter().map(String::as_str).collect();
    let today = now.to_zoned(zone.clone()).date();
    let instant = |day: jiff::civil::Date, time: Time| {
        Some(day.to_datetime(time).to_zoned(zone.clone()).ok()?.timestamp())
    };
    let midnight = |day| instant(day, Time::midnight());
    let hour = |day, hour| instant(day, Time::constant(hour, 0, 0, 0));
    let yesterday = today.yesterday().ok()?;
    let since = |from: Option<Timestamp>| Some(Window { from: Some(from?), to: now });
    let between =
        |from: Option<Timestamp>, to: Option<Timestamp>| Some(Window { from: Some(from?), to: to?.min(now) });
    match words.as_slice() {
        ["since", "yesterday", ..] => Some((since(midnight(yesterday))?, 2)),
        ["since", "today", ..] => Some((since(midnight(today))?, 2)),
        ["since", when, ..] => {
            Some((since(clock(when, now, zone).or_else(|| midnight(when.parse().ok()?)))?, 2))
        }
        ["between", from, "and", to, ..] => Some((between(clock(from, now, zone), clock(to, now, zone))?, 4)),
        ["at" | "around", when, ..] => {
            let at = clock(when, now, zone)?;
            Some((between(Some(at - AROUND), Some(at + AROUND))?, 2))
        }
        ["last", "night", ..] => Some((between(hour(yesterday, 18), hour(today, 8))?, 2)),
        ["this", "morning", ..] => Some((between(midnight(today), hour(today, 12))?, 2)),
        ["this", "afternoon", ..] => Some((between(hour(today, 12), hour(today, 18))?, 2)),
        ["yesterday", ..] => Some((between(midnight(yesterday), midnight(today))?, 1)),
        ["today" | "tonight", ..] => Some((since(midnight(today))?, 1)),
        ["in" | "within" | "during" | "over", "the", rest @ ..] => {
            lately(rest, now).map(|(found, n)| (found, n + 2))
        }
        rest => lately(rest, now).or_else(|| ago(rest, now)).or_else(|| {
            let day: jiff::civil::Date = rest.first()?.parse().ok()?;
            Some((between(midnight(day), midnight(day.tomorrow().ok()?))?, 1))
        }),
    }
}

/// `last hour`, `past 3 days`.
fn lately(words: &[&str], now: Timestamp) -> Option<(Window, usize)> {
    let (count, unit, length) = match words {
        ["last" | "past", count, unit, ..] if count.parse::<i32>().is_ok() => (count.parse().ok()?, unit, 3),
        ["last" | "past", unit, ..] => (1, unit, 2),
        _ => return None,
    };
    let from = now.checked_sub(length_of(unit)?.checked_mul(count)?).ok()?;
    Some((Window { from: Some(from), to: now }, length))
}

/// `2 hours ago`: that, give or take one.
fn ago(words: &[&str], now: Timestamp) -> Option<(Window, usize)> {
    let [count, unit, "ago", ..] = words else { return None };
    let count = if matches!(*count, "a" | "an") {
        1
    } else {
        count.parse::<i32>().ok().filter(|count| *count > 0)?
    };
    let unit = length_of(unit)?;
    let at = |count: i32| now.checked_sub(unit.checked_mul(count)?).ok();
    Some((Window { from: Some(at(count.checked_add(1)?)?), to: at(count - 1)? }, 3))
}

fn length_of(unit: &str) -> Option<SignedDuration> {
    Some(match unit.strip_suffix('s').unwrap_or(unit) {
        "minute" | "min" => SignedDuration::from_mins(1),
        "hour" => SignedDuration::from_hours(1),
        "day" => SignedDuration::from_hours(24),
        "week" => SignedDuration::from_hours(24 * 7),
        _ => return None,
    })
}

/// `14:05`, `14:05:30` or an instant (RFC 3339): the newest such time that has been.
fn clock(text: &str, now: Timestamp, zone: &TimeZone) -> Option<Timestamp> {
    if let Ok(at) = text.to_uppercase().parse() {
        return Some(at);
    }
    let (hour, rest) = text.split_once(':')?;
    let time: Time = format!("{hour:0>2}:{rest}").parse().ok()?;
    let today = now.to_zoned(zone.clone()).date();
    let at = today.to_datetime(time).to_zoned(zone.clone()).ok()?;
    let at = if at.timestamp() > now { at.checked_sub(1.day()).ok()? } else { at };
    Some(at.timestamp())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A Saturday at a quarter past three in the afternoon.
    fn asked(text: &str) -> Asked {
        let known: Vec<InstanceName> = ["PROD", "TEST.1"].iter().map(|name| name.parse().unwrap()).collect();
        read(text, &known, "2026-11-21T15:15:00Z".parse().unwrap(), &TimeZone::UTC)
    }

    #[test]
    fn the_instance_is_named_and_the_rest_is_about_the_trouble() {
        let found = asked("why did prod refuse logons?");
        assert_eq!((found.instances.len(), found.words.as_str()), (1, "why did refuse logons"));
        assert_eq!(asked("what about PROD's journal, and TEST.1?").instances.len(), 2);
        assert!(asked("why did PRODUCTION stop").instances.is_empty());
        assert_eq!(found.window, Window { from: None, to: "2026-11-21T15:15:00Z".parse().unwrap() });
    }

    #[test]
    fn times_are_understood_as_people_say_them() {
        for (text, from, to, words) in [
            ("what broke yesterday", "2026-11-20T00:00", "2026-11-21T00:00", "what broke"),
            ("why did it hang last night?", "2026-11-20T18:00", "2026-11-21T08:00", "why did it hang"),
            ("today", "2026-11-21T00:00", "2026-11-21T15:15", ""),
            ("this morning it froze", "2026-11-21T00:00", "2026-11-21T12:00", "it froze"),
            ("in the last 2 hours", "2026-11-21T13:15", "2026-11-21T15:15", ""),
            ("the last week", "2026-11-14T15:15", "2026-11-21T15:15", "the"),
            ("the crash 3 hours ago", "2026-11-21T11:15", "2026-11-21T13:15", "the crash"),
            ("at 14:05 it died", "2026-11-21T13:35", "2026-11-21T14:35", "it died"),
            ("at 23:30", "2026-11-20T23:00", "2026-11-21T00:00", ""),
            ("since 09:00", "2026-11-21T09:00", "2026-11-21T15:15", ""),
            ("since 2026-11-19 slow", "2026-11-19T00:00", "2026-11-21T15:15", "slow"),
            ("between 9:30 and 10:00", "2026-11-21T09:30", "2026-11-21T10:00", ""),
            ("on 2026-11-18", "2026-11-18T00:00", "2026-11-19T00:00", "on"),
        ] {
            let found = asked(text);
            let at = |text: &str| -> Timestamp { format!("{text}:00Z").parse().unwrap() };
            assert_eq!(found.window, Window { from: Some(at(from)), to: at(to) }, "{text}");
            assert_eq!(found.words, words, "{text}");
        }
    }

    #[test]
    fn what_is_no_time_is_a_word() {
        for text in
            ["at noon", "since when", "last", "99999999999999999999 hours ago", "0 hours ago", "2026-13-01"]
        {
            let found = asked(text);
            assert_eq!((found.window.from, found.words.as_str()), (None, text), "{text}");
        }
        let ages = asked("9223372036854775807 days ago");
        assert_eq!(ages.window.from, None);
    }
}
