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

#[cfg(test)]
mod tests {
    use expect_test::{Expect, expect};

    use super::*;

    const CPF: &[u8] = b"[ConfigFile]\r\nProduct=IRIS\r\nVersion=2024.2\r\n\r\n[Databases]\r\n\
        USER=/usr/irissys/mgr/user/\r\n\r\n[Startup]\r\nPasswordHash=\r\n\r\n[config]\r\nMaxServers=2\r\nglobals=0,0,256,0,0,0\r\n\
        locksiz=0\r\nmystery=1";

    fn check(section: &str, name: &str, value: &str, expected: Option<&str>, outcome: &Expect) {
        let wanted = SetCpf {
            cpf_section: section.to_owned(),
            parameter: name.to_owned(),
            new_value: value.to_owned(),
            current_value: expected.map(str::to_owned),
        };
        let current = Document::parse(CPF);
        let text = match edit(&current, &wanted) {
            Ok(edit) => {
                assert_eq!(
                    differing_lines(CPF, &edit.document.to_bytes()),
                    Some(usize::from(edit.before != edit.after))
                );
                let mut text = format!(
                    "line {}: {} -> {}, restart {}: {}\n",
                    edit.line, edit.before, edit.after, edit.needs_restart, edit.restart_reason
                );
                text.extend(edit.warnings.iter().map(|warning| format!("warning: {warning}\n")));
                text
            }
            Err(conflict) => format!("{}\n", Failure::from(conflict)),
        };
        outcome.assert_eq(&text);
    }

    #[test]
    fn the_globals_are_grown() {
        check(
            "config",
            "globals",
            "0,0,512,0,0,0",
            Some("0,0,256,0,0,0"),
            &expect![[r"
            line 13: 0,0,256,0,0,0 -> 0,0,512,0,0,0, restart true: takes effect only after a restart of the instance
        "]],
        );
        check(
            "config",
            "globals",
            "0,0,256,0,0,0",
            None,
            &expect![[r"
            line 13: 0,0,256,0,0,0 -> 0,0,256,0,0,0, restart true: takes effect only after a restart of the instance
        "]],
        );
    }

    #[test]
    fn what_is_only_written_to_the_file_says_so() {
        check(
            "config",
            "locksiz",
            "1048576",
            None,
            &expect![[r"
            line 14: 0 -> 1048576, restart false: takes effect at once
            warning: [config] locksiz is written to the file only: a running instance takes it up at its next start or by a CPF merge
        "]],
        );
        check(
            "config",
            "mystery",
            "2",
            None,
            &expect![[r"
            line 15: 1 -> 2, restart true: is not in the catalogue, so it is not known to take effect without a restart
            warning: [config] mystery is in the file but not in the catalogue: type and range of its value are not checked
        "]],
        );
        check(
            "Databases",
            "USER",
            "/data/user/",
            None,
            &expect![[r"
            line 6: /usr/irissys/mgr/user/ -> /data/user/, restart true: is not in the catalogue, so it is not known to take effect without a restart
            warning: [Databases] is a list of names of your own: what stands behind USER is not checked
        "]],
        );
    }

    #[test]
    fn what_is_not_in_the_file_is_refused_with_what_was_meant() {
        check(
            "Startup",
            "globals",
            "20000",
            None,
            &expect![[r"
            [Startup] globals is not a parameter of this CPF; did you mean [config] globals? (unknown_parameter); refused
        "]],
        );
        check(
            "config",
            "Globals",
            "20000",
            None,
            &expect![[r"
            [config] Globals is not a parameter of this CPF; did you mean [config] globals? (unknown_parameter); refused
        "]],
        );
        check(
            "config",
            "frobnication",
            "1",
            None,
            &expect![[r"
            [config] frobnication is not a parameter of this CPF; names are matched as they are written, upper and lower case included (unknown_parameter); refused
        "]],
        );
        check(
            "Config",
            "frobnication",
            "1",
            None,
            &expect![[r"
            [Config] frobnication is not a parameter of this CPF; did you mean section [config]? (unknown_parameter); refused
        "]],
        );
        check(
            "config",
            "gmheap",
            "0",
            None,
            &expect![[r"
            [config] gmheap is not a parameter of this CPF; other versions of IRIS have it, this file is of version 2024.2 (unknown_parameter); refused
        "]],
        );
    }

    #[test]
    fn what_is_not_ours_is_refused() {
        check(
            "ConfigFile",
            "Version",
            "2025.1",
            None,
            &expect![[r"
            [ConfigFile] Version must not be changed: it drives the conversion of the file at the start of IRIS (forbidden_parameter); refused
        "]],
        );
        check(
            "ConfigFile",
            "Product",
            "Cache",
            None,
            &expect![[r"
            [ConfigFile] Product must not be changed: it drives the conversion of the file at the start of IRIS (forbidden_parameter); refused
        "]],
        );
        check(
            "Startup",
            "PasswordHash",
            "x,y",
            None,
            &expect![[r"
            [Startup] PasswordHash must not be changed: it holds a secret, and a secret must not travel in a command (forbidden_parameter); refused
        "]],
        );
        check(
            "Actions",
            "CreateUser:Name",
            "x",
            None,
            &expect![[r"
            [Actions] CreateUser:Name must not be changed: the section belongs into merge files only (forbidden_parameter); refused
        "]],
        );
    }

    #[test]
    fn a_value_that_iris_would_not_take_is_refused() {
        check(
            "config",
            "globals",
            "20000",
            None,
            &expect![[r#"
            value "20000" of [config] globals must be 6 whole numbers separated by commas, from 0 to 0, 0 to 0, 0 to 16777216, 0 to 16777216, 0 to 16777216, 0 to 16777216 (MB) (invalid_value); refused
        "#]],
        );
        check(
            "config",
            "MaxServers",
            "255",
            None,
            &expect![[r#"
            value "255" of [config] MaxServers must be a whole number from 0 to 254 (invalid_value); refused
        "#]],
        );
        check(
            "config",
            "MaxServers",
            "",
            None,
            &expect![[r#"
            value "" of [config] MaxServers must be a whole number from 0 to 254 (invalid_value); refused
        "#]],
        );
        check(
            "config",
            "mystery",
            "1\n[Actions]",
            None,
            &expect![[r#"
            could not edit CPF: value of parameter "mystery" of section "config" holds control character or line separator '\n' (invalid_value); refused
        "#]],
        );
        check(
            "config",
            "mystery",
            "1\0",
            None,
            &expect![[r#"
            could not edit CPF: value of parameter "mystery" of section "config" holds control character or line separator '\0' (invalid_value); refused
        "#]],
        );
        check(
            "config",
            "globals",
            "0,0,1,0,0,0\r\nx=1",
            None,
            &expect![[r#"
            value "0,0,1,0,0,0\r\nx=1" of [config] globals must not hold the control character \u{d} (invalid_value); refused
        "#]],
        );
    }

    #[test]
    fn a_drifted_value_is_refused_with_both() {
        check(
            "config",
            "globals",
            "0,0,512,0,0,0",
            Some("0,0,128,0,0,0"),
            &expect![[r#"
            [config] globals is "0,0,256,0,0,0", the command expects "0,0,128,0,0,0" (current_value_differs); refused
        "#]],
        );
    }
}
