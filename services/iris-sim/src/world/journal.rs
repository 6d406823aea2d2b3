//! Journaling while the instance runs: files that fill, are switched and purged, and what happens when they cannot be
//! written.

use crate::world::act::{Act, Daemon, Entry, Job, Severity, Writer};
use crate::world::{Phase, World};

/// The state of journaling.
#[derive(Debug, Default)]
pub struct Journal {
    /// The file in use; empty while journaling is stopped.
    pub file: String,
    /// MB written to it.
    mb: u64,
    /// It cannot be written, and everything waits for it (`FreezeOnError`), or journaling is about to end.
    stuck: bool,
    /// The other directory was tried since the trouble began.
    tried_other: bool,
}

impl Journal {
    pub(super) fn started(file: &str) -> Self {
        Self { file: file.to_owned(), ..Self::default() }
    }

    /// The directory in use, with a slash at its end.
    fn directory(&self) -> &str {
        self.file.rfind('/').map_or("", |at| &self.file[..=at])
    }
}

impl World {
    /// What the users changed since the last pass goes to the journal.
    pub(super) fn write_journal(&self) -> Vec<Act> {
        let (mb, file) = (self.load.journal_mb_per_pass, &self.journal.file);
        let Some(parameters) = self.parameters.as_ref().filter(|_| mb > 0 && !file.is_empty()) else {
            return Vec::new();
        };
        let is_full = self.journal.mb > 0 && self.journal.mb + mb > parameters.journal_file_mb;
        if is_full && !self.journal.stuck {
            return vec![Act::SwitchJournal { directory: self.journal.directory().to_owned() }];
        }
        vec![Act::WriteJournal { file: file.clone(), mb }]
    }

    pub(super) fn journal_written(&mut self, written: bool) -> Vec<Act> {
        if !written {
            return self.journal_trouble();
        }
        self.journal.mb += self.load.journal_mb_per_pass;
        // The cause is gone: updates go on without a restart.
        (self.journal.stuck, self.journal.tried_other) = (false, false);
        Vec::new()
    }

    pub(super) fn journal_switched(&mut self, file: Option<String>) -> Vec<Act> {
        let Some(file) = file else { return self.journal_trouble() };
        let text = format!("INTERSYSTEMS IRIS JOURNALING SYSTEM MESSAGE\nJournaling switched to: {file}");
        let mut acts = vec![journal_entry(Severity::Info, text)];
        self.wij.journal_file.clone_from(&file);
        self.wij.journal_count += 1;
        let tried_other = self.journal.tried_other;
        self.journal = Journal { tried_other, ..Journal::started(&file) };
        if let Some(parameters) = &self.parameters {
            let directory = self.journal.directory().to_owned();
            acts.push(Act::PurgeJournals { directory, days: parameters.days_before_purge, in_use: file });
        }
        acts.extend(self.write_journal());
        acts
    }

    /// Is every update waiting for the journal?
    pub(super) fn waits_for_journal(&self) -> bool {
        self.journal.stuck && self.parameters.as_ref().is_some_and(|it| it.freeze_on_journal_error)
    }

    /// The other directory first; then the instance freezes, or goes on without a journal.
    fn journal_trouble(&mut self) -> Vec<Act> {
        let Some(parameters) =
            self.parameters.clone().filter(|_| matches!(self.phase, Phase::Running { .. }))
        else {
            return Vec::new();
        };
        let mut acts = vec![journal_entry(Severity::Fatal, "Write to journal file has failed".to_owned())];
        let directories = [&parameters.alternate_journal_directory, &parameters.journal_directory];
        let other =
            directories.into_iter().find(|it| !it.is_empty() && it.as_str() != self.journal.directory());
        if let Some(other) = other.filter(|_| !self.journal.tried_other) {
            self.journal.tried_other = true;
            acts.push(Act::SwitchJournal { directory: other.clone() });
            return acts;
        }
        if parameters.freeze_on_journal_error {
            self.journal.stuck = true;
        } else if self.journal.stuck {
            let text = format!(
                "SERIOUS JOURNALING ERROR: JRNSTOP cannot open {} Stopping journaling as cleanly as possible, but you \
                 should assume that some journaling data has been lost.",
                self.journal.file
            );
            acts.push(journal_entry(Severity::Fatal, text));
            self.journal = Journal::default();
        } else {
            self.journal.stuck = true;
            let text = "Journaling will be disabled in 150 seconds OR when journal buffers are completely filled, \
                whichever comes first.";
            acts.push(journal_entry(Severity::Fatal, text.to_owned()));
        }
        acts
    }
}

/// The task that purges names each file.
pub(super) fn purged(files: &[String]) -> Vec<Act> {
    let told = |file: &String| Entry::job(Job::TaskManager, Severity::Info, format!("DELETE: {file}")).into();
    files.iter().map(told).collect()
}

fn journal_entry(severity: Severity, text: String) -> Act {
    Entry::kernel(Writer::Daemon(Daemon::JournalDaemon), severity, text).into()
}
