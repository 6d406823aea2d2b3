//! Settings of the router.

use std::path::{Path, PathBuf};

use instance_contract::{Carriers, InstanceName};
use instance_planner::Policy;
use serde::{Deserialize, Deserializer};

use crate::Error;

/// Settings of the router, table `[router]`.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Name of this router among its equals; one that comes back under its name takes its shards back at once.
    /// Default: `router-` and the host name.
    pub name: Option<String>,
    /// Policy file (TOML). Default: the built-in policy, or the table `[router.policy]`.
    #[serde(deserialize_with = "policy_file")]
    pub policy_file: Option<PathBuf>,
    /// The policy itself, when there is no file of its own.
    #[serde(deserialize_with = "Policy::deserialize_setting")]
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

/// The policy file is read with the settings.
fn policy_file<'de, D: Deserializer<'de>>(from: D) -> Result<Option<PathBuf>, D::Error> {
    instance_chassis::named_file(from, read)
}

fn read(path: &Path) -> Result<Policy, Error> {
    let text = instance_chassis::text_of("policy file", path)?;
    Ok(Policy::from_settings(&text)?)
}
