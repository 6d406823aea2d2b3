//! What the strict check of the CPF can find, and how IRIS words it.

use std::collections::BTreeMap;

use instance_iris::cpf::{self, Document, Rule};
use instance_knowledge::{SectionKind, parameters_of, section, sections};

use crate::world::release::Release;

/// A fault in a CPF. Each stops the start.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CpfFault {
    /// A full CPF holds every parameter of its version.
    Missing {
        /// Section name.
        section: String,
        /// The absent parameters, in the order of the file's sorting.
        parameters: Vec<String>,
        /// Where the section ends, from 1.
        line: usize,
    },
    /// A parameter (or section) this version does not know.
    Unknown {
        /// Parameter name.
        parameter: String,
        /// The whole line.
        text: String,
        /// From 1.
        line: usize,
    },
    /// The same parameter or section twice.
    Duplicate {
        /// The whole second line.
        text: String,
        /// From 1.
        line: usize,
    },
    /// Nothing after the `=` where a value is needed.
    Empty {
        /// Section name.
        section: String,
        /// Parameter name.
        parameter: String,
    },
    /// A value outside of what the parameter takes.
    Invalid {
        /// Section name.
        section: String,
        /// Parameter name.
        parameter: String,
        /// The value as written.
        value: String,
    },
    /// A system database without an entry.
    DatabaseUndefined {
        /// Database name.
        database: String,
        /// Where `[Databases]` ends, from 1.
        line: usize,
    },
}

impl CpfFault {
    /// The message IRIS writes. Worded as real logs have it; `Invalid` is worded after IRIS's general validation
    /// error, because no real line is known.
    pub fn message(&self) -> String {
        match self {
            Self::Missing { section, parameters, line } => format!(
                "The following parameters are missing from section [{section}]: '{}' at line {line}",
                parameters.join(",")
            ),
            Self::Unknown { parameter, text, line } => {
                format!("Invalid parameter name '{parameter}', LINE:'{text}' at line {line}")
            }
            Self::Duplicate { text, line } => {
                format!("Duplicate line detected, LINE:'{text}' at line {line}")
            }
            Self::Empty { section, parameter } => {
                format!("Property 'Config.{section}::{parameter}(2@Config.{section},ID=)' required")
            }
            Self::Invalid { section, parameter, value } => format!(
                "Datatype validation failed on property 'Config.{section}:{parameter}', with value equal to \"{value}\""
            ),
            Self::DatabaseUndefined { database, line } => {
                format!("Required database {database} is not defined at line {line}")
            }
        }
    }
}

/// The strict check: every fault, in the order in which a start reports them.
pub fn check(document: &Document, release: Release) -> Vec<CpfFault> {
    let text = document.to_bytes();
    let lines: Vec<String> = text.split(|byte| *byte == b'\n').map(printed).collect();
    let mut faults = faults_of_shape(document, &lines);
    for (name, end) in section_ends(document) {
        faults.extend(faults_of_section(document, &name, end, release, &lines));
    }
    for known in sections().iter().filter(|known| known.kind == SectionKind::Fixed && known.always) {
        let held = parameters_of(&known.name).any(|parameter| parameter.is_held_by(release.version()));
        if held && !document.sections().any(|found| found == known.name) {
            faults.push(missing(&known.name, names_of(&known.name, release), lines.len()));
        }
    }
    let end = section_ends(document)
        .into_iter()
        .find(|(name, _)| name == "Databases")
        .map_or(lines.len(), |it| it.1);
    for database in release.system_databases() {
        if document.get("Databases", database).is_none_or(str::is_empty) {
            faults.push(CpfFault::DatabaseUndefined { database: database.to_owned(), line: end });
        }
    }
    faults
}

/// Repeated names and sections, and lines that are no parameter at all.
fn faults_of_shape(document: &Document, lines: &[String]) -> Vec<CpfFault> {
    cpf::check(document)
        .into_iter()
        .filter_map(|fault| {
            let text = lines.get(fault.line.checked_sub(1)?)?.clone();
            let line = fault.line;
            match fault.rule {
                Rule::DuplicateLine | Rule::RepeatedSection => Some(CpfFault::Duplicate { text, line }),
                Rule::OutsideSection
                | Rule::UnreadableLine
                | Rule::ControlCharacter
                | Rule::ActionsSection => {
                    let parameter = text.split('=').next().unwrap_or_default().trim().to_owned();
                    Some(CpfFault::Unknown { parameter, text, line })
                }
                // What an unclosed comment hides is missing, and reported as that; IRIS reads either line end.
                Rule::UnclosedComment | Rule::MissingVersion | Rule::MixedLineEnds => None,
            }
        })
        .collect()
}

