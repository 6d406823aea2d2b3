//! Whose turn it is: one remediation an instance, the most urgent first, first come first served among equals.

use std::collections::BTreeMap;

use instance_contract::{InstanceName, Priority, RemediationId};

type Place = (Priority, u64, RemediationId);

/// The open remediations of each instance, in the order in which they will run.
#[derive(Debug, Default)]
pub(super) struct Queues {
    by_instance: BTreeMap<InstanceName, Vec<Place>>,
}

impl Queues {
    pub(super) fn push(
        &mut self,
        instance: &InstanceName,
        priority: Priority,
        sequence: u64,
        id: RemediationId,
    ) {
        let queue = self.by_instance.entry(instance.clone()).or_default();
        if !queue.iter().any(|(_, _, other)| *other == id) {
            let place = (priority, sequence, id);
            let index = queue.partition_point(|other| *other < place);
            queue.insert(index, place);
        }
    }

    pub(super) fn remove(&mut self, instance: &InstanceName, id: &RemediationId) {
        if let Some(queue) = self.by_instance.get_mut(instance) {
            queue.retain(|(_, _, other)| other != id);
            if queue.is_empty() {
                self.by_instance.remove(instance);
            }
        }
    }

    /// The one that has begun keeps its turn; otherwise the first.
    pub(super) fn head(
        &self,
        instance: &InstanceName,
        is_begun: impl Fn(&RemediationId) -> bool,
    ) -> Option<RemediationId> {
        let queue = self.by_instance.get(instance)?;
        let begun = queue.iter().find(|(_, _, id)| is_begun(id));
        begun.or_else(|| queue.first()).map(|(_, _, id)| *id)
    }

    /// How many go before this one.
    pub(super) fn place(
        &self,
        instance: &InstanceName,
        id: &RemediationId,
        is_begun: impl Fn(&RemediationId) -> bool,
    ) -> Option<u32> {
        let queue = self.by_instance.get(instance)?;
        let before = queue.iter().position(|(_, _, other)| other == id)?;
        let begun_behind = queue.iter().skip(before + 1).any(|(_, _, other)| is_begun(other));
        u32::try_from(before + usize::from(begun_behind)).ok()
    }

    pub(super) fn is_free(&self, instance: &InstanceName) -> bool {
        !self.by_instance.contains_key(instance)
    }
}
