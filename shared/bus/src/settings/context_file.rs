//! Context files of the `nats` command (NATS ADR-21).

use std::path::{Path, PathBuf};

use serde::Deserialize;

use super::InvalidSettings;

/// What we use of a context. The command writes more keys, and writes unused ones as empty text.
#[derive(Default, Deserialize)]
#[serde(default)]
pub(super) struct Context {
    #[serde(deserialize_with = "unless_empty")]
    pub(super) url: Option<String>,
    #[serde(deserialize_with = "unless_empty")]
    pub(super) user: Option<String>,
    #[serde(deserialize_with = "unless_empty")]
    pub(super) password: Option<String>,
    #[serde(deserialize_with = "unless_empty")]
    pub(super) token: Option<String>,
    #[serde(deserialize_with = "unless_empty")]
    pub(super) creds: Option<PathBuf>,
    #[serde(deserialize_with = "unless_empty")]
    pub(super) nkey: Option<PathBuf>,
    #[serde(deserialize_with = "unless_empty")]
    pub(super) ca: Option<PathBuf>,
    #[serde(deserialize_with = "unless_empty")]
    pub(super) cert: Option<PathBuf>,
    #[serde(deserialize_with = "unless_empty")]
    pub(super) key: Option<PathBuf>,
    #[serde(deserialize_with = "unless_empty")]
    pub(super) inbox_prefix: Option<String>,
    pub(super) tls_first: bool,
}

impl Context {
    /// The context that is named; or the selected one, but only when nobody has named a server: credentials of one
    /// site must not be sent to the server of another.
    pub(super) fn choose(
        named: Option<String>,
        server_is_named: bool,
        env: &dyn Fn(&str) -> Option<String>,
    ) -> Result<Self, InvalidSettings> {
        let folder = env("XDG_CONFIG_HOME")
            .map(PathBuf::from)
            .or_else(|| env("HOME").map(|home| PathBuf::from(home).join(".config")))
            .map(|folder| folder.join("nats"));
        match (named, folder) {
            (Some(name), Some(folder)) => Self::read(&folder, &name),
            (Some(_), None) => Err(InvalidSettings::NoConfigFolder),
            (None, Some(folder)) if !server_is_named => {
                match std::fs::read_to_string(folder.join("context.txt")) {
                    Ok(name) if !name.trim().is_empty() => Self::read(&folder, name.trim()),
                    _ => Ok(Self::default()),
                }
            }
            (None, _) => Ok(Self::default()),
        }
    }

    fn read(folder: &Path, name: &str) -> Result<Self, InvalidSettings> {
        if name.contains(['/', '\\']) || name.starts_with('.') {
            return Err(InvalidSettings::ContextName { name: name.to_owned() });
        }
        let path = folder.join("context").join(format!("{name}.json"));
        let text = match std::fs::read(&path) {
            Ok(text) => text,
            Err(source) => return Err(InvalidSettings::Read { what: "NATS context", path, source }),
        };
        serde_json::from_slice(&text).map_err(|source| InvalidSettings::Context { path, source })
    }
}

fn unless_empty<'de, D, T>(deserializer: D) -> Result<Option<T>, D::Error>
where
    D: serde::Deserializer<'de>,
    T: From<String>,
{
    let text = Option::<String>::deserialize(deserializer)?;
    Ok(text.filter(|text| !text.is_empty()).map(T::from))
}
