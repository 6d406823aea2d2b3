//! `/api/monitor/metrics`: what the instance measures of itself, under the names of the real one.
//!
//! Only what the stand-in knows is told: a name without a truth behind it would be a lie.

use std::fmt::{self, Write as _};

use crate::world::act::Daemon;
use crate::world::health::AlertLevel;
use crate::world::{HUNG, PASS_CYCLE, World};

/// What the world cannot know by itself.
#[derive(Debug, Clone, PartialEq)]
pub struct Surroundings {
    /// The moment of the question, with the host's time zone.
    pub at: jiff::Zoned,
    /// Entries in alerts.log; those since the start; those that nobody has read yet.
    pub alerts: [u64; 3],
    /// Every mounted database.
    pub databases: Vec<DatabaseSpace>,
    /// The journal directories: `primary` and `secondary`.
    pub journals: Vec<JournalSpace>,
    /// How much of the host's memory is in use, percent.
    pub memory_percent: f64,
}

/// One mounted database on disk.
#[derive(Debug, Clone, PartialEq)]
pub struct DatabaseSpace {
    /// Its name in the CPF.
    pub name: String,
    /// Its directory.
    pub directory: String,
    /// MB of `IRIS.DAT`.
    pub size_mb: f64,
    /// MB of it that hold nothing.
    pub free_mb: f64,
    /// The disk that it lies on.
    pub disk: DiskSpace,
}

/// One journal directory.
#[derive(Debug, Clone, PartialEq)]
pub struct JournalSpace {
    /// `primary` or `secondary`.
    pub id: &'static str,
    /// The directory.
    pub directory: String,
    /// MB of its journal files.
    pub size_mb: f64,
    /// The disk that it lies on.
    pub disk: DiskSpace,
}

/// A disk, as `statvfs` tells it.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct DiskSpace {
    /// MB that can be written.
    pub free_mb: f64,
    /// How full, percent.
    pub percent_full: f64,
}

impl World {
    /// The whole answer, a sample a line.
    pub fn metrics(&self, around: &Surroundings) -> String {
        let mut page = Page::default();
        databases_on(&mut page, around);
        for journal in &around.journals {
            let labels = [("id", journal.id), ("dir", &journal.directory)];
            page.labelled("iris_jrn_free_space", &labels, Number(journal.disk.free_mb));
        }
        for journal in &around.journals {
            page.labelled("iris_jrn_size", &[("id", journal.id)], Number(journal.size_mb));
        }
        self.license_on(&mut page, &around.at);
        page.write("iris_phys_mem_percent_used", Number(around.memory_percent));
        let daemons = Daemon::ALL.len() - self.dead.len();
        page.write("iris_process_count", 1 + daemons + self.sessions.count());
        let [in_log, since_start, new] = around.alerts;
        page.write("iris_system_alerts", since_start);
        page.write("iris_system_alerts_log", in_log);
        page.write("iris_system_alerts_new", u8::from(new > 0));
        page.write("iris_system_state", self.system_state());
        self.transactions_on(&mut page, around.at.timestamp());
        page.write("iris_wd_cycle_time", PASS_CYCLE.as_millis());
        page.write("iris_wd_pass", self.wij.passes);
        page.write("iris_wd_suspended", u8::from(self.is_frozen() || self.users_are_paused()));
        page.0
    }

    fn system_state(&self) -> i8 {
        match self.level {
            _ if self.view().health == HUNG => -1,
            AlertLevel::Green => 0,
            AlertLevel::Yellow => 1,
            AlertLevel::Red => 2,
        }
    }

    fn license_on(&self, page: &mut Page, at: &jiff::Zoned) {
        let Some(users) = self.licensed_users else { return };
        let taken = u64::try_from(self.sessions.count()).unwrap_or(u64::MAX);
        let users = u64::from(users);
        page.write("iris_license_available", users.saturating_sub(taken));
        page.write("iris_license_consumed", taken);
        // A key that never ends has no such number.
        if let Some(last_day) = self.license_ends_on {
            let days = at.date().until(last_day).map_or(0, |span| span.get_days());
            page.write("iris_license_days_remaining", days.max(0));
        }
        page.write("iris_license_percent_used", (taken * 100).checked_div(users).unwrap_or(100));
    }

    fn transactions_on(&self, page: &mut Page, at: jiff::Timestamp) {
        let ages: Vec<i64> =
            self.sessions.transactions().map(|since| at.duration_since(since).as_secs().max(0)).collect();
        let count = i64::try_from(ages.len()).unwrap_or(i64::MAX);
        page.write("iris_trans_open_count", count);
        page.write("iris_trans_open_secs", ages.iter().sum::<i64>().checked_div(count).unwrap_or(0));
        page.write("iris_trans_open_secs_max", ages.iter().max().copied().unwrap_or(0));
    }
}

fn databases_on(page: &mut Page, around: &Surroundings) {
    let all = &around.databases;
    for it in all {
        page.labelled("iris_db_free_space", &[("id", &it.name)], Number(it.free_mb));
    }
    for it in all {
        page.labelled("iris_db_size_mb", &[("id", &it.name), ("dir", &it.directory)], Number(it.size_mb));
    }
    for it in all {
        let labels = [("id", it.name.as_str()), ("dir", &it.directory)];
        page.labelled("iris_directory_space", &labels, Number(it.disk.free_mb));
    }
    for it in all {
        let labels = [("id", it.name.as_str()), ("dir", &it.directory)];
        page.labelled("iris_disk_percent_full", &labels, Number(it.disk.percent_full));
    }
}

#[derive(Default)]
struct Page(String);

impl Page {
    fn write(&mut self, name: &str, value: impl fmt::Display) {
        self.labelled(name, &[], value);
    }

    fn labelled(&mut self, name: &str, labels: &[(&str, &str)], value: impl fmt::Display) {
        let quoted = |text: &str| text.replace('\\', "\\\\").replace('"', "\\\"");
        let labels: Vec<String> =
            labels.iter().map(|(name, value)| format!("{name}=\"{}\"", quoted(value))).collect();
        let labels = if labels.is_empty() { String::new() } else { format!("{{{}}}", labels.join(",")) };
        writeln!(self.0, "{name}{labels} {value}").expect("writing to a string cannot fail");
    }
}

/// As IRIS writes a number: two digits at most after the point, and no zero before it.
struct Number(f64);

impl fmt::Display for Number {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = format!("{:.2}", self.0);
        let text = text.trim_end_matches('0').trim_end_matches('.');
        f.write_str(match text.strip_prefix('0') {
            Some("") | None => text,
            Some(rest) => rest,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::Number;

    #[test]
    fn numbers_are_written_as_iris_writes_them() {
        for (number, text) in
            [(0.0, "0"), (0.32, ".32"), (17.0, "17"), (526_428.37, "526428.37"), (2.3, "2.3")]
        {
            assert_eq!(Number(number).to_string(), text);
        }
    }
}
