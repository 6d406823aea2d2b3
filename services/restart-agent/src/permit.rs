//! Whether an instance may be restarted at all: some conditions a restart repeats, spreads or hides.

use instance_agent::evidence;
use instance_iris::messages_log::Entry;
use instance_knowledge as knowledge;

use crate::{
    error::RestartError,
    observe::{Site, State, logons_enabled},
};

/// Conditions of a start that failed on its CPF. A restart repeats them as long as the CPF is the same, and only so
/// long.
const OF_THE_CPF: [&str; 6] = [
    "cpf-parse-failed",
    "cpf-parameters-missing",
    "cpf-parameter-unknown",
    "cpf-database-required",
    "cpf-duplicate-line",
    "cpf-value-required",
];

/// The row about an image journal that somebody has removed: nothing is logged of it.
const IMAGE_JOURNAL_REMOVED: &str = "wij-removed";
/// How IRIS begins to say where its image journal is.
const IMAGE_JOURNAL: &str = "Using WIJ file: ";

/// What carries Instance by being the parent of this very process is never stopped: the agent would end with it, in the
/// middle of the restart. What carries Instance in other ways is named by a setting of all services.
pub fn guard(site: &Site<'_>) -> Result<(), RestartError> {
    // Processes that cannot be seen are told by whoever needs them.
    let processes = site.host.processes().unwrap_or_default();
    if site.host.carries_us(&processes) { Err(RestartError::CarriesInstance) } else { Ok(()) }
}

/// Refuses when the log since the last start tells of a condition that must not be answered by a restart. Before
/// anything is done it is not known whether the CPF will have been changed by then: those conditions are told as
/// warnings.
pub fn foresee(site: &Site<'_>, state: &State) -> Result<Vec<String>, RestartError> {
    let entries = site.log_of_this_run()?;
    has_image_journal(site, state, &entries)?;
    let (of_the_cpf, others): (Vec<_>, Vec<_>) =
        forbidding(&entries).partition(|(id, _)| OF_THE_CPF.contains(&id.as_str()));
    match others.into_iter().next() {
        Some((id, text)) => Err(must_not(&id, said(&text))),
        None => Ok(of_the_cpf
            .into_iter()
            .map(|(_, text)| {
                format!("the last start failed on the CPF (\"{text}\"): it must be changed first")
            })
            .collect()),
    }
}

/// Refuses as [`foresee`] does, and for the conditions of a CPF that nobody has changed since.
pub fn check(site: &Site<'_>, state: &State) -> Result<(), RestartError> {
    let entries = site.log_of_this_run()?;
    has_image_journal(site, state, &entries)?;
    for (id, text) in forbidding(&entries) {
        let cured =
            OF_THE_CPF.contains(&id.as_str()) && *state == State::Down && site.host.cpf_is_newer_than_log();
        if !cured {
            return Err(must_not(&id, said(&text)));
        }
    }
    Ok(())
}

fn forbidding(entries: &[Entry]) -> impl Iterator<Item = (String, String)> {
    let conditions = evidence::conditions_in(entries).into_iter();
    let known = conditions.map(|(id, text)| (String::from(id), text));
    known.filter(|(id, _)| knowledge::condition(id).is_some_and(|row| row.must_not_restart))
}

/// Without the image journal that its last run has left, a start takes a clean stop for a crash. Refused only where that
/// run came up, and has named the file as settings and CPF name it: no path from a log is looked up.
fn has_image_journal(site: &Site<'_>, state: &State, entries: &[Entry]) -> Result<(), RestartError> {
    if *state != State::Down || !logons_enabled(entries) {
        return Ok(());
    }
    let named = |entry: &Entry| Some(entry.message_text().trim().strip_prefix(IMAGE_JOURNAL)?.to_owned());
    let (Some(named), Some(journal)) = (entries.iter().rev().find_map(named), site.host.image_journal())
    else {
        return Ok(());
    };
    if journal.is_there || journal.path.as_os_str() != named.as_str() {
        return Ok(());
    }
    let found = format!("\"{named}\", which its last run has written, is not there any more");
    Err(must_not(IMAGE_JOURNAL_REMOVED, found))
}

fn said(text: &str) -> String {
    format!("the log says \"{text}\" since the last start")
}

fn must_not(id: &str, found: String) -> RestartError {
    let remedy = knowledge::condition(id).map(|row| row.remedy.clone()).unwrap_or_default();
    RestartError::MustNotRestart { condition: id.to_owned(), found, remedy }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_conditions_named_here_are_those_of_the_catalogue() {
        for id in OF_THE_CPF.into_iter().chain([IMAGE_JOURNAL_REMOVED]) {
            assert!(knowledge::condition(id).expect(id).must_not_restart, "{id}");
        }
    }
}
