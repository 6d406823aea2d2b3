//! Every entry that an instance has written stands on the bus, once.

use std::{collections::BTreeMap, fs, path::Path};

use anyhow::{Context as _, Result};
use instance_contract::{InstanceName, IrisMessage};
use instance_iris::messages_log::parse;
use serde::Serialize;

/// How many entries carry which stamp and process: what an entry and its message have in common, whatever else is said.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Entries(BTreeMap<(String, u64), u64>);

/// Of each instance.
pub type Logs = BTreeMap<InstanceName, Entries>;

/// What became of all entries, in figures.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Told {
    /// Entries in the logs when the last fault was over.
    pub written: u64,
    /// Those of them that never came to the bus.
    pub lost: u64,
    /// Messages on the bus beyond what the logs hold: an entry that was published under two ids.
    pub twice: u64,
}

impl Told {
    /// What of it must not be.
    pub fn problems(self) -> Vec<String> {
        let Self { written, lost, twice } = self;
        [
            (written == 0, "no instance wrote anything, so nothing was shown".to_owned()),
            (lost > 0, format!("{lost} of {written} entries of the logs never came to the bus")),
            (twice > 0, format!("{twice} message(s) more than the logs have entries")),
        ]
        .into_iter()
        .filter_map(|(is_so, text)| is_so.then_some(text))
        .collect()
    }
}

impl Entries {
    /// What the messages.log in `manager` holds, and the logs that were moved aside there. Entries without a stamp, which
    /// is the recovery banner alone, are not counted.
    pub fn of_logs(manager: &Path) -> Result<Self> {
        let context = || format!("could not read the logs in \"{}\"", manager.display());
        let mut entries = Self::default();
        for file in fs::read_dir(manager).with_context(context)? {
            let file = file.with_context(context)?;
            let name = file.file_name().to_string_lossy().into_owned();
            if name == "messages.log" || name.starts_with("messages.old_") {
                entries.read(&fs::read(file.path()).with_context(context)?);
            }
        }
        Ok(entries)
    }

    fn read(&mut self, log: &[u8]) {
        for header in parse(log).into_iter().filter_map(|entry| entry.header) {
            *self.0.entry((header.timestamp.to_string(), header.process_id)).or_default() += 1;
        }
    }

    /// One more message. What came of an entry after it had been handed out repeats its stamp, and does not begin with it.
    pub fn message(&mut self, message: &IrisMessage) {
        let (Some(stamp), Some(process)) = (&message.timestamp, message.process_id) else { return };
        if message.raw.starts_with(stamp.as_str()) {
            *self.0.entry((stamp.clone(), u64::from(process))).or_default() += 1;
        }
    }

    /// How many there are.
    pub fn count(&self) -> u64 {
        self.0.values().sum()
    }

    /// How many of these the others do not have.
    pub fn beyond(&self, others: &Self) -> u64 {
        let more = |(key, count): (&(String, u64), &u64)| {
            count.saturating_sub(others.0.get(key).copied().unwrap_or_default())
        };
        self.0.iter().map(more).sum()
    }
}

/// How many entries of these logs the others do not have, instance by instance.
pub fn beyond(logs: &Logs, others: &Logs) -> u64 {
    let none = Entries::default();
    logs.iter().map(|(instance, entries)| entries.beyond(others.get(instance).unwrap_or(&none))).sum()
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use tempfile::TempDir;

    use super::*;

    const LOG: &str = "02/03/26-04:05:06:789 (12) 0 [Generic.Event] one\n\
        02/03/26-04:05:06:789 (12) 0 [Generic.Event] two of the same moment\n  with more to say\n\
        02/03/26-04:05:06:790 (13) 2 [Utility.Event] three\n";

    fn of(log: &str) -> Entries {
        let mut entries = Entries::default();
        entries.read(log.as_bytes());
        entries
    }

    #[test]
    fn logs_that_were_moved_aside_count_and_others_do_not() {
        let folder = TempDir::new().unwrap();
        for name in ["messages.log", "messages.old_20260203", "messages.old_20260203_1", "alerts.log"] {
            fs::write(folder.path().join(name), LOG).unwrap();
        }
        let banner =
            "\n\n\n*** Recovery started at Tue Feb  3 04:05:06 2026\n     Current default directory: /iris\n";
        fs::write(folder.path().join("messages.log"), format!("{banner}{LOG}")).unwrap();
        assert_eq!(Entries::of_logs(folder.path()).unwrap().count(), 9);
    }

    #[test]
    fn one_that_is_lost_and_one_that_came_twice_are_counted() {
        let all = of(LOG);
        assert_eq!((all.count(), all.beyond(&of(LOG))), (3, 0));
        let lines: Vec<&str> = LOG.split_inclusive('\n').collect();
        let lost = of(&[&lines[1..]].concat().concat());
        assert_eq!((all.beyond(&lost), lost.beyond(&all)), (1, 0), "one of two of the same moment");
        let twice = of(&format!("{LOG}{}", lines[3]));
        assert_eq!((all.beyond(&twice), twice.beyond(&all)), (0, 1));
        let instance = |name: &str| name.parse::<InstanceName>().unwrap();
        let logs = Logs::from([(instance("A"), all.clone()), (instance("B"), all.clone())]);
        assert_eq!(beyond(&logs, &Logs::from([(instance("A"), all)])), 3, "nothing came of B");
    }

    #[test]
    fn a_run_in_which_an_entry_was_lost_or_came_twice_is_not_as_it_must_be() {
        let told = |written, lost, twice| Told { written, lost, twice }.problems();
        assert_eq!(told(9, 0, 0), [""; 0]);
        assert_eq!(told(9, 1, 0), ["1 of 9 entries of the logs never came to the bus"]);
        assert_eq!(told(9, 0, 2), ["2 message(s) more than the logs have entries"]);
        assert_eq!(told(0, 0, 0).len(), 1, "an empty run shows nothing");
    }

    #[test]
    fn the_rest_of_an_entry_is_no_entry() {
        let stamp = "02/03/26-04:05:06:789";
        let example = json!({
            "schema": IrisMessage::SCHEMA, "message_id": "6f1d2c0a-52b7-4c43-9a3e-000000000001",
            "trace_id": "0af7651916cd43dd8448eb211c80319c", "host": "db1", "instance": "PROD", "origin": "observed",
            "timestamp": stamp, "occurred_at": null, "generated_at": "2026-02-03T04:05:07Z", "process_id": 12,
            "severity": 0, "category": "Generic.Event", "message_text": "one",
            "raw": format!("{stamp} (12) 0 [Generic.Event] one\n"), "error_type": "other", "condition": null,
        });
        let mut message = IrisMessage::decode(example.to_string().as_bytes()).unwrap();
        let mut entries = Entries::default();
        entries.message(&message);
        assert_eq!(entries.beyond(&of(LOG)), 0, "it is the one of the log");
        assert_eq!(entries.count(), 1);
        message.raw = "  what came later\n".to_owned();
        entries.message(&message);
        assert_eq!(entries.count(), 1);
    }
}
