//! The versions of the CPF format that the rows about parameters are complete for.

use std::sync::LazyLock;

use serde::Deserialize;

use crate::rows::{self, DataError, fault};

/// Whether the rows know every parameter of files of that version, `[ConfigFile] Version` as written: `2024.2`.
pub fn is_known_cpf_version(version: &str) -> bool {
    VERSIONS.iter().any(|row| row.version == version)
}

/// All versions known, oldest first.
pub fn cpf_versions() -> &'static [CpfVersion] {
    &VERSIONS
}

/// One version of the CPF format.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct CpfVersion {
    /// As `[ConfigFile] Version` writes it.
    pub version: String,
    /// Tag of the source; explained in the crate's README.
    pub source: String,
}

static VERSIONS: LazyLock<Vec<CpfVersion>> = LazyLock::new(|| {
    read("cpf_versions.toml", include_str!("../data/cpf_versions.toml"))
        .expect("the built-in CPF versions are checked by a test")
});

fn read(file: &str, text: &str) -> Result<Vec<CpfVersion>, DataError> {
    let rows = rows::read::<CpfVersion>(file, text, "version", "version", &["version"])?;
    for (index, row) in rows.iter().enumerate() {
        if row.value.version.is_empty() || row.value.source.trim().is_empty() {
            return Err(fault(file, &row.label, "version and source must not be empty"));
        }
        if rows[..index].iter().any(|earlier| earlier.value.version == row.value.version) {
            return Err(fault(file, &row.label, "the version is already named by another row"));
        }
    }
    Ok(rows.into_iter().map(|row| row.value).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_of_real_files_are_known_and_others_are_not_guessed() {
        for known in ["2020.15", "2024.2", "2025.2"] {
            assert!(is_known_cpf_version(known), "{known}");
        }
        for unknown in ["", "2024", "2024.20", "2031.1", "2017.1"] {
            assert!(!is_known_cpf_version(unknown), "{unknown}");
        }
        assert_eq!(cpf_versions().len(), 4);
    }

    #[test]
    fn a_bad_row_is_refused() {
        let row = "[[version]]\nversion = \"2024.2\"\nsource = \"x\"\n";
        let twice = read("v.toml", &format!("{row}{row}")).unwrap_err().to_string();
        assert!(twice.contains("already named"), "{twice}");
        assert!(read("v.toml", &row.replace("\"x\"", "\" \"")).is_err());
    }
}
