//! Journal recovery and the start of journaling.

use crate::world::World;
use crate::world::act::{Act, Entry, Severity, Writer};
use crate::world::facts::{Previous, StartFacts};
use crate::world::journal::Journal;
use crate::world::start::utility;

impl World {
    /// Journaling, or the acts that end the start when it is needed and impossible.
    pub(super) fn start_journal(&mut self, facts: &StartFacts) -> Result<Vec<Act>, Vec<Act>> {
        let parameters = &facts.parameters;
        let directory = if facts.journal.current_usable {
            &parameters.journal_directory
        } else if facts.journal.alternate_usable {
            &parameters.alternate_journal_directory
        } else if parameters.freeze_on_journal_error {
            let position = self.identity.release.source_position("journal.c", 10923);
            let text = format!(
                "Error: Startup stopped because system is set to freeze on journal error - Shutting down the \
                 system : {position}"
            );
            return Err(self.refuse(facts, [text]));
        } else {
            self.journal = Journal::default();
            let text = "Journaling NOT  started.";
            return Ok(vec![Entry::utility(Severity::Severe, text).into()]);
        };
        let file = format!("{directory}{}.{:03}", facts.at.strftime("%Y%m%d"), facts.journal.next_number);
        self.wij.journal_file.clone_from(&file);
        self.wij.journal_count += 1;
        self.journal = Journal::started(&file);
        let mut acts = vec![Act::StartJournal(file.clone()), utility(format!("START: {file}"))];
        if parameters.journal_directory == parameters.alternate_journal_directory {
            let text = "Warning: Alternate and primary journal directories are the same";
            acts.push(Entry::kernel(Writer::Asker, Severity::Warning, text).into());
        }
        let text = format!("INTERSYSTEMS IRIS JOURNALING SYSTEM MESSAGE\nJournaling started to: {file}");
        acts.push(Entry::kernel(Writer::Asker, Severity::Info, text).into());
        acts.push(utility(format!("Journaling to {file} started.")));
        Ok(acts)
    }
}

/// What journal recovery says after a clean and after an abnormal end.
pub(super) fn recovery(previous: &Previous) -> Vec<Act> {
    match previous {
        Previous::Abnormal(wij) if !wij.journal_file.is_empty() => vec![
            utility(format!("Restoring from journal {}", wij.journal_file)),
            utility("Performing Transaction Rollback if necessary"),
            utility(format!("  Scanning {}", wij.journal_file)),
            utility("No open transactions to roll back"),
        ],
        _ => vec![
            utility("Graceful system shutdown, journal restore not required"),
            utility("Graceful system shutdown, transaction rollback not required"),
        ],
    }
}
