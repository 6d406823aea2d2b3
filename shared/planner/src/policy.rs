//! The rules of the house: what may be done without asking, and how much of it.

use instance_contract::{Fault, Faults, InstanceName};
use serde::{Deserialize, Serialize};

/// What a site allows. Every field has a default that asks a person before anything is stopped.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Policy {
    /// A restart, or anything that stops the instance, needs a person's approval. Default true.
    pub approve_restarts: bool,
    /// A change that its agent calls dangerous needs a person's approval. Default true.
    pub approve_dangerous: bool,
    /// How long a person has to answer, in seconds, 10..=86400. No answer means no. Default 1800.
    pub approval_seconds: u32,
    /// Steps of one remediation that may run side by side, 1..=16. Default 4.
    pub parallel_steps: u32,
    /// For how long the conditions must stay silent before a remediation counts as verified, in seconds, 0..=240.
    /// Default 10.
    pub quiet_seconds: u32,
    /// Time limit of a whole remediation in seconds, 60..=86400. Default 3600.
    pub remediation_seconds: u32,
    /// Attempts at one step, the first included, 1..=10. Default 3.
    pub attempts: u32,
    /// Restarting and dangerous steps in one remediation, 0..=64. Plain reversible changes do not count. Default 3.
    pub drastic_steps: u32,
    /// Instances that are never touched, above all those that carry Instance itself. Default none.
    pub never: Vec<InstanceName>,
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            approve_restarts: true,
            approve_dangerous: true,
            approval_seconds: 1800,
            parallel_steps: 4,
            quiet_seconds: 10,
            remediation_seconds: 3600,
            attempts: 3,
            drastic_steps: 3,
            never: Vec::new(),
        }
    }
}

/// A policy that cannot be followed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PolicyError {
    #[error("could not read the policy: {0}")]
    Unreadable(String),
    #[error("the policy is not valid: {0}")]
    Invalid(Faults),
}

impl Policy {
    /// Read a policy file (TOML) and check every value.
    pub fn from_toml(text: &str) -> Result<Self, PolicyError> {
        let policy: Self =
            toml::from_str(text).map_err(|error| PolicyError::Unreadable(error.to_string()))?;
        policy.checked()
    }

    /// All values in range, or every fault.
    pub fn checked(self) -> Result<Self, PolicyError> {
        let ranges = [
            ("approval_seconds", self.approval_seconds, 10, 86_400),
            ("parallel_steps", self.parallel_steps, 1, 16),
            ("quiet_seconds", self.quiet_seconds, 0, 240),
            ("remediation_seconds", self.remediation_seconds, 60, 86_400),
            ("attempts", self.attempts, 1, 10),
            ("drastic_steps", self.drastic_steps, 0, 64),
        ];
        let faults: Vec<Fault> = ranges
            .into_iter()
            .filter(|(_, value, low, high)| !(low..=high).contains(&value))
            .map(|(field, value, low, high)| {
                Fault::new(field, value, format!("must be from {low} to {high}"))
            })
            .collect();
        if faults.is_empty() { Ok(self) } else { Err(PolicyError::Invalid(Faults(faults))) }
    }

    /// As text for the remediation log, so that a replay needs nothing else.
    pub fn to_toml(&self) -> String {
        toml::to_string(self).expect("a policy holds only numbers, booleans and names")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_policy_survives_its_text_and_tells_every_fault() {
        let policy = Policy { approve_restarts: false, ..Policy::default() };
        assert_eq!(Policy::from_toml(&policy.to_toml()), Ok(policy));
        let Err(PolicyError::Invalid(faults)) = Policy::from_toml("attempts = 0\nparallel_steps = 99") else {
            panic!("both values are out of range");
        };
        assert_eq!(
            faults.to_string(),
            "parallel_steps = 99: must be from 1 to 16; attempts = 0: must be from 1 to 10"
        );
        assert!(
            matches!(Policy::from_toml("restart = true"), Err(PolicyError::Unreadable(text)) if text.contains("restart"))
        );
    }
}
