//! What a CPF gets wrong, each with its line.

use std::collections::HashSet;

use instance_iris::cpf::{self, Document};
use instance_knowledge::{
    HostRoom, SectionKind, dangers, is_known_cpf_version, list_fault, parameter, parameters_of, section,
    sections, suggest,
};
use serde::Serialize;

/// One thing that is wrong, at a place.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// From 1; null when something is not there.
    pub line: Option<usize>,
    pub section: Option<String>,
    pub name: Option<String>,
    /// One word, for programs.
    pub rule: &'static str,
    /// The same for people.
    pub text: String,
}

/// All that was found, in the order of lines; what has no line comes last.
#[derive(Debug, Default)]
pub struct Findings {
    /// IRIS would not start, or not take the value.
    pub faults: Vec<Finding>,
    /// Legal, and dangerous or not known.
    pub warnings: Vec<Finding>,
}

pub fn findings(document: &Document, merge: bool, room: Option<HostRoom>) -> Findings {
    let mut faults: Vec<Finding> = cpf::check(document)
        .into_iter()
        .filter(|fault| {
            !merge || !matches!(fault.rule, cpf::Rule::ActionsSection | cpf::Rule::MissingVersion)
        })
        .map(|fault| {
            let line = (fault.line > 0).then_some(fault.line);
            Finding { line, section: None, name: None, rule: fault.rule.name(), text: fault.text }
        })
        .collect();
    values(document, merge, &mut faults);
    let mut names = Vec::new();
    known_names(document, merge, &mut names);
    if !merge {
        missing(document, &mut names);
        required_databases(document, &mut names);
    }
    let mut warnings = Vec::new();
    // Of a release that nobody has described, what is not known may still be right.
    match document.version().filter(|version| !merge && !is_known_cpf_version(version)) {
        Some(version) if !version.is_empty() => {
            let text = format!(
                "the parameters of version {version} are not all known: unknown and missing names are warnings"
            );
            let line = document.line_of("ConfigFile", "Version");
            let (section, name) = (Some("ConfigFile".to_owned()), Some("Version".to_owned()));
            warnings.push(Finding { line, section, name, rule: "unknown_version", text });
            warnings.extend(names);
        }
        _ => faults.extend(names),
    }
    warnings.extend(combinations(document, room));
    if !merge {
        warnings.extend(unfit_entries(document));
    }
    for list in [&mut faults, &mut warnings] {
        list.sort_by_key(|finding| finding.line.unwrap_or(usize::MAX));
    }
    Findings { faults, warnings }
}

/// Wrong types, values out of range, and nothing where a value is needed.
fn values(document: &Document, merge: bool, faults: &mut Vec<Finding>) {
    // A merge file is for whatever release it is merged into.
    let version = document.version().filter(|_| !merge).unwrap_or_default();
    for entry in document.all_entries() {
        let Some(row) = entry.section.and_then(|section| parameter(section, entry.name)) else { continue };
        if let Err(fault) = row.check_in(entry.value, version) {
            let rule = if entry.value.is_empty() { "empty_value" } else { "invalid_value" };
            let (section, name) = (Some(row.section.clone()), Some(row.name.clone()));
            faults.push(Finding { line: Some(entry.line), section, name, rule, text: fault.to_string() });
        }
    }
}

/// Sections and parameters that IRIS does not know, or not in the release of the file.
fn known_names(document: &Document, merge: bool, findings: &mut Vec<Finding>) {
    let version = document.version().filter(|_| !merge).unwrap_or_default();
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
        let row = parameter(in_section, entry.name);
        if let Some(reason) = row.and_then(|row| row.why_not_in(version)) {
            note("unknown_parameter", format!("\"{}\" of [{in_section}] {reason}", entry.name));
        } else if row.is_none() {
            let meant = suggest(in_section, entry.name)
                .map(|row| format!("; did you mean {}?", row.label()))
                .unwrap_or_default();
            let text = format!("IRIS knows no parameter \"{}\" in [{in_section}]{meant}", entry.name);
            note("unknown_parameter", text);
        }
    }
}

