//! When each instance was restarted by us: policy bounds how often, and how soon after another.

use std::collections::BTreeMap;

use instance_contract::{InstanceName, StepStatus, Tool};
use jiff::{SignedDuration, Timestamp};

use crate::remediation::Record;

/// The longest time that policy may want between two restarts (`minutes_between_restarts` is at most 1440).
pub const RESTARTS_KEPT: SignedDuration = SignedDuration::from_hours(24);

#[derive(Debug, Default)]
pub(super) struct Restarts {
    by_instance: BTreeMap<InstanceName, Vec<Timestamp>>,
}

impl Restarts {
    pub(super) fn add(&mut self, instance: &InstanceName, at: Timestamp) {
        let times = self.by_instance.entry(instance.clone()).or_default();
        // The same record may be heard twice.
        if !times.contains(&at) {
            times.push(at);
        }
        times.retain(|earlier| at.duration_since(*earlier) <= RESTARTS_KEPT);
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (&InstanceName, Timestamp)> {
        self.by_instance.iter().flat_map(|(instance, times)| times.iter().map(move |at| (instance, *at)))
    }

    pub(super) fn of(&self, instance: &InstanceName, now: Timestamp) -> Vec<Timestamp> {
        let times = self.by_instance.get(instance).map(Vec::as_slice).unwrap_or_default();
        times.iter().copied().filter(|at| now.duration_since(*at) < RESTARTS_KEPT).collect()
    }
}

/// Does a record say that an instance was restarted?
pub fn is_restart(record: &Record) -> bool {
    matches!(record, Record::Result(result)
        if result.tool_name == Tool::IrisRestart.as_str()
            && matches!(result.status, StepStatus::Success | StepStatus::Undone | StepStatus::Partial))
}
