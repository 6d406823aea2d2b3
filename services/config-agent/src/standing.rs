//! A merge file that stands: IRIS merges it into its CPF at every start, and in a container whenever the file changes. What it
//! names is set there; in `iris.cpf` it would be overwritten.
//!
//! Merge files hold secrets: of their lines only the number is told.

use std::{io, path::PathBuf};

use instance_contract::Failure;
use instance_iris::cpf::{Document, Operation};

use crate::{apply::Site, wanted::Touched};

/// The merge file of an instance, as the settings name it.
#[derive(Debug)]
pub struct Standing {
    pub path: PathBuf,
    pub text: io::Result<Vec<u8>>,
}

/// Refuses a change of what the merge file names, unless it is to the very value there; else what is to be said of the
/// file.
pub fn check(site: &Site<'_>, touched: &[Touched]) -> Result<Vec<String>, Failure> {
    let Some(Standing { path, text }) = site.host.standing_merge(site.instance) else {
        return Ok(Vec::new());
    };
    if !touched.iter().any(Touched::changes) {
        return Ok(Vec::new());
    }
    let path = path.display();
    let text = match text {
        Ok(text) => text,
        // IRIS says so too, and starts.
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return Ok(vec![format!("merge file \"{path}\" of the settings is not there")]);
        }
        Err(error) => {
            let message = format!(
                "whether merge file \"{path}\" sets the same cannot be told ({error}): let config-agent read it, or take \
                 it out of its settings"
            );
            return Err(Failure::refused("merge_file_stands", message));
        }
    };
    let document = Document::parse(&text);
    for one in touched.iter().filter(|one| one.changes()) {
        if let Some(line) = sets_otherwise(&document, one) {
            let label = one.label();
            let message = format!(
                "{label} is set by merge file \"{path}\" (line {line}), which IRIS merges again at the next start, and in a \
                 container at every change of that file: {label} of iris.cpf would be overwritten; change it in the merge file"
            );
            return Err(Failure::refused("merge_file_stands", message));
        }
    }
    Ok(vec![format!(
        "the instance has a merge file, \"{path}\", which does not name what is changed here: where all configuration shall \
         come from it (as in a container that is made anew), change it there too"
    )])
}

/// The line by which the merge file will set it to something else, or may.
fn sets_otherwise(merge: &Document, one: &Touched) -> Option<usize> {
    let named = |section: Option<&str>, name: &str| {
        section.is_some_and(|section| section.eq_ignore_ascii_case(&one.section))
            && name.eq_ignore_ascii_case(&one.parameter)
    };
    let last = merge.all_entries().filter(|entry| named(entry.section, entry.name)).last();
    let by_line = last.filter(|entry| one.after.as_deref() != Some(entry.value)).map(|entry| entry.line);
    by_line.or_else(|| {
        merge.operations().find(|operation| operates_on(operation, one)).map(|operation| operation.line)
    })
}

/// Does an operation of `[Actions]` change the parameter or the entry? `ModifyConfig:globals=...`,
/// `CreateDatabase:Name=X,Directory=...`.
fn operates_on(operation: &Operation<'_>, one: &Touched) -> bool {
    let arguments = || arguments(operation.arguments);
    let of_name =
        || arguments().any(|(key, value)| key.eq_ignore_ascii_case("Name") && value == one.parameter);
    let verbs = ["Create", "Modify", "Delete"];
    let Some(object) = verbs.iter().find_map(|verb| operation.name.strip_prefix(verb)) else { return false };
    match object {
        "Database" => one.section == "Databases" && of_name(),
        "Namespace" => one.section == "Namespaces" && of_name(),
        section => {
            section.eq_ignore_ascii_case(&one.section)
                && arguments().any(|(key, _)| key.eq_ignore_ascii_case(&one.parameter))
        }
    }
}

/// `Key=Value,Key="a,b"`: a comma inside quotes divides nothing.
fn arguments(text: &str) -> impl Iterator<Item = (&str, &str)> {
    let mut quoted = false;
    let parts = text.split(move |character| {
        quoted ^= character == '"';
        character == ',' && !quoted
    });
    parts.filter_map(|part| {
        let (key, value) = part.split_once('=')?;
        Some((key.trim(), value.trim().trim_matches('"')))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_merge_file_names_parameters_by_line_and_by_operation() {
        let merge = Document::parse(
            b"[Config]\nroutines=128\nroutines=256\n[Startup]\nWebServer=0\n[Actions]\n\
              ModifyConfig:MaxServers=4,LibPath=\"/a,gmheap=1\",locksiz=0\nCreateDatabase:Name=SHOP,Directory=/shop/\n",
        );
        let line = |section: &str, parameter: &str, after: &str| {
            let touched = Touched {
                section: section.to_owned(),
                parameter: parameter.to_owned(),
                before: None,
                after: Some(after.to_owned()),
            };
            sets_otherwise(&merge, &touched)
        };
        assert_eq!(line("config", "routines", "512"), Some(3));
        // The last one counts, and to the same value nothing is overwritten.
        assert_eq!(line("config", "routines", "128"), Some(3));
        assert_eq!(line("config", "routines", "256"), None);
        assert_eq!(line("Startup", "WebServer", "1"), Some(5));
        assert_eq!(line("config", "MaxServers", "8"), Some(7));
        assert_eq!(line("config", "locksiz", "8"), Some(7));
        assert_eq!(line("config", "gmheap", "8"), None, "inside a quoted value");
        assert_eq!(line("Databases", "SHOP", "/other/"), Some(8));
        assert_eq!(line("Databases", "USER", "/other/"), None);
        assert_eq!(line("config", "globals", "0,0,1,0,0,0"), None);
    }
}
