//! What IRIS needs of a host beyond kernel parameters. No agent writes these; they are looked at and advised.

use std::sync::LazyLock;

use serde::Deserialize;

use crate::rows::{self, DataError, fault};
use crate::text::is_kebab_case;

/// All host settings known.
pub fn host_settings() -> &'static [HostSetting] {
    &SETTINGS
}

/// One setting of a host that matters to IRIS.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct HostSetting {
    /// Stable name, kebab-case.
    pub id: String,
    /// Where it is set.
    pub place: String,
    /// What it should be.
    pub recommendation: String,
    /// On which hosts, or for which instances.
    pub applies_to: String,
    /// What happens otherwise.
    pub if_wrong: String,
    /// Tag of the source; explained in the crate's README.
    pub source: String,
}

static SETTINGS: LazyLock<Vec<HostSetting>> = LazyLock::new(|| {
    read("host_settings.toml", include_str!("../data/host_settings.toml"))
        .expect("the built-in host settings are checked by a test")
});

fn read(file: &str, text: &str) -> Result<Vec<HostSetting>, DataError> {
    let rows = rows::read::<HostSetting>(file, text, "setting", "id", &["setting"])?;
    for (index, row) in rows.iter().enumerate() {
        let setting = &row.value;
        if !is_kebab_case(&setting.id) {
            return Err(fault(file, &row.label, "id must be lower-case words joined by hyphens"));
        }
        if rows[..index].iter().any(|earlier| earlier.value.id == setting.id) {
            return Err(fault(file, &row.label, "the id is already taken by another row"));
        }
        let texts = [
            &setting.place,
            &setting.recommendation,
            &setting.applies_to,
            &setting.if_wrong,
            &setting.source,
        ];
        if texts.iter().any(|text| text.trim().is_empty()) {
            return Err(fault(
                file,
                &row.label,
                "no field may be empty; write \"unknown\" where nobody knows",
            ));
        }
    }
    Ok(rows.into_iter().map(|row| row.value).collect())
}

#[cfg(test)]
mod tests {
    use super::{host_settings, read};

    #[test]
    fn every_built_in_row_is_good() {
        read("host_settings.toml", include_str!("../data/host_settings.toml")).unwrap();
        assert!(host_settings().len() >= 10);
    }
}
