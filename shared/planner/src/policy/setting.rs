//! A policy as it stands in the settings of the services that keep to it: a table, or a file of its own.

use instance_contract::Faults;
use serde::{Deserialize as _, Deserializer, de::Error as _};

use super::{Policy, PolicyError};

impl Policy {
    /// Read the policy file that a setting names.
    pub fn from_settings(text: &str) -> Result<Self, PolicyError> {
        Self::from_toml(text)?.without_carriers()
    }

    /// For a setting that holds a policy as a table: a value out of range is told with the other faults of the settings,
    /// before anything starts.
    pub fn deserialize_setting<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Self>, D::Error> {
        let policy = Self::deserialize(from)?.checked().map_err(D::Error::custom)?;
        policy.without_carriers().map(Some).map_err(D::Error::custom)
    }

    /// As it may stand in settings: what carries Instance is said once, to all services alike.
    pub fn without_carriers(self) -> Result<Self, PolicyError> {
        let rule = "is no key of the policy: set it before the first table, in the settings of every service";
        if self.carriers.is_empty() {
            Ok(self)
        } else {
            Err(PolicyError::Invalid(Faults::one("carriers", self.carriers.0.join(", "), rule)))
        }
    }
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;

    use super::*;

    #[derive(Debug, Deserialize)]
    struct Settings {
        #[serde(deserialize_with = "Policy::deserialize_setting")]
        policy: Option<Policy>,
    }

    #[test]
    fn a_table_and_a_file_are_held_to_the_same_rules() {
        let as_table = |text: &str| {
            let settings = toml::from_str::<Settings>(&format!("[policy]\n{text}"));
            settings.map(|settings| settings.policy.unwrap()).map_err(|error| error.to_string())
        };
        let as_file = |text: &str| Policy::from_settings(text).map_err(|error| error.to_string());
        let told = Policy { attempts: 2, ..Policy::default() };
        assert_eq!(
            (as_table("attempts = 2").unwrap(), as_file("attempts = 2").unwrap()),
            (told.clone(), told)
        );
        for (text, parts) in [
            ("attempts = 0", ["attempts = 0", "must be from 1 to 10"]),
            ("restarts = true", ["restarts", "unknown field"]),
            ("carriers = ['OPS']", ["carriers = OPS", "before the first table"]),
        ] {
            for error in [as_table(text).unwrap_err(), as_file(text).unwrap_err()] {
                assert!(parts.iter().all(|part| error.contains(part)), "{text}: {error}");
            }
        }
    }
}
