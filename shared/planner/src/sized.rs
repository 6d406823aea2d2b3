//! What IRIS needs of the kernel follows from its CPF, and it looks at both at its next start: so a plan that changes both
//! has one reckoned with the other as it will be. The kernel is still set first, and the CPF written after it (`order`).

use instance_contract::{Action, ChangeCpf, CpfChange, CpfChangeKind, SetKernel, StepRequest};
use instance_knowledge::{MEMORY_OF_CPF, kernel_parameter};

use crate::order::in_order;

/// The steps, each kernel parameter with the changes of the CPF that its need is reckoned with.
pub(crate) fn sized(mut steps: Vec<StepRequest>) -> Vec<StepRequest> {
    let coming = of_memory(&steps);
    for step in &mut steps {
        if let Action::SetKernel(set) = &mut step.action
            && follows_from_cpf(set)
        {
            set.with_cpf.clone_from(&coming);
        }
    }
    steps
}

/// What a person should know of a step that was reckoned so.
pub(crate) fn note(step: &StepRequest) -> Option<String> {
    let Action::SetKernel(SetKernel { with_cpf, .. }) = &step.action else { return None };
    if with_cpf.is_empty() {
        return None;
    }
    let target = ChangeCpf { changes: with_cpf.clone(), live: false, allow_unknown: false }.target();
    Some(format!("step \"{}\" is reckoned with {target} as this plan leaves it", step.id))
}

fn follows_from_cpf(set: &SetKernel) -> bool {
    kernel_parameter(&set.kernel_param).is_some_and(|row| row.iris_need.is_some())
}

/// Every value that decides about shared memory, in the order in which the plan sets it.
fn of_memory(steps: &[StepRequest]) -> Vec<CpfChange> {
    let changes = in_order(steps.to_vec()).into_iter().flat_map(|step| match step.action {
        Action::SetCpf(set) => vec![CpfChange::from(&set)],
        Action::ChangeCpf(change) => change.changes,
        _ => Vec::new(),
    });
    let decides = |change: &CpfChange| {
        change.change == CpfChangeKind::Set
            && change.cpf_section == "config"
            && MEMORY_OF_CPF.contains(&change.parameter.as_str())
    };
    changes.filter(decides).map(|change| CpfChange { current_value: None, ..change }).collect()
}
