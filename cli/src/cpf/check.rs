//! `instance cpf check`: the shape of the file, and what the catalogue says of its names and values.

use std::{collections::HashSet, path::PathBuf};

use anyhow::Result;
use instance_iris::cpf::{self, Document};
use instance_knowledge::{SectionKind, parameter, parameters_of, section, sections, suggest};
use serde::Serialize;
use serde_json::json;

use crate::{
    exit::Exit,
    output::{print, print_json, printable},
    session::{Session, Tone},
};

const EXAMPLES: &str = "\
Examples:
  instance cpf check iris.cpf
  instance cpf check --merge merge.cpf           A merge file: nothing is missing in it.
  instance cpf check iris.cpf --json | jq '.faults[].rule'";

#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// The CPF; `-` for stdin
    file: PathBuf,
    /// It is a merge file: it holds only what changes, and may ask for actions
    #[arg(long)]
    merge: bool,
}

/// One thing that is wrong, at a place.
#[derive(Debug, PartialEq, Eq, Serialize)]
struct Finding {
    /// From 1; null when something is not there.
    line: Option<usize>,
    section: Option<String>,
    name: Option<String>,
    /// One word, for programs.
    rule: &'static str,
    /// The same for people.
    text: String,
}

pub fn run(args: &Args, session: &Session) -> Result<Exit> {
    let document = super::read(&args.file)?;
    let findings = findings(&document, args.merge);
    if session.json() {
        print_json(&json!({
            "schema": "instance.cli.v1.cpf_check", "file": args.file.display().to_string(),
            "version": document.version(), "valid": findings.is_empty(), "faults": findings,
        }))?;
    } else {
        for finding in &findings {
            let place = finding.line.map(|line| format!(":{line}")).unwrap_or_default();
            let rule = session.paint(Tone::Bad, finding.rule);
            print(format_args!("{}{place}: {rule}: {}", args.file.display(), printable(&finding.text)))?;
        }
        if findings.is_empty() {
            session.note(format_args!("{}: no fault found", args.file.display()));
        }
    }
    Ok(if findings.is_empty() { Exit::Done } else { Exit::Failure })
}

fn findings(document: &Document, merge: bool) -> Vec<Finding> {
    let mut findings: Vec<Finding> = cpf::check(document)
        .into_iter()
        .filter(|fault| {
            !merge || !matches!(fault.rule, cpf::Rule::ActionsSection | cpf::Rule::MissingVersion)
        })
        .map(|fault| {
            let line = (fault.line > 0).then_some(fault.line);
            Finding { line, section: None, name: None, rule: fault.rule.name(), text: fault.text }
        })
        .collect();
    known_names_and_values(document, &mut findings);
    if !merge {
        missing(document, &mut findings);
    }
    // What is missing has no line and comes last.
    findings.sort_by_key(|finding| finding.line.unwrap_or(usize::MAX));
    findings
}

fn known_names_and_values(document: &Document, findings: &mut Vec<Finding>) {
    let mut unknown: HashSet<&str> = HashSet::new();
    for entry in document.all_entries() {
        let Some(in_section) = entry.section else { continue };
        let mut note = |rule, text| {
            let (section, name) = (Some(in_section.to_owned()), Some(entry.name.to_owned()));
            findings.push(Finding { line: Some(entry.line), section, name, rule, text });
        };
        let Some(known) = section(in_section) else {
            if unknown.insert(in_section) {
                note("unknown_section", format!("IRIS knows no section [{in_section}]"));
            }
            continue;
        };
        if matches!(known.kind, SectionKind::List | SectionKind::MergeOnly | SectionKind::Written) {
            continue;
        }
        let Some(row) = parameter(in_section, entry.name) else {
            let meant = suggest(in_section, entry.name)
                .map(|row| format!("; did you mean {}?", row.label()))
                .unwrap_or_default();
            let text = format!("IRIS knows no parameter \"{}\" in [{in_section}]{meant}", entry.name);
            note("unknown_parameter", text);
            continue;
        };
        if let Err(fault) = row.check(entry.value) {
            let rule = if entry.value.is_empty() { "empty_value" } else { "invalid_value" };
            note(rule, fault.to_string());
        }
    }
}

/// Not missing where they are not there: IRIS writes the first only once sharding is used, and the version is a matter
/// of the file's shape, told above.
const LEFT_OUT: [(&str, &str); 2] = [("Startup", "EnableSharding"), ("ConfigFile", "Version")];

/// Sections and parameters that a full file of this release has.
fn missing(document: &Document, findings: &mut Vec<Finding>) {
    let version = document.version().unwrap_or_default();
    let present: HashSet<&str> = document.sections().collect();
    for known in sections().iter().filter(|known| known.kind == SectionKind::Fixed && known.always) {
        if !present.contains(known.name.as_str()) {
            let newer = parameters_of(&known.name).all(|row| !row.is_held_by(version));
            if !newer {
                let text = format!("section [{}] is missing", known.name);
                let section = Some(known.name.clone());
                findings.push(Finding { line: None, section, name: None, rule: "missing_section", text });
            }
            continue;
        }
        for row in parameters_of(&known.name).filter(|row| row.is_held_by(version)) {
            let left_out = LEFT_OUT.contains(&(row.section.as_str(), row.name.as_str()));
            if document.line_of(&known.name, &row.name).is_none() && !left_out {
                let text = format!("{} is missing", row.label());
                let (section, name) = (Some(row.section.clone()), Some(row.name.clone()));
                findings.push(Finding { line: None, section, name, rule: "missing_parameter", text });
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rules(text: &str, merge: bool) -> Vec<(&'static str, Option<usize>)> {
        let findings = findings(&Document::parse(text.as_bytes()), merge);
        findings.into_iter().map(|finding| (finding.rule, finding.line)).collect()
    }

    #[test]
    fn a_merge_file_lacks_nothing_and_its_values_are_checked() {
        assert_eq!(rules("[config]\nroutines=128\n[Actions]\nCreateDatabase:Name=X\n", true), []);
        let bad = "[config]\nroutines=128\nroutines=256\ngmheap=lots\nGlobals=1\n[Nonsense]\na=1\nb=2\n";
        assert_eq!(
            rules(bad, true),
            [
                ("duplicate_line", Some(3)),
                ("invalid_value", Some(4)),
                ("unknown_parameter", Some(5)),
                ("unknown_section", Some(7)),
            ]
        );
    }

    #[test]
    fn a_full_file_has_every_section() {
        let found = rules("[ConfigFile]\nProduct=IRIS\nVersion=2024.2\n", false);
        assert!(found.contains(&("missing_section", None)), "{found:?}");
        let found = rules("[ConfigFile]\nVersion=2024.2\n[config]\nroutines=\n", false);
        assert!(found.contains(&("missing_parameter", None)), "{found:?}");
    }
}
