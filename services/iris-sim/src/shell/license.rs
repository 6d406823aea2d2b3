//! The license key file of the stand-in: `users=<n>` and, where it ends some day, `ExpirationDate=<day>`, as real keys
//! name it.

use std::fs;
use std::path::Path;

use jiff::civil::Date;
use jiff::fmt::strtime;

/// What a key file says; nothing when it cannot be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct License {
    users: Option<u32>,
    ends_on: Option<Date>,
}

impl License {
    /// Reads `iris.key`.
    pub fn read(key: &Path) -> Self {
        let text = fs::read_to_string(key).unwrap_or_default();
        let value = |name: &str| {
            text.lines().find_map(|line| line.trim().strip_prefix(name)?.strip_prefix('=')).map(str::trim)
        };
        Self {
            users: value("users").and_then(|text| text.parse().ok()),
            ends_on: value("ExpirationDate").and_then(date),
        }
    }

    /// Users that it allows; none when there is no key, or it has ended.
    pub fn users(&self, at: &jiff::Zoned) -> Option<u32> {
        self.users.filter(|_| self.days_left(at).is_none_or(|days| days >= 0))
    }

    /// Days until it ends, by the host's calendar.
    pub fn days_left(&self, at: &jiff::Zoned) -> Option<i64> {
        self.users?;
        Some(days_between(at.date(), self.ends_on?))
    }
}

/// Keys write the month first; ISO is taken too.
pub fn date(text: &str) -> Option<Date> {
    let by = |format| strtime::parse(format, text).ok()?.to_date().ok();
    by("%m/%d/%Y").or_else(|| by("%Y-%m-%d"))
}

/// Below zero when the second is earlier.
pub fn days_between(from: Date, to: Date) -> i64 {
    from.until(to).map_or(0, |span| i64::from(span.get_days()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_allows_its_users_until_its_last_day() {
        let folder = tempfile::TempDir::new().unwrap();
        let key = folder.path().join("iris.key");
        let at: jiff::Zoned = "2026-02-03T04:05:06[UTC]".parse().unwrap();
        assert_eq!(License::read(&key).users(&at), None);
        for (day, users, left) in [
            ("02/03/2026", Some(64), Some(0)),
            ("2026-02-09", Some(64), Some(6)),
            ("01/31/2026", None, Some(-3)),
            ("some day", Some(64), None),
        ] {
            fs::write(&key, format!("[License]\nusers=64\nExpirationDate={day}\n")).unwrap();
            let license = License::read(&key);
            assert_eq!((license.users(&at), license.days_left(&at)), (users, left), "{day}");
        }
    }
}
