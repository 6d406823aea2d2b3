//! Steps in an order in which they may run: dependencies first, then kernel before CPF before restart, then as the
//! command has them.

use instance_contract::{StepId, StepRequest, Tool};

/// Invariant of the input ([`instance_contract::StepGraph`]): no cycle, no unknown dependency.
pub(crate) fn in_order(steps: Vec<StepRequest>) -> Vec<StepRequest> {
    let mut waiting = steps;
    let mut placed: Vec<StepRequest> = Vec::with_capacity(waiting.len());
    while !waiting.is_empty() {
        let is_placed = |id: &StepId| placed.iter().any(|step| &step.id == id);
        let ready = |step: &StepRequest| step.depends_on.iter().all(is_placed);
        let (next, _) = waiting
            .iter()
            .enumerate()
            .filter(|(_, step)| ready(step))
            .min_by_key(|(_, step)| rank(step.tool))
            .expect("a graph without a cycle has a step whose dependencies are placed");
        placed.push(waiting.remove(next));
    }
    placed
}

const fn rank(tool: Tool) -> u8 {
    match tool {
        Tool::OsConfig => 0,
        Tool::IrisConfig => 1,
        Tool::IrisRestart => 2,
    }
}