/// Sections in file order, once each, with the number of their last parameter line.
fn section_ends(document: &Document) -> Vec<(String, usize)> {
    let mut ends: BTreeMap<&str, usize> = BTreeMap::new();
    for entry in document.all_entries() {
        if let Some(name) = entry.section {
            ends.insert(name, entry.line);
        }
    }
    let mut seen: Vec<(String, usize)> = Vec::new();
    for name in document.sections() {
        if !seen.iter().any(|(earlier, _)| earlier == name) {
            seen.push((name.to_owned(), ends.get(name).copied().unwrap_or(1)));
        }
    }
    seen
}

fn faults_of_section(
    document: &Document,
    name: &str,
    end: usize,
    release: Release,
    lines: &[String],
) -> Vec<CpfFault> {
    let is_full = match section(name) {
        Some(known) if known.kind == SectionKind::Fixed => known.always,
        Some(_) => return Vec::new(),
        None => {
            let text = format!("[{name}]");
            let line = lines.iter().position(|line| line.trim() == text).map_or(end, |at| at + 1);
            return vec![CpfFault::Unknown { parameter: name.to_owned(), text, line }];
        }
    };
    let mut faults = Vec::new();
    let absent: Vec<String> =
        names_of(name, release).into_iter().filter(|known| document.get(name, known).is_none()).collect();
    if is_full && !absent.is_empty() {
        faults.push(missing(name, absent, end));
    }
    for entry in document.entries(name) {
        let known = parameters_of(name)
            .find(|parameter| parameter.name == entry.name && parameter.is_held_by(release.version()));
        let fault = match known {
            None => Some(CpfFault::Unknown {
                parameter: entry.name.to_owned(),
                text: lines.get(entry.line - 1).cloned().unwrap_or_default(),
                line: entry.line,
            }),
            // A value of some type is needed where nothing is not of that type.
            Some(known) if entry.value.trim().is_empty() && known.check("").is_err() => {
                Some(CpfFault::Empty { section: name.to_owned(), parameter: entry.name.to_owned() })
            }
            Some(known) if known.check(entry.value.trim()).is_err() => Some(CpfFault::Invalid {
                section: name.to_owned(),
                parameter: entry.name.to_owned(),
                value: if known.secret { "(hidden)".to_owned() } else { entry.value.to_owned() },
            }),
            Some(_) if name == "ConfigFile" && entry.name == "Version" => {
                fault_of_version(entry.value.trim())
            }
            Some(_) => None,
        };
        faults.extend(fault);
    }
    faults
}

/// "A string of numbers up to 7 characters long, usually in dot format" [CPF], and another one may stop the start: so any
/// that is none does here.
///
/// One above the engine's own stops nothing by itself. What is known of a real start is that content of an older release
/// under a raised version lacks parameters, and is refused for that ([`CpfFault::Missing`]); what it says of a file that is
/// right but for its version, if it says anything, stands in no source.
fn fault_of_version(value: &str) -> Option<CpfFault> {
    let (section, parameter) = ("ConfigFile".to_owned(), "Version".to_owned());
    if value.is_empty() {
        return Some(CpfFault::Empty { section, parameter });
    }
    let numbers = value.split('.').all(|part| !part.is_empty() && part.bytes().all(|it| it.is_ascii_digit()));
    (!numbers).then(|| CpfFault::Invalid { section, parameter, value: value.to_owned() })
}

/// The parameters that a full file of the release holds in a section. Those whose default varies by platform are
/// among them; `EnableSharding`-like ones that IRIS itself leaves out are not.
fn names_of(section: &str, release: Release) -> Vec<String> {
    parameters_of(section)
        .filter(|parameter| parameter.is_held_by(release.version()) && !is_optional(section, &parameter.name))
        .map(|parameter| parameter.name.clone())
        .collect()
}

/// Known to IRIS, but absent from the full files it writes on Linux.
pub fn is_optional(section: &str, name: &str) -> bool {
    matches!((section, name), ("Startup", "EnableSharding"))
}

fn missing(section: &str, parameters: Vec<String>, line: usize) -> CpfFault {
    CpfFault::Missing { section: section.to_owned(), parameters, line }
}

/// A line as a message can show it: no carriage return, nothing that would break the log's own line.
fn printed(line: &[u8]) -> String {
    String::from_utf8_lossy(line).chars().filter(|character| !character.is_control()).collect()
}

/// The line that ends a start whose CPF has faults.
pub fn shutting_down(release: Release, cpf_path: &str, faults: &[CpfFault]) -> String {
    // Real logs name another place of the kernel when only a value is missing.
    let position = if faults.iter().all(|fault| matches!(fault, CpfFault::Empty { .. })) && !faults.is_empty()
    {
        release.source_position("dmisc1.c", 3778)
    } else {
        release.source_position("sqio.c", 3658)
    };
    format!("Error: Parsing CPF file {cpf_path} - Shutting down the system : {position}")
}

#[cfg(test)]
mod tests {
    use instance_iris::cpf::Document;

    use super::{CpfFault, check};
    use crate::create::example_cpf;
    use crate::world::release::Release;

