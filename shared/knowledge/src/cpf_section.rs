//! The sections of `iris.cpf`: which hold fixed keys, and which hold lists of the operator's own names.

use std::sync::LazyLock;

use serde::Deserialize;

use crate::rows::{self, DataError, fault};

/// The section of that name: `config`, `Databases`, `Map.%ALL`.
pub fn section(name: &str) -> Option<&'static Section> {
    SECTIONS.iter().find(|section| section.covers(name))
}

/// All sections known, in the order in which IRIS writes them; those on demand last.
pub fn sections() -> &'static [Section] {
    &SECTIONS
}

/// True for sections whose keys are names of the operator's own, with a positional value behind each.
pub fn is_list_section(name: &str) -> bool {
    section(name).is_some_and(|section| section.kind == SectionKind::List)
}

/// One section, or a family of sections that share the first part of their name.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct Section {
    /// Name without brackets; one that ends in `.*` stands for a family such as `Map.*`.
    pub name: String,
    /// What its lines are.
    pub kind: SectionKind,
    /// The shape of one line.
    pub line: String,
    /// True when a full file of a current release always has it.
    pub always: bool,
    /// Oldest release whose files are known to hold it, when it came later than the oldest files at hand.
    pub since: Option<String>,
    /// Tag of the source; explained in the crate's README.
    pub source: String,
}

/// What the lines of a section are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum SectionKind {
    /// Fixed keys; every key of the release is present.
    Fixed,
    /// One line per named thing, positional values.
    List,
    /// Written by IRIS alone.
    Written,
    /// Operations; legal in merge files only.
    MergeOnly,
}

impl Section {
    /// Whether this row stands for the section called `name`, exactly as IRIS spells it.
    pub fn covers(&self, name: &str) -> bool {
        match self.name.strip_suffix('*') {
            Some(family) => name.len() > family.len() && name.starts_with(family),
            None => self.name == name,
        }
    }
}

static SECTIONS: LazyLock<Vec<Section>> = LazyLock::new(|| {
    read("cpf_sections.toml", include_str!("../data/cpf_sections.toml"))
        .expect("the built-in CPF sections are checked by a test")
});

fn read(file: &str, text: &str) -> Result<Vec<Section>, DataError> {
    let rows = rows::read::<Section>(file, text, "section", "name", &["section"])?;
    for (index, row) in rows.iter().enumerate() {
        if row.value.line.trim().is_empty() || row.value.source.trim().is_empty() {
            return Err(fault(file, &row.label, "line and source must not be empty"));
        }
        if rows[..index].iter().any(|earlier| earlier.value.name == row.value.name) {
            return Err(fault(file, &row.label, "the section is already described by another row"));
        }
    }
    Ok(rows.into_iter().map(|row| row.value).collect())
}

/// Why an entry of a list section counts as one that needs a restart. IRIS has actions of a CPF merge for some of them
/// (`CreateDatabase`, `CreateNamespace`; CM); whether a running instance takes up a line that is written to its file, no
/// source says.
pub const LIST_RESTART_REASON: &str = "is an entry of a list: no source says that a running instance takes it up, so it counts from the next start";

#[cfg(test)]
mod tests {
    use super::{SectionKind, is_list_section, section, sections};
    use crate::cpf_parameter::{parameters, parameters_of};

    #[test]
    fn lists_are_told_from_fixed_keys() {
        for list in
            ["Databases", "Namespaces", "Map.%ALL", "Map.IRISAPP", "Devices", "Gateways", "MapMirrors.M"]
        {
            assert!(is_list_section(list), "{list}");
        }
        for other in ["config", "Startup", "Map.", "Map", "databases", "Actions", "Conversions", ""] {
            assert!(!is_list_section(other), "{other}");
        }
        assert_eq!(section("Actions").map(|found| found.kind), Some(SectionKind::MergeOnly));
        assert_eq!(section("Nonsense"), None);
    }

    #[test]
    fn every_parameter_stands_in_a_known_section_that_can_hold_it() {
        for parameter in parameters() {
            let found = section(&parameter.section).unwrap_or_else(|| panic!("[{}]", parameter.section));
            assert_ne!(found.kind, SectionKind::MergeOnly, "[{}]", parameter.section);
        }
        for found in sections().iter().filter(|found| found.kind == SectionKind::Fixed && found.always) {
            assert!(parameters_of(&found.name).next().is_some(), "[{}] has no parameter", found.name);
        }
    }
}
