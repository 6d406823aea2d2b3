//! Commands that have arrived and are not answered yet.

use std::collections::BTreeMap;

use instance_contract::{InstanceName, RemediationId};

use crate::intake::Arrival;

#[derive(Debug, Default)]
pub(super) struct Arrivals {
    by_id: BTreeMap<RemediationId, Arrival>,
    /// How many there are for each instance.
    by_instance: BTreeMap<InstanceName, usize>,
}

impl Arrivals {
    /// Takes one in; one of the same id is replaced.
    pub(super) fn insert(&mut self, arrival: Arrival) {
        *self.by_instance.entry(arrival.command.instance.clone()).or_default() += 1;
        if let Some(former) = self.by_id.insert(arrival.id(), arrival) {
            self.forget(&former.command.instance);
        }
    }

    pub(super) fn remove(&mut self, id: &RemediationId) -> Option<Arrival> {
        let arrival = self.by_id.remove(id)?;
        self.forget(&arrival.command.instance);
        Some(arrival)
    }

    pub(super) fn get(&self, id: &RemediationId) -> Option<&Arrival> {
        self.by_id.get(id)
    }

    pub(super) fn len(&self) -> usize {
        self.by_id.len()
    }

    /// How many have arrived for an instance.
    pub(super) fn of(&self, instance: &InstanceName) -> usize {
        self.by_instance.get(instance).copied().unwrap_or_default()
    }

    fn forget(&mut self, instance: &InstanceName) {
        if let Some(count) = self.by_instance.get_mut(instance) {
            *count -= 1;
            if *count == 0 {
                self.by_instance.remove(instance);
            }
        }
    }
}
