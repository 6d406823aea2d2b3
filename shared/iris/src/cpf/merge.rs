use super::{Difference, Document, EditError, diff, document::is_actions};

/// Why a merge file could not be applied.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum MergeError {
    /// A line stands above the first section, so it is not clear where it belongs.
    #[error("could not merge line {line}: parameter \"{name}\" is in no section")]
    OutsideSection {
        /// Line number in the merge file, from 1.
        line: usize,
        /// The parameter.
        name: String,
    },
    /// The target does not take a parameter.
    #[error("could not merge line {line}")]
    Edit {
        /// Line number in the merge file, from 1.
        line: usize,
        /// What the target says.
        #[source]
        source: EditError,
    },
}

/// Applies the parameters of a merge file to a CPF; returns the CPF as it will be, and what changes in it.
///
/// Section names are matched without case, as merge files write them in several ways; parameter names are matched
/// as they are written. A parameter that the target lacks is added to its section, a section that it lacks at the
/// end. `[Actions]` is left alone: only IRIS can execute operations, and
/// [`operations`](Document::operations) of the merge file lists them.
pub fn merge(target: &Document, merge: &Document) -> Result<(Document, Vec<Difference>), MergeError> {
    let mut merged = target.clone();
    for entry in merge.all_entries() {
        let Some(section) = entry.section else {
            return Err(MergeError::OutsideSection { line: entry.line, name: entry.name.to_owned() });
        };
        if is_actions(section) {
            continue;
        }
        apply(&mut merged, section, entry.name, entry.value)
            .map_err(|source| MergeError::Edit { line: entry.line, source })?;
    }
    let differences = diff(target, &merged);
    Ok((merged, differences))
}

fn apply(document: &mut Document, section: &str, name: &str, value: &str) -> Result<(), EditError> {
    let found = document.sections().find(|other| other.eq_ignore_ascii_case(section)).map(str::to_owned);
    let Some(section) = found else {
        document.append_section(section)?;
        return document.insert(section, name, value).map(drop);
    };
    match document.set(&section, name, value) {
        Err(EditError::UnknownParameter { suggestion: None, .. }) => {
            document.insert(&section, name, value).map(drop)
        }
        // The same name in another case is kept as an error: IRIS would meet two parameters and stop.
        other => other.map(drop),
    }
}
