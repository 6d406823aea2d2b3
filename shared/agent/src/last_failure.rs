//! That the ledger failed, told by the process that follows: the one to which it happens ends before anybody has scraped it.
//!
//! As well as a disk with such trouble lets it be: a file without content, which a full disk has room for most often.

use std::{fs, path::PathBuf};

use instance_signals::metrics::LEDGER_FAILURES;

use crate::{run::AgentError, settings::AgentSettings};

const FILE: &str = "ledger.failed";

pub(crate) struct LastFailure(PathBuf);

impl LastFailure {
    pub(crate) fn of(settings: &AgentSettings) -> Self {
        Self(settings.state_dir.join(FILE))
    }

    /// Counts what the process before this one could not tell. Was there something?
    pub(crate) fn tell(&self) -> bool {
        let failed = fs::remove_file(&self.0).is_ok();
        if failed {
            LEDGER_FAILURES.add(1, &[]);
            tracing::warn!("the ledger failed in the process before this one, which ended for it");
        }
        failed
    }

    /// Leaves word of how this process ends.
    pub(crate) fn leave(&self, ended: &Result<(), AgentError>) {
        if matches!(ended, Err(AgentError::LedgerFailed(_)))
            && let Err(error) = fs::write(&self.0, [])
        {
            tracing::debug!(%error, "the next process will not tell of it");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ledger::LedgerError;

    #[test]
    fn a_failed_ledger_is_told_once_by_the_next_process_and_another_end_is_not() {
        let folder = tempfile::tempdir().unwrap();
        let settings = AgentSettings { state_dir: folder.path().into(), fence_dir: folder.path().into() };
        let told_after = |ended: Result<(), AgentError>| {
            LastFailure::of(&settings).leave(&ended);
            (LastFailure::of(&settings).tell(), LastFailure::of(&settings).tell())
        };
        assert_eq!(told_after(Err(AgentError::LedgerFailed(LedgerError::Poisoned))), (true, false));
        assert_eq!(told_after(Ok(())), (false, false));
        assert_eq!(told_after(Err(AgentError::Panicked)), (false, false));
        let page = instance_signals::scrape(instance_signals::Format::Prometheus, std::iter::empty());
        let counted = page.lines().find_map(|line| line.strip_prefix("instance_ledger_failures_total "));
        assert!(counted.is_some_and(|count| count.parse::<u64>().unwrap() >= 1), "{page}");
    }
}
