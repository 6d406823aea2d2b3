//! The work of a runbook as the work of a command.

use instance_contract::{
    Action, LicenseAction, LicenseCheck, RestartInstance, SetCpf, SetKernel, SimpleWork, StepGraph, StepId,
    StepRequest, Tool, Work,
};
use instance_knowledge::{
    ErrorType,
    runbook::{Change, Step, Work as Planned},
};

/// In the simple form where one change and maybe a restart are all, and the error type is that of the change, as that
/// form wants it; as a graph otherwise.
pub(crate) fn of(planned: &Planned) -> Result<Work, String> {
    let actions: Vec<Action> =
        planned.steps.iter().map(|step| action(&step.change)).collect::<Result<_, _>>()?;
    let simple = match actions.as_slice() {
        [Action::SetCpf(set)] => Some(SimpleWork::Config { set: set.clone(), restart: false }),
        [Action::SetCpf(set), Action::Restart(_)] => {
            Some(SimpleWork::Config { set: set.clone(), restart: true })
        }
        [Action::SetKernel(set)] => Some(SimpleWork::Kernel { set: set.clone(), restart: false }),
        [Action::SetKernel(set), Action::Restart(_)] => {
            Some(SimpleWork::Kernel { set: set.clone(), restart: true })
        }
        [Action::CheckLicense(check)] => Some(SimpleWork::License(check.clone())),
        [Action::Restart(restart)] => Some(SimpleWork::Restart(*restart)),
        _ => None,
    };
    let fits = |simple: &SimpleWork| match simple {
        SimpleWork::Config { .. } | SimpleWork::Change { .. } => planned.error_type == ErrorType::Config,
        SimpleWork::Kernel { .. } => planned.error_type == ErrorType::Resource,
        SimpleWork::License(_) => planned.error_type == ErrorType::License,
        SimpleWork::Restart(_) => true,
    };
    match simple.filter(fits) {
        Some(simple) => Ok(Work::Simple(simple)),
        None => graph(&planned.steps, actions).map(Work::Graph),
    }
}

fn graph(steps: &[Step], actions: Vec<Action>) -> Result<StepGraph, String> {
    let id = |name: &str| name.parse::<StepId>().map_err(|error| error.to_string());
    let mut requests = Vec::new();
    for (step, action) in steps.iter().zip(actions) {
        let tool: Tool =
            step.change.tool().parse().map_err(|error: instance_contract::InvalidName| error.to_string())?;
        requests.push(StepRequest {
            id: id(&step.id)?,
            tool,
            action,
            depends_on: step.depends_on.iter().map(|name| id(name)).collect::<Result<_, _>>()?,
            timeout_seconds: None,
            retry: true,
        });
    }
    StepGraph::new(requests).map_err(|faults| {
        let told: Vec<String> = faults.iter().map(ToString::to_string).collect();
        format!("the steps are no legal command: {}", told.join("; "))
    })
}

fn action(change: &Change) -> Result<Action, String> {
    Ok(match change.clone() {
        Change::SetCpf { section, parameter, new_value, current_value } => {
            // Whoever else changes it meanwhile is not overwritten.
            Action::SetCpf(SetCpf { cpf_section: section, parameter, new_value, current_value })
        }
        Change::SetKernel { name, new_value } => {
            let (min_value, max_value, with_cpf) = (None, None, Vec::new());
            Action::SetKernel(SetKernel { kernel_param: name, new_value, min_value, max_value, with_cpf })
        }
        Change::CheckLicense { action } => {
            let known = [LicenseAction::CheckExpiry, LicenseAction::ValidateKey, LicenseAction::ReportUsage];
            let found = known.into_iter().find(|known| known.as_str() == action);
            let action = found.ok_or_else(|| format!("no license action is called \"{action}\""))?;
            Action::CheckLicense(LicenseCheck { action })
        }
        Change::Restart => Action::Restart(RestartInstance::default()),
    })
}
