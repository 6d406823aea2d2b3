//! Values that a source names, with the hosts that they are for.

use serde::Deserialize;

use super::KernelParameter;

/// One value that a source names.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct Recommended {
    /// As it would be written.
    pub value: String,
    /// Only for hosts with at least so many GB of memory.
    #[serde(default)]
    pub from_gb: Option<u64>,
    /// Only for hosts with less than so many GB of memory.
    #[serde(default)]
    pub below_gb: Option<u64>,
}

impl Recommended {
    /// Is it for a host with so much memory? Firmware and kernel keep some of it to themselves before `MemTotal` is
    /// counted (63,784 MB of a host of 64 GB, H2), so 4 % more is granted, and 512 MB at least.
    pub fn is_for(&self, memory_mb: u64) -> bool {
        let gb = memory_mb.saturating_add((memory_mb / 25).max(512)) / 1024;
        self.from_gb.is_none_or(|from| from <= gb) && self.below_gb.is_none_or(|below| gb < below)
    }

    pub(super) fn check(&self, parameter: &KernelParameter) -> Result<(), String> {
        parameter.check(&self.value).map_err(|fault| fault.to_string())?;
        match (self.from_gb, self.below_gb) {
            (Some(from), Some(below)) if from >= below => {
                Err("recommended: from_gb must be below below_gb".to_owned())
            }
            _ => Ok(()),
        }
    }
}

impl KernelParameter {
    /// What a source names for a host with so much memory.
    pub fn recommended_for(&self, memory_mb: u64) -> Option<&str> {
        self.recommended.iter().find(|value| value.is_for(memory_mb)).map(|value| value.value.as_str())
    }
}
