//! The file as it will be, computed from the file as it is. Pure: writing it is another module's job.

use instance_contract::{Failure, SetCpf};
use instance_iris::cpf::{self, Document, EditError};
use instance_knowledge::{self as knowledge, Activation, Parameter, SectionKind, ValueFault};

/// What a command asks for, worked out on one CPF.
#[derive(Debug, Clone, PartialEq)]
pub struct Edit {
    /// The CPF as it will be.
    pub document: Document,
    /// The value now.
    pub before: String,
    /// The value then.
    pub after: String,
    /// Number of the one line that changes, from 1.
    pub line: usize,
    /// Is the change felt only after a restart?
    pub needs_restart: bool,
    /// Why, or why not.
    pub restart_reason: String,
    /// What an operator should know before agreeing.
    pub warnings: Vec<String>,
}

/// Why a CPF is not changed as asked.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Conflict {
    /// Neither IRIS nor this file knows it; a line that IRIS does not know stops its next start.
    #[error("[{section}] {name} is not a parameter of this CPF{hint}")]
    Unknown {
        /// As asked for.
        section: String,
        /// As asked for.
        name: String,
        /// What was probably meant, as the end of the sentence.
        hint: String,
    },
    /// Somebody else changed it since, or the asker was wrong.
    #[error("[{section}] {name} is \"{found}\", the command expects \"{expected}\"")]
    Drifted {
        /// As asked for.
        section: String,
        /// As asked for.
        name: String,
        /// The value that the command expects.
        expected: String,
        /// The value in the file.
        found: String,
    },
    /// The value is not one that IRIS takes.
    #[error("{0}")]
    Value(#[from] ValueFault),
    /// The parameter is not ours to change.
    #[error("[{section}] {name} must not be changed: {reason}")]
    Forbidden {
        /// As asked for.
        section: String,
        /// As asked for.
        name: String,
        /// Why.
        reason: &'static str,
    },
    /// The line cannot be edited.
    #[error("{0}")]
    Edit(#[from] EditError),
    /// The edit came out as something other than one changed line.
    #[error("the edit of [{section}] {name} would change more than its one line")]
    NotOneLine {
        /// As asked for.
        section: String,
        /// As asked for.
        name: String,
    },
}

impl From<Conflict> for Failure {
    fn from(conflict: Conflict) -> Self {
        let code = match &conflict {
            Conflict::Unknown { .. } => "unknown_parameter",
            Conflict::Drifted { .. } => "current_value_differs",
            Conflict::Value(_) | Conflict::Edit(EditError::Value { .. }) => "invalid_value",
            Conflict::Forbidden { .. } => "forbidden_parameter",
            Conflict::Edit(_) | Conflict::NotOneLine { .. } => "cpf_not_editable",
        };
        Self::refused(code, conflict)
    }
}

/// Works out a change: the parameter exists, the present value is the expected one, the new one is legal, and
/// exactly one line differs.
pub fn edit(current: &Document, wanted: &SetCpf) -> Result<Edit, Conflict> {
    let (section, name) = (wanted.cpf_section.as_str(), wanted.parameter.as_str());
    check_permitted(section, name)?;
    let known = knowledge::parameter(section, name);
    if let Some(parameter) = known {
        parameter.check_change(&wanted.new_value)?;
    }
    let mut document = current.clone();
    let edited = document
        .set(section, name, &wanted.new_value)
        .map_err(|error| explain(error, current, known, wanted))?;
    if let Some(expected) = wanted.current_value.as_ref().filter(|expected| **expected != edited.before) {
        return Err(Conflict::Drifted {
            section: section.to_owned(),
            name: name.to_owned(),
            expected: expected.clone(),
            found: edited.before,
        });
    }
    if !is_one_value(current, &document, wanted, edited.before != edited.after) {
        return Err(Conflict::NotOneLine { section: section.to_owned(), name: name.to_owned() });
    }
    let (needs_restart, restart_reason) = restart(known);
    let warnings = warnings(current, known, section, name);
    let (before, after, line) = (edited.before, edited.after, edited.line);
    Ok(Edit { document, before, after, line, needs_restart, restart_reason, warnings })
}

/// What no command may change, whatever the file holds.
fn check_permitted(section: &str, name: &str) -> Result<(), Conflict> {
    let forbid =
        |reason| Err(Conflict::Forbidden { section: section.to_owned(), name: name.to_owned(), reason });
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

fn explain(error: EditError, current: &Document, known: Option<&Parameter>, wanted: &SetCpf) -> Conflict {
    let (section, name) = (&wanted.cpf_section, &wanted.parameter);
    let unknown = |hint: String| Conflict::Unknown { section: section.clone(), name: name.clone(), hint };
    let (EditError::UnknownSection { suggestion, .. } | EditError::UnknownParameter { suggestion, .. }) =
        &error
    else {
        return Conflict::Edit(error);
    };
    if known.is_some() {
        let version = current.version().unwrap_or("unknown");
        return unknown(format!("; other versions of IRIS have it, this file is of version {version}"));
    }
    if let Some(meant) = knowledge::suggest(section, name) {
        return unknown(format!("; did you mean {}?", meant.label()));
    }
    match (suggestion, &error) {
        (Some(meant), EditError::UnknownSection { .. }) => {
            unknown(format!("; did you mean section [{meant}]?"))
        }
        (Some(meant), _) => unknown(format!("; did you mean [{section}] {meant}?")),
        (None, _) => {
            unknown("; names are matched as they are written, upper and lower case included".to_owned())
        }
    }
}

/// Looks at the result as a reader would: exactly the named value differs, in exactly one line.
fn is_one_value(old: &Document, new: &Document, wanted: &SetCpf, changes: bool) -> bool {
    let differences = cpf::diff(old, new);
    if !changes {
        return differences.is_empty() && old.to_bytes() == new.to_bytes();
    }
    let [difference] = &differences[..] else { return false };
    let named = difference.section == wanted.cpf_section && difference.name == wanted.parameter;
    named
        && difference.after.as_deref() == Some(wanted.new_value.as_str())
        && differing_lines(&old.to_bytes(), &new.to_bytes()) == Some(1)
}

/// How many lines differ; `None` when there are more or fewer lines.
pub(crate) fn differing_lines(old: &[u8], new: &[u8]) -> Option<usize> {
    let lines = |bytes: &[u8]| bytes.split_inclusive(|byte| *byte == b'\n').count();
    let split = |byte: &u8| *byte == b'\n';
    (lines(old) == lines(new)).then(|| {
        old.split_inclusive(split).zip(new.split_inclusive(split)).filter(|(old, new)| old != new).count()
    })
}

fn restart(known: Option<&Parameter>) -> (bool, String) {
    match known {
        Some(parameter) => (parameter.needs_restart(), parameter.restart_reason().to_owned()),
        None => {
            (true, "is not in the catalogue, so it is not known to take effect without a restart".to_owned())
        }
    }
}

fn warnings(current: &Document, known: Option<&Parameter>, section: &str, name: &str) -> Vec<String> {
    let mut warnings = Vec::new();
    match known {
        None if knowledge::is_list_section(section) => warnings.push(format!(
            "[{section}] is a list of names of your own: what stands behind {name} is not checked"
        )),
        None => warnings.push(format!(
            "[{section}] {name} is in the file but not in the catalogue: type and range of its value are not checked"
        )),
        Some(parameter) => {
            if let Activation::Immediate | Activation::NewProcesses = parameter.activation {
                warnings.push(format!(
                    "{} is written to the file only: a running instance takes it up at its next start or by a CPF merge",
                    parameter.label()
                ));
            }
            if let Some(version) = current.version().filter(|version| !parameter.is_held_by(version)) {
                warnings.push(format!("{} is not known to belong to version {version}", parameter.label()));
            }
        }
    }
    let faults = cpf::check(current);
    if let Some(fault) = faults.first() {
        warnings.push(format!(
            "the CPF has {} fault(s) already, the first on line {}: {}",
            faults.len(),
            fault.line,
            fault.text
        ));
    }
    warnings
}
