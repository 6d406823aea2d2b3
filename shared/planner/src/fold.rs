//! Several changes inside one command come to one restart: kernel first, then CPF, then the restart.

use instance_contract::{Action, StepId, StepRequest};
use instance_knowledge::{KernelRoot, kernel_parameter};

use crate::order::in_order;

/// The steps with the fewest restarts, in an order in which they may run, and what was folded, for people.
pub(crate) fn fold(steps: Vec<StepRequest>) -> (Vec<StepRequest>, Vec<String>) {
    let mut steps = in_order(steps);
    let mut notes = Vec::new();
    let Some(last) = steps.iter().rposition(is_restart).map(|index| steps[index].id.clone()) else {
        return (steps, notes);
    };
    while let Some(index) = steps.iter().position(|step| is_restart(step) && step.id != last) {
        let folded = steps.remove(index);
        notes.push(format!(
            "restart \"{}\" is folded into \"{last}\": one restart serves all changes",
            folded.id
        ));
        for step in &mut steps {
            if step.id == last || step.depends_on.contains(&folded.id) {
                step.depends_on.retain(|id| *id != folded.id);
                extend(&mut step.depends_on, &folded.depends_on);
            }
        }
    }
    // What is set for the processes of the instance ends with them, so it comes after the restart, unless something else
    // is to wait for it.
    let is_waited_for = |step: &StepRequest| {
        let others =
            steps.iter().filter(|other| other.action.has_effect() && !is_of_processes(&other.action));
        others.into_iter().any(|other| depends(&steps, other, &step.id))
    };
    let after: Vec<StepId> = steps
        .iter()
        .filter(|step| is_of_processes(&step.action) && !is_waited_for(step))
        .map(|step| step.id.clone())
        .collect();
    for step in steps.iter_mut().filter(|step| after.contains(&step.id)) {
        extend(&mut step.depends_on, std::slice::from_ref(&last));
    }
    // What changes after the restart would not be in force.
    let before: Vec<StepId> = steps
        .iter()
        .filter(|step| step.action.has_effect() && step.id != last && !depends(&steps, step, &last))
        .map(|step| step.id.clone())
        .collect();
    if let Some(restart) = steps.iter_mut().find(|step| step.id == last) {
        extend(&mut restart.depends_on, &before);
    }
    (in_order(steps), notes)
}

fn is_restart(step: &StepRequest) -> bool {
    matches!(step.action, Action::Restart(_))
}

/// Is it a property of running processes?
pub(crate) fn is_of_processes(action: &Action) -> bool {
    matches!(action, Action::SetKernel(set)
        if kernel_parameter(&set.kernel_param).is_some_and(|row| row.root == KernelRoot::Process))
}

fn extend(ids: &mut Vec<StepId>, more: &[StepId]) {
    for id in more {
        if !ids.contains(id) {
            ids.push(id.clone());
        }
    }
}

/// Does a step come after another one, directly or not? Invariant: the graph has no cycle.
fn depends(steps: &[StepRequest], step: &StepRequest, on: &StepId) -> bool {
    step.depends_on.iter().any(|id| {
        id == on || steps.iter().find(|other| other.id == *id).is_some_and(|other| depends(steps, other, on))
    })
}
