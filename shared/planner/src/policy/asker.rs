//! Who may ask for what.

use instance_contract::Fault;
use serde::{Deserialize, Serialize};

use super::ActionWord;

/// A sender and what it may ask for. As soon as one is listed, nobody else may ask for anything.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Asker {
    /// `requested_by` of the command: exactly, or its beginning when this ends in `*`.
    pub who: String,
    /// Any of config, os, restart, license.
    pub actions: Vec<ActionWord>,
}

impl Asker {
    pub(crate) fn is(&self, requested_by: &str) -> bool {
        is(&self.who, requested_by)
    }
}

/// Exactly, or its beginning when the pattern ends in `*`.
pub(super) fn is(pattern: &str, name: &str) -> bool {
    match pattern.strip_suffix('*') {
        Some(beginning) => name.starts_with(beginning),
        None => pattern == name,
    }
}

pub(super) fn faults_of_approvers(approvers: &[String]) -> Vec<Fault> {
    let nobody = approvers.iter().enumerate().filter(|(_, pattern)| pattern.is_empty() || *pattern == "*");
    let rule = "must name somebody; to let everybody approve, list no approvers at all";
    nobody.map(|(index, pattern)| Fault::new(format!("approvers[{index}]"), pattern, rule)).collect()
}

pub(super) fn faults(askers: &[Asker]) -> Vec<Fault> {
    let mut faults = Vec::new();
    for (index, asker) in askers.iter().enumerate() {
        if asker.who.is_empty() || asker.who == "*" {
            let rule = "must name somebody; to let everybody ask, list no askers at all";
            faults.push(Fault::new(format!("askers[{index}].who"), &asker.who, rule));
        }
        if asker.actions.is_empty() {
            faults.push(Fault::new(format!("askers[{index}].actions"), "", "must name at least one action"));
        }
    }
    faults
}
