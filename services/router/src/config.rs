//! Settings of the router.

use std::path::{Path, PathBuf};

use instance_contract::{Carriers, InstanceName};
use instance_planner::Policy;
use serde::{Deserialize, Deserializer, de::Error as _};

use crate::Error;

/// Settings of the router, table `[router]`.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Name of this router among its equals; one that comes back under its name takes its shards back at once.
    /// Default: `router-` and the host name.
    pub name: Option<String>,
    /// Policy file (TOML). Default: the built-in policy, or the table `[router.policy]`.
    #[serde(deserialize_with = "checked_file")]
    pub policy_file: Option<PathBuf>,
    /// The policy itself, when there is no file of its own.
    #[serde(deserialize_with = "checked")]
    pub policy: Option<Policy>,
    /// The instance meant by commands of older senders, which name none. Default: none, such commands are refused.
    pub default_instance: Option<InstanceName>,
}

impl Config {
    /// The policy, with every value checked, and with what nothing may act on.
    pub fn policy(&self, carriers: &Carriers) -> Result<Policy, Error> {
        let policy = Policy { carriers: carriers.clone(), ..self.written_policy()? };
        #[cfg(feature = "mutants")]
        let policy = Policy { mutant: instance_chassis::chosen_mutant().clone(), ..policy };
        Ok(policy)
    }

    fn written_policy(&self) -> Result<Policy, Error> {
        match (&self.policy_file, &self.policy) {
            (Some(path), _) => read(path),
            (None, Some(policy)) => Ok(policy.clone().checked()?),
            (None, None) => Ok(Policy::default()),
        }
    }
}

/// A value out of range is told with the other faults of the settings, before anything starts.
fn checked<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Policy>, D::Error> {
    let policy = Policy::deserialize(from)?.checked().map_err(D::Error::custom)?;
    policy.without_carriers().map(Some).map_err(D::Error::custom)
}

/// The file is read here too, so that its faults are told with the others, by `--check-config` above all.
fn checked_file<'de, D: Deserializer<'de>>(from: D) -> Result<Option<PathBuf>, D::Error> {
    let path = PathBuf::deserialize(from)?;
    read(&path).map_err(|error| D::Error::custom(instance_chassis::error_chain(&error)))?;
    Ok(Some(path))
}

fn read(path: &Path) -> Result<Policy, Error> {
    let text = std::fs::read_to_string(path)
        .map_err(|source| Error::ReadPolicy { path: path.to_owned(), source })?;
    Ok(Policy::from_toml(&text)?.without_carriers()?)
}
