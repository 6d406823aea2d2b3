//! Steps in an order in which they may run: dependencies first, otherwise as the command has them.

use instance_contract::{StepId, StepRequest};

/// Invariant of the input ([`instance_contract::StepGraph`]): no cycle, no unknown dependency.
pub(crate) fn in_order(steps: Vec<StepRequest>) -> Vec<StepRequest> {
    let mut waiting = steps;
    let mut placed: Vec<StepRequest> = Vec::with_capacity(waiting.len());
    while !waiting.is_empty() {
        let is_placed = |id: &StepId| placed.iter().any(|step| &step.id == id);
        let next = waiting
            .iter()
            .position(|step| step.depends_on.iter().all(is_placed))
            .expect("a graph without a cycle has a step whose dependencies are placed");
        placed.push(waiting.remove(next));
    }
    placed
}