/// The system databases of every release since 2020, as real files hold them.
const ALWAYS_REQUIRED: [&str; 5] = ["IRISSYS", "IRISLIB", "IRISTEMP", "IRISLOCALDATA", "IRISAUDIT"];

/// A system database that is not in `[Databases]` stops the start ("Required database ... is not defined").
fn required_databases(document: &Document, findings: &mut Vec<Finding>) {
    if !document.sections().any(|section| section == "Databases") {
        return; // Told as a missing section.
    }
    // Seen with 2025.2: a file of the release before stopped the start for want of it.
    let newer = (document.version() == Some("2025.2")).then_some("IRISSECURITY");
    for name in ALWAYS_REQUIRED.into_iter().chain(newer) {
        if document.line_of("Databases", name).is_none() {
            let text = format!("system database {name} is not in [Databases]");
            let (section, name) = (Some("Databases".to_owned()), Some(name.to_owned()));
            findings.push(Finding { line: None, section, name, rule: "missing_database", text });
        }
    }
}

/// What is legal one by one and dangerous together.
fn combinations(document: &Document, room: Option<HostRoom>) -> impl Iterator<Item = Finding> {
    dangers(document, room).into_iter().map(|danger| {
        let line = danger.parameters.iter().find_map(|name| document.line_of(danger.section, name));
        let name = danger.parameters.first().map(|name| (*name).to_owned());
        Finding { line, section: Some(danger.section.to_owned()), name, rule: danger.rule, text: danger.text }
    })
}

