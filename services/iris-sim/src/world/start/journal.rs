//! Journal recovery and the start of journaling.

use crate::world::World;
use crate::world::act::{Act, Daemon, Entry, Severity, Writer};
use crate::world::facts::{Directory, Previous, StartFacts};
use crate::world::journal::Journal;
use crate::world::parameters::Parameters;
use crate::world::release::Release;
use crate::world::start::utility;

impl World {
    /// Journaling, or the acts that end the start when it is needed and impossible.
    pub(super) fn start_journal(&mut self, facts: &StartFacts) -> Result<Vec<Act>, Vec<Act>> {
        let parameters = &facts.parameters;
        let (current, alternate) = (facts.journal.current, facts.journal.alternate);
        let mut acts = Vec::new();
        let directory = if current == Directory::Usable {
            &parameters.journal_directory
        } else if alternate == Directory::Usable {
            if current == Directory::Denied {
                acts.push(utility(format!("START: {}", file_in(&parameters.journal_directory, facts))));
                acts.push(create_denied());
            }
            &parameters.alternate_journal_directory
        } else {
            self.journal = Journal::default();
            let mut acts = nowhere(facts);
            if !parameters.freeze_on_journal_error {
                return Ok(acts);
            }
            let position = self.identity.release.source_position("journal.c", 10923);
            let text = format!(
                "Error: Startup stopped because system is set to freeze on journal error - Shutting down the \
                 system : {position}"
            );
            acts.extend(self.refuse(facts, [text]));
            return Err(acts);
        };
        let file = file_in(directory, facts);
        self.wij.journal_file.clone_from(&file);
        self.wij.journal_count += 1;
        self.journal = Journal::started(&file);
        acts.extend([Act::StartJournal(file.clone()), utility(format!("START: {file}"))]);
        if current == Directory::Usable && alternate == Directory::Denied {
            acts.extend(no_failover(parameters));
        }
        if parameters.journal_directory == parameters.alternate_journal_directory {
            let text = "Warning: Alternate and primary journal directories are the same";
            acts.push(Entry::kernel(Writer::Asker, Severity::Warning, text).into());
        }
        let text = format!("INTERSYSTEMS IRIS JOURNALING SYSTEM MESSAGE\nJournaling started to: {file}");
        acts.push(Entry::kernel(Writer::Asker, Severity::Info, text).into());
        acts.push(utility(format!("Journaling to {file} started.")));
        if left_open(&facts.previous) > 0 {
            acts.push(utility("Rolling back transactions ..."));
        }
        Ok(acts)
    }
}

/// What journal recovery says after a clean and after an abnormal end.
pub(super) fn recovery(previous: &Previous, release: Release) -> Vec<Act> {
    match previous {
        Previous::Abnormal(wij) if !wij.journal_file.is_empty() => {
            let mut acts = vec![
                utility(format!("Restoring from journal {}", wij.journal_file)),
                utility("Performing Transaction Rollback if necessary"),
                utility(format!("  Scanning {}", wij.journal_file)),
            ];
            // Those that there are wait for the new journal.
            if wij.open_transactions == 0 {
                acts.push(utility("No open transactions to roll back"));
            }
            acts
        }
        _ => release.nothing_to_recover().iter().map(|text| utility(*text)).collect(),
    }
}

/// Both directories are tried, and neither can be used. A real start to whose primary directory nobody could write, and
/// whose alternate one could not be locked, has all of these words.
fn nowhere(facts: &StartFacts) -> Vec<Act> {
    let parameters = &facts.parameters;
    let (current, alternate) = (&parameters.journal_directory, &parameters.alternate_journal_directory);
    let mut acts = vec![utility(format!("START: {}", file_in(current, facts)))];
    let mut last = current;
    if facts.journal.current == Directory::Denied {
        acts.extend(no_failover(parameters));
        acts.push(create_denied());
    } else {
        acts.push(not_lockable(current));
    }
    if !alternate.is_empty() && alternate != current {
        acts.push(utility(format!("START: {}", file_in(alternate, facts))));
        acts.push(not_lockable(alternate));
        last = alternate;
    }
    let ends = [
        "Journaling NOT  started.".to_owned(),
        format!("ERROR: Cannot use {last} for journaling because of failure to lock the directory"),
    ];
    acts.extend(ends.map(|text| Entry::utility(Severity::Severe, text).into()));
    acts
}

/// The alternate directory cannot be locked; the words are the same whether the primary one can be used or not [H2].
fn no_failover(parameters: &Parameters) -> Option<Act> {
    let alternate = &parameters.alternate_journal_directory;
    (*alternate != parameters.journal_directory).then(|| {
        system_message(&format!(
            "Failed to lock alternate journal directory {alternate}\nJournaling started but cannot failover to \
             alternate directory until this problem is resolved."
        ))
    })
}

/// No file could be made in the primary directory.
fn create_denied() -> Act {
    by_journal_daemon("JRNCREATE in jrnstart() - Error 13=(Permission denied)".to_owned())
}

fn not_lockable(directory: &str) -> Act {
    system_message(&format!("Journaling cannot be started - Failed to lock journal directory {directory}"))
}

fn system_message(text: &str) -> Act {
    by_journal_daemon(format!("INTERSYSTEMS IRIS JOURNALING SYSTEM MESSAGE\n{text}"))
}

fn by_journal_daemon(text: String) -> Act {
    Entry::kernel(Writer::Daemon(Daemon::JournalDaemon), Severity::Severe, text).into()
}

/// The next file of the day.
fn file_in(directory: &str, facts: &StartFacts) -> String {
    format!("{directory}{}.{:03}", facts.at.strftime("%Y%m%d"), facts.journal.next_number)
}

/// How many transactions a crash has cut off.
fn left_open(previous: &Previous) -> u32 {
    match previous {
        Previous::Abnormal(wij) if !wij.journal_file.is_empty() => wij.open_transactions,
        _ => 0,
    }
}
