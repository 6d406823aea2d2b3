//! Whether the conditions of a remediation stay silent.

use std::{
    collections::BTreeSet,
    io,
    path::PathBuf,
    time::{Duration, Instant},
};

use instance_contract::{ConditionId, Verify};
use instance_iris::messages_log::Entry;

use super::{
    InstanceView, LogMark, conditions_in, entries_since, entries_since_last_start, expectation::Finding,
};

/// Watches `messages.log` for the conditions that must not come (again).
pub(super) struct QuietWatch {
    log: PathBuf,
    conditions: BTreeSet<ConditionId>,
    wanted: Duration,
    mark: LogMark,
    silent_since: Instant,
    heard: Option<String>,
    /// Was the instance restarted, so that the remedy has been in force since its start?
    restarted: bool,
}

impl QuietWatch {
    /// After a restart everything since the start counts, else only what comes from now on.
    pub fn begin(view: &InstanceView, verify: &Verify, restarted: bool) -> io::Result<Self> {
        let log = view.messages_log.clone();
        let mut watch = Self {
            conditions: verify.quiet.iter().cloned().collect(),
            wanted: Duration::from_secs(verify.quiet_seconds.into()),
            mark: LogMark::now(&log)?,
            silent_since: Instant::now(),
            heard: None,
            restarted,
            log,
        };
        if restarted {
            let (entries, mark) = entries_since_last_start(&watch.log)?;
            watch.listen(&entries);
            watch.mark = mark;
        }
        Ok(watch)
    }

    /// Nothing can mend it: a condition came although the remedy was in force since the start.
    pub fn is_lost(&self) -> bool {
        self.restarted && self.heard.is_some()
    }

    /// What was heard up to now; `None` when there is nothing to listen for.
    pub fn look(&mut self) -> Option<Finding> {
        if self.conditions.is_empty() {
            return None;
        }
        let ids: Vec<&str> = self.conditions.iter().map(ConditionId::as_str).collect();
        let what = format!("{}: expected silence for {} s", ids.join(", "), self.wanted.as_secs());
        let entries = match entries_since(&self.log, self.mark) {
            Ok((entries, mark)) => {
                self.mark = mark;
                entries
            }
            Err(error) => {
                return Some(Finding::Unseen(format!("{what}, found {}: {error}", self.log.display())));
            }
        };
        self.listen(&entries);
        let silent = self.silent_since.elapsed();
        Some(match &self.heard {
            Some(heard) if self.restarted || silent < self.wanted => {
                Finding::Wrong(format!("{what}, found \"{heard}\""))
            }
            _ if silent < self.wanted => {
                Finding::Wrong(format!("{what}, found silence, but only for {} s", silent.as_secs()))
            }
            _ => Finding::Held(format!("{what}, found silence")),
        })
    }

    fn listen(&mut self, entries: &[Entry]) {
        for (id, text) in conditions_in(entries) {
            if self.conditions.contains(&id) {
                self.silent_since = Instant::now();
                self.heard = Some(text);
            }
        }
    }
}
