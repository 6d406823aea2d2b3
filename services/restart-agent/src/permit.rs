//! Whether an instance may be restarted at all: some conditions a restart repeats, spreads or hides.

use instance_agent::evidence;
use instance_knowledge as knowledge;

use crate::{
    error::RestartError,
    observe::{Site, State},
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
pub fn foresee(site: &Site<'_>) -> Result<Vec<String>, RestartError> {
    let (of_the_cpf, others): (Vec<_>, Vec<_>) =
        forbidding(site)?.into_iter().partition(|(id, _)| OF_THE_CPF.contains(&id.as_str()));
    match others.into_iter().next() {
        Some((id, text)) => Err(must_not(&id, text)),
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
    for (id, text) in forbidding(site)? {
        let cured =
            OF_THE_CPF.contains(&id.as_str()) && *state == State::Down && site.host.cpf_is_newer_than_log();
        if !cured {
            return Err(must_not(&id, text));
        }
    }
    Ok(())
}

fn forbidding(site: &Site<'_>) -> Result<Vec<(String, String)>, RestartError> {
    let conditions = evidence::conditions_in(&site.log_of_this_run()?).into_iter();
    let known = conditions.map(|(id, text)| (String::from(id), text));
    Ok(known.filter(|(id, _)| knowledge::condition(id).is_some_and(|row| row.must_not_restart)).collect())
}

fn must_not(id: &str, text: String) -> RestartError {
    let remedy = knowledge::condition(id).map(|row| row.remedy.clone()).unwrap_or_default();
    RestartError::MustNotRestart { condition: id.to_owned(), text, remedy }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_conditions_of_a_cpf_are_those_of_the_catalogue() {
        for id in OF_THE_CPF {
            assert!(knowledge::condition(id).expect(id).must_not_restart, "{id}");
        }
    }
}
