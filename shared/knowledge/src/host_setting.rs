//! What IRIS needs of a host beyond kernel parameters. No agent writes these; those that a running process shows are
//! looked at, and all are advised.

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
    /// The line of `/proc/<pid>/limits` that shows it of a process of the instance: `Max locked memory`.
    #[serde(default)]
    pub limit: Option<String>,
    /// The number of the capability in `CapEff` of `/proc/<pid>/status` that shows it.
    #[serde(default)]
    pub capability: Option<u32>,
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

    #[test]
    fn what_a_process_shows_of_itself_can_be_looked_at() {
        let shown = |id: &str| {
            let setting = host_settings().iter().find(|setting| setting.id == id).unwrap();
            (setting.limit.as_deref(), setting.capability)
        };
        assert_eq!(shown("lock-memory-capability"), (None, Some(14)));
        assert_eq!(shown("locked-memory-limit"), (Some("Max locked memory"), None));
        assert_eq!(shown("process-limit"), (Some("Max processes"), None));
        assert_eq!(shown("open-files-limit"), (Some("Max open files"), None));
        assert_eq!(shown("swap"), (None, None));
    }
}