    /// The faults of a good file after an edit of its text, as IRIS words them.
    fn faults(edit: impl FnOnce(&str) -> String) -> Vec<String> {
        let release = Release::try_from("2025.2".to_owned()).unwrap();
        let good = example_cpf(release);
        let edited = edit(&good);
        assert_ne!(good, edited, "the edit hit nothing");
        check(&Document::parse(edited.as_bytes()), release).iter().map(CpfFault::message).collect()
    }

    #[test]
    fn an_unknown_name_is_named_with_its_line() {
        let found = faults(|text| text.replace("[SQL]\n", "[SQL]\nDBMSSecurity=1\n"));
        assert_eq!(found.len(), 1, "{found:?}");
        assert!(
            found[0].starts_with("Invalid parameter name 'DBMSSecurity', LINE:'DBMSSecurity=1' at line ")
        );
    }

    /// A real 2025.2 that met such a file wrote these entries, in this order.
    #[test]
    fn content_of_an_older_release_lacks_what_its_raised_version_needs() {
        let release = |version: &str| Release::try_from(version.to_owned()).unwrap();
        let raised = example_cpf(release("2024.2")).replace("Version=2024.2\n", "Version=2025.2\n");
        let found = check(&Document::parse(raised.as_bytes()), release("2025.2"));
        let texts: Vec<String> = found.iter().map(CpfFault::message).collect();
        let beginnings = [
            "The following parameters are missing from section [Logging]: 'EventFilter' at line ",
            "The following parameters are missing from section [Monitor]: 'OTELInterval,OTELLogLevel,OTELLogs,OTELMetrics' at line ",
            "Invalid parameter name 'DBMSSecurity', LINE:'DBMSSecurity=",
            "Required database IRISSECURITY is not defined at line ",
        ];
        let mut rest = texts.iter();
        for beginning in beginnings {
            assert!(rest.any(|text| text.starts_with(beginning)), "no \"{beginning}\" in {texts:#?}");
        }
    }

    #[test]
    fn missing_names_are_listed_by_section() {
        let found = faults(|text| text.replace("OTELInterval=10\n", "").replace("OTELMetrics=0\n", ""));
        assert_eq!(found.len(), 1, "{found:?}");
        assert!(found[0].starts_with(
            "The following parameters are missing from section [Monitor]: 'OTELInterval,OTELMetrics' at line "
        ));
    }

    #[test]
    fn a_repeated_line_and_an_empty_value_are_faults() {
        let found = faults(|text| text.replace("jrnbufs=64\n", "jrnbufs=64\njrnbufs=64\n"));
        assert!(found[0].starts_with("Duplicate line detected, LINE:'jrnbufs=64' at line "), "{found:?}");
        let found = faults(|text| text.replace("\nWebServer=0\n", "\nWebServer=\n"));
        assert_eq!(found, ["Property 'Config.Startup::WebServer(2@Config.Startup,ID=)' required"]);
    }

    #[test]
    fn a_version_is_numbers_and_dots_and_a_later_one_is_no_fault_by_itself() {
        let with =
            |value: &str| faults(|text| text.replace("\nVersion=2025.2\n", &format!("\nVersion={value}\n")));
        for garbage in ["latest", "2025.x", ".", "2025.", "20252025"] {
            let told = format!(
                "Datatype validation failed on property 'Config.ConfigFile:Version', with value equal to \"{garbage}\""
            );
            assert_eq!(with(garbage), [told]);
        }
        assert_eq!(with(""), ["Property 'Config.ConfigFile::Version(2@Config.ConfigFile,ID=)' required"]);
        assert_eq!(with("2031.1"), Vec::<String>::new());
    }

    #[test]
    fn a_whole_section_a_database_and_a_wrong_value_are_missed() {
        let found = faults(|text| text.replace("[ECP]", "[ECPx]"));
        assert!(
            found.iter().any(|text| text.starts_with("Invalid parameter name 'ECPx', LINE:'[ECPx]'")),
            "{found:?}"
        );
        assert!(
            found.iter().any(|text| text.contains("missing from section [ECP]: 'ClientReconnectDuration,"))
        );
        let found = faults(|text| text.replace("IRISSECURITY=", "IRISSECURITYX="));
        assert!(found[0].starts_with("Required database IRISSECURITY is not defined at line "), "{found:?}");
        let found = faults(|text| text.replace("memlock=0", "memlock=2"));
        assert_eq!(
            found,
            ["Datatype validation failed on property 'Config.config:memlock', with value equal to \"2\""]
        );
    }

    #[test]
    fn a_globals_line_in_the_wrong_section_is_refused() {
        // The mistake of a widely copied example: section Startup, key globals.
        let found = faults(|text| text.replace("[Startup]\n", "[Startup]\nglobals=20000\n"));
        assert!(
            found[0].starts_with("Invalid parameter name 'globals', LINE:'globals=20000' at line "),
            "{found:?}"
        );
    }
}