/// Databases, namespaces and mappings that do not fit together; config-agent refuses to write them. Their start is not
/// known to fail.
fn unfit_entries(document: &Document) -> impl Iterator<Item = Finding> {
    // Without databases each of them would be told; that they are missing is told.
    let entries =
        document.all_entries().filter(|_| document.sections().any(|section| section == "Databases"));
    entries.filter_map(|entry| {
        let in_section = entry.section?;
        let fault = list_fault(document, in_section, entry.name, Some(entry.value))?;
        let (section, name) = (Some(in_section.to_owned()), Some(entry.name.to_owned()));
        let text = format!("[{in_section}] {}: {fault}", entry.name);
        Some(Finding { line: Some(entry.line), section, name, rule: "unfit_entry", text })
    })
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
            let newer = parameters_of(&known.name).all(|row| !row.is_expected_in(version));
            if !newer {
                let text = format!("section [{}] is missing", known.name);
                let section = Some(known.name.clone());
                findings.push(Finding { line: None, section, name: None, rule: "missing_section", text });
            }
            continue;
        }
        for row in parameters_of(&known.name).filter(|row| row.is_expected_in(version)) {
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
        let found = findings(&Document::parse(text.as_bytes()), merge, None);
        found.faults.into_iter().map(|finding| (finding.rule, finding.line)).collect()
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

    #[test]
    fn what_a_release_that_nobody_has_described_holds_is_no_fault() {
        let text = "[ConfigFile]\nProduct=IRIS\nVersion=2031.1\n[config]\nnewest=1\nMaxServers=9999\n";
        let found = findings(&Document::parse(text.as_bytes()), false, None);
        let faults: Vec<_> = found.faults.iter().map(|fault| fault.rule).collect();
        assert_eq!(faults, ["invalid_value"]);
        let warnings: HashSet<_> = found.warnings.iter().map(|warning| warning.rule).collect();
        assert!(warnings.contains("unknown_version") && warnings.contains("unknown_parameter"), "{found:?}");
    }

    #[test]
    fn a_parameter_of_another_release_is_a_fault_and_of_an_unknown_one_a_warning() {
        let of = |version: &str, rest: &str| {
            let found = findings(
                &Document::parse(format!("[ConfigFile]\nVersion={version}\n{rest}").as_bytes()),
                false,
                None,
            );
            let at = |list: &[Finding]| {
                let line = list.iter().find(|finding| finding.line == Some(4))?;
                Some((line.rule, line.text.clone()))
            };
            (at(&found.faults), at(&found.warnings))
        };
        for (version, rest, part) in [
            ("2025.2", "[SQL]\nDBMSSecurity=1\n", "was removed after 2025.1"),
            ("2024.2", "[Startup]\nShardRole=x\n", "was removed after 2020.15"),
            ("2024.2", "[SQL]\nJavaHome=/x\n", "was removed after 2020.15"),
            ("2024.2", "[Logging]\nEventFilter=x\n", "is new in 2025.1"),
        ] {
            let (fault, _) = of(version, rest);
            let (rule, text) = fault.unwrap_or_else(|| panic!("no fault in {rest}"));
            assert!(rule == "unknown_parameter" && text.contains(part), "{rule}: {text}");
        }
        let (fault, warning) = of("2031.1", "[SQL]\nDBMSSecurity=1\n");
        assert_eq!((fault, warning.map(|found| found.0)), (None, Some("unknown_parameter")));
        assert_eq!(of("2025.1", "[SQL]\nDBMSSecurity=1\n"), (None, None));
        let (fault, _) = of("2024.2", "[config]\nhistory=32,1024\n");
        assert_eq!(fault.map(|found| found.0), Some("invalid_value"));
        assert_eq!(of("2020.15", "[config]\nhistory=32,1024\n"), (None, None));
    }

    #[test]
    fn without_a_version_only_what_every_release_has_is_missing() {
        let text = "[config]\nroutines=0\n[Monitor]\nSNMPEnabled=0\n[Startup]\nDefaultPort=1972\n";
        let found = findings(&Document::parse(text.as_bytes()), false, None);
        let missing: Vec<_> = found
            .faults
            .iter()
            .filter(|fault| fault.rule.starts_with("missing_"))
            .map(|fault| (fault.section.as_deref().unwrap_or(""), fault.name.as_deref().unwrap_or("")))
            .collect();
        for wrong in
            [("Monitor", "WMIEnabled"), ("Monitor", "OTELLogs"), ("Logging", ""), ("Startup", "ShardRole")]
        {
            assert!(!missing.contains(&wrong), "{wrong:?} in {missing:?}");
        }
        assert!(missing.contains(&("config", "globals")), "{missing:?}");
    }

    #[test]
    fn a_namespace_without_its_database_is_a_warning() {
        let text = "[Databases]\nUSER=/u/\n[Namespaces]\nUSER=NOSUCHDB\nOTHER=USER\n";
        let warned = |merge| {
            let found = findings(&Document::parse(text.as_bytes()), merge, None);
            found.warnings.into_iter().map(|found| (found.rule, found.line)).collect::<Vec<_>>()
        };
        assert_eq!(warned(false), [("unfit_entry", Some(4))]);
        // What it is merged into has other databases.
        assert_eq!(warned(true), []);
    }

    #[test]
    fn a_system_database_that_is_gone_is_a_fault() {
        let text = "[ConfigFile]\nVersion=2025.2\n[Databases]\nIRISSYS=/mgr/\nIRISLIB=/lib/\nIRISTEMP=/t/\n\
            IRISLOCALDATA=/l/\nUSER=/u/\n";
        let found = findings(&Document::parse(text.as_bytes()), false, None);
        let gone: Vec<_> = found
            .faults
            .iter()
            .filter(|fault| fault.rule == "missing_database")
            .filter_map(|fault| fault.name.as_deref())
            .collect();
        assert_eq!(gone, ["IRISAUDIT", "IRISSECURITY"]);
    }

    #[test]
    fn more_memory_than_there_is_is_a_warning_at_its_line() {
        let text = "[config]\nroutines=100\nglobals=0,0,20000,0,0,0\n";
        let room = HostRoom { physical_mb: 4096, huge_page_kb: 2048, ..HostRoom::default() };
        let found = findings(&Document::parse(text.as_bytes()), true, Some(room));
        assert!(found.faults.is_empty(), "{found:?}");
        let warning = &found.warnings[0];
        assert_eq!((warning.rule, warning.line), ("memory_beyond_host", Some(3)));
    }
}
