//! Days in the texts of a scenario: what is near or just past today cannot be written as a date.

use jiff::{Span, civil::Date};

const OPEN: &str = "{day";

/// The text with every `{day+4}` or `{day-2}` as the date so many days from `today`, year first. What is not written
/// so stays as it is.
pub fn filled(text: &str, today: Date) -> String {
    let mut parts = text.split(OPEN);
    let mut filled = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        match part.split_once('}').and_then(|(days, rest)| Some((day(today, days)?, rest))) {
            Some((day, rest)) => filled.extend([day.to_string().as_str(), rest]),
            None => filled.extend([OPEN, part]),
        }
    }
    filled
}

fn day(today: Date, days: &str) -> Option<Date> {
    let signed = days.starts_with(['+', '-']);
    let days = days.parse::<i32>().ok().filter(|_| signed)?;
    today.checked_add(Span::new().try_days(days).ok()?).ok()
}

#[cfg(test)]
mod tests {
    use super::filled;

    #[test]
    fn days_are_counted_over_the_ends_of_months() {
        let today = "2026-02-27".parse().unwrap();
        assert_eq!(filled("ends={day+4}, began={day-27}.", today), "ends=2026-03-03, began=2026-01-31.");
        for text in ["{day}", "{day4}", "{day+many}", "{day+4", "{days+4}", "{mgr}", ""] {
            assert_eq!(filled(text, today), text);
        }
    }
}
