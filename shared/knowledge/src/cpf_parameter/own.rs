//! Rows of a user's own: `[[cpf_parameter]]`, the fields of a row compiled in with its section and name.

use super::{Parameter, Table, load};
use crate::cpf_section::{SectionKind, section};
use crate::rows::{self, DataError, fault};
use crate::value::is_unprintable;

impl Table {
    /// Adds the rows of one file; `tables` are the names that it may hold.
    pub fn add_own(&mut self, file: &str, text: &str, tables: &[&str]) -> Result<(), DataError> {
        for row in rows::read::<toml::Table>(file, text, "cpf_parameter", "name", tables)? {
            let mut fields = row.value;
            let refused = |rule: String| fault(file, &row.label, rule);
            let section = taken(&mut fields, "section").map_err(refused)?;
            let name = taken(&mut fields, "name").map_err(refused)?;
            let parameter = load::parameter(file, &section, &name, toml::Value::Table(fields))?;
            self.check_own(&parameter).map_err(|rule| fault(file, &parameter.label(), rule))?;
            self.insert(parameter);
        }
        Ok(())
    }

    /// What must hold for a row that nobody here has seen.
    fn check_own(&self, row: &Parameter) -> Result<(), String> {
        let section_known = section(&row.section).map(|section| section.kind);
        if section_known != Some(SectionKind::Fixed) {
            return Err(format!("section \"{}\" is not one with fixed parameters", row.section));
        }
        let odd = |character: char| is_unprintable(character) || character == '=';
        let comment = ["[", ";", "#", "//", "/*"].iter().any(|mark| row.name.starts_with(mark));
        if row.name.is_empty() || row.name.trim() != row.name || row.name.contains(odd) || comment {
            return Err(format!("name \"{}\" cannot stand before the = of a line", row.name.escape_debug()));
        }
        let same =
            |other: &&Parameter| other.section == row.section && other.name.eq_ignore_ascii_case(&row.name);
        if let Some(other) = self.rows().iter().find(same) {
            return Err(if other.name == row.name {
                "the parameter is already described by another row".to_owned()
            } else {
                format!("name \"{}\" differs only in case from {}", row.name, other.label())
            });
        }
        if row.since.is_none() {
            return Err(
                "since must name the release from which on every CPF holds it, such as \"2025.1\": a CPF \
                        that lacks a parameter of its release does not start"
                    .to_owned(),
            );
        }
        Ok(())
    }
}

fn taken(fields: &mut toml::Table, field: &str) -> Result<String, String> {
    match fields.remove(field) {
        Some(toml::Value::String(text)) => Ok(text),
        Some(other) => Err(format!("{field} must be a text, found {other}")),
        None => Err(format!("missing field `{field}`")),
    }
}
