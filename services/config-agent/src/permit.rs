//! What no command may change, and what it may change only when it says so; whether it may say so, policy decides.

use instance_contract::{CpfChange, CpfChangeKind};
use instance_iris::cpf::Document;
use instance_knowledge::{self as knowledge, SectionKind};

use crate::{conflict::Conflict, edit::label, wanted::Wanted};

/// With a version that nobody has described, only what the file already holds is changed. Where policy wants such a file
/// left alone, the planner refuses the command.
pub fn version(current: &Document, wanted: &Wanted) -> Result<(), Conflict> {
    let Some(version) = unknown_version(current) else { return Ok(()) };
    if wanted.changes.changes.iter().any(|change| change.change != CpfChangeKind::Set) {
        let rule = "only the value of what it already holds can be changed";
        return Err(Conflict::UnknownVersion { version, rule });
    }
    Ok(())
}

/// The version of the file, when nobody has described it; empty when it has none.
pub fn unknown_version(current: &Document) -> Option<String> {
    let version = current.version().unwrap_or_default();
    (!knowledge::is_known_cpf_version(version)).then(|| version.to_owned())
}

/// What no command may change, whatever the file holds.
pub fn name(section: &str, name: &str) -> Result<(), Conflict> {
    let forbid = |reason| Err(Conflict::Forbidden { label: format!("[{section}] {name}"), reason });
    if section.eq_ignore_ascii_case("ConfigFile") {
        return forbid("it drives the conversion of the file at the start of IRIS");
    }
    match knowledge::section(section).map(|section| section.kind) {
        Some(SectionKind::MergeOnly) => return forbid("the section belongs into merge files only"),
        Some(SectionKind::Written) => return forbid("only IRIS writes that section"),
        _ => {}
    }
    if knowledge::parameter(section, name).is_some_and(|parameter| parameter.secret) {
        return forbid("it holds a secret, and a secret must not travel in a command");
    }
    Ok(())
}

/// What would allow a parameter that the catalogue does not know.
const ALLOWANCE: &str =
    "; allow_unknown in the command and allow_unknown_parameters in the policy of the router allow it";

/// Whether the catalogue knows the parameter well enough for this change of it.
pub fn known(current: &Document, change: &CpfChange, allowed: bool) -> Result<(), Conflict> {
    let (section, name) = (change.cpf_section.as_str(), change.parameter.as_str());
    if knowledge::is_list_section(section) || allowed {
        return Ok(());
    }
    let version = current.version().unwrap_or_default();
    let row = knowledge::parameter(section, name);
    let held = row.is_some_and(|row| row.is_held_by(version));
    let is_there = current.line_of(section, name).is_some();
    let described = knowledge::is_known_cpf_version(version);
    let foreign = row.filter(|_| described).and_then(|row| row.why_not_in(version));
    let forbid = |reason| Err(Conflict::Forbidden { label: label(change), reason });
    match change.change {
        // IRIS does not start on a file that holds it: setting it would only hide that.
        CpfChangeKind::Set if is_there && foreign.is_some() => {
            let hint = format!("; it {}", foreign.unwrap_or_default());
            Err(Conflict::Unknown { label: label(change), hint: hint + ALLOWANCE })
        }
        // What is not there is told with what was probably meant.
        CpfChangeKind::Set if row.is_some() || !is_there => Ok(()),
        // Nobody has described this version, so nobody can say that the name is wrong.
        CpfChangeKind::Set if !described => Ok(()),
        CpfChangeKind::Set => Err(Conflict::Unchecked { label: label(change), hint: ALLOWANCE }),
        CpfChangeKind::Add if held => Ok(()),
        CpfChangeKind::Add => Err(Conflict::Unknown { label: label(change), hint: ALLOWANCE.to_owned() }),
        // IRIS does not start on a file that lacks a parameter of its version, nor on one that has others.
        CpfChangeKind::Remove if held => {
            forbid("a CPF must hold every parameter of its version; set the default instead")
        }
        CpfChangeKind::Remove => Ok(()),
    }
}
