//! When a change is felt, and what an operator should know before agreeing to it.

use instance_iris::cpf::{self, Document};
use instance_knowledge::{self as knowledge, Activation};

use crate::{
    conflict::Conflict,
    wanted::{Touched, Wanted},
};

/// What is to be said of a change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Felt {
    /// Is it felt only after a restart?
    pub needs_restart: bool,
    /// Why, or why not.
    pub restart_reason: String,
    /// For people.
    pub warnings: Vec<String>,
}

/// The least that is known of a parameter that no row describes.
const NOT_IN_CATALOGUE: &str = "is not in the catalogue, so it is not known to take effect without a restart";

/// Refuses a live change of what cannot be changed live.
pub fn felt(current: &Document, wanted: &Wanted, touched: &[Touched]) -> Result<Felt, Conflict> {
    let mut warnings = warnings(current, wanted.changes.live, touched);
    if wanted.changes.live {
        touched.iter().try_for_each(may_be_live)?;
        let restart_reason = "takes effect at once, as the running instance merges it".to_owned();
        return Ok(Felt { needs_restart: false, restart_reason, warnings });
    }
    let needy: Vec<&Touched> = touched.iter().filter(|one| needs_restart(one)).collect();
    let restart_reason = match (&needy[..], touched) {
        ([], [only]) if may_be_live(only).is_err() => reason(only).to_owned(),
        ([], _) => {
            "needs no restart, but a running instance is not told of what is written to its file".to_owned()
        }
        ([one], [_]) => reason(one).to_owned(),
        (needy, _) => {
            let told: Vec<String> =
                needy.iter().map(|one| format!("{} {}", one.label(), reason(one))).collect();
            told.join("; ")
        }
    };
    let unheld = touched.iter().filter(|one| one.after.is_none() && one.changes());
    warnings.extend(unheld.map(|one| format!("{} goes; what it named stays on disk", one.label())));
    Ok(Felt { needs_restart: !needy.is_empty(), restart_reason, warnings })
}

/// What is wrong with the file already, in one line.
pub fn faults(current: &Document) -> Option<String> {
    let faults = cpf::check(current);
    let first = faults.first()?;
    let (count, line, text) = (faults.len(), first.line, &first.text);
    Some(format!("the CPF has {count} fault(s) already, the first on line {line}: {text}"))
}

/// Does the catalogue say that a running instance can take it up?
pub fn may_be_live(one: &Touched) -> Result<(), Conflict> {
    let row = knowledge::parameter(&one.section, &one.parameter);
    match row.map(|row| row.activation) {
        Some(Activation::Immediate | Activation::NewProcesses) => Ok(()),
        _ => Err(Conflict::NotLive { label: one.label(), reason: reason(one).to_owned() }),
    }
}

fn needs_restart(one: &Touched) -> bool {
    knowledge::parameter(&one.section, &one.parameter).is_none_or(knowledge::Parameter::needs_restart)
}

fn reason(one: &Touched) -> &'static str {
    let row = knowledge::parameter(&one.section, &one.parameter);
    match row {
        Some(row) => row.restart_reason(),
        None if knowledge::is_list_section(&one.section) => knowledge::LIST_RESTART_REASON,
        None => NOT_IN_CATALOGUE,
    }
}

fn warnings(current: &Document, live: bool, touched: &[Touched]) -> Vec<String> {
    let version = current.version().unwrap_or_default();
    let mut warnings = Vec::new();
    if !knowledge::is_known_cpf_version(version) {
        warnings.push(format!(
            "the CPF has version \"{version}\", of which not every parameter is known: only the value of what it \
             already holds can be changed"
        ));
    }
    for one in touched {
        warnings.extend(about(one, version, live));
    }
    warnings
}

fn about(one: &Touched, version: &str, live: bool) -> Vec<String> {
    let (section, label) = (&one.section, one.label());
    let Some(row) = knowledge::parameter(section, &one.parameter) else {
        let checked = matches!(section.as_str(), "Databases" | "Namespaces") || section.starts_with("Map.");
        return match knowledge::is_list_section(section) {
            true if checked => Vec::new(),
            true => vec![format!(
                "[{section}] is a list of names of your own: what stands behind {} is not checked",
                one.parameter
            )],
            false => vec![format!(
                "{label} is in the file but not in the catalogue: type and range of its value are not checked"
            )],
        };
    };
    let mut warnings = Vec::new();
    if let (false, Activation::Immediate | Activation::NewProcesses) = (live, row.activation) {
        warnings.push(format!(
            "{label} is written to the file only: a running instance takes it up at its next start or by a CPF merge"
        ));
    }
    if !row.is_held_by(version) {
        warnings.push(format!("{label} is not known to belong to version {version}"));
    }
    warnings
}
