//! What the last step has to prove, derived from what the others do.

use instance_contract::{Action, ChangeCpf, ConditionId, Expectation, PlannedStep, Verify};
use instance_knowledge::runbook::{Target, cured_by};

use crate::fold::is_of_processes;

/// The expectations of a plan. `None` when the plan changes nothing, so that there is nothing to prove.
pub(crate) fn verification(steps: &[PlannedStep], quiet_seconds: u32) -> Option<Verify> {
    if !steps.iter().any(|step| step.action.has_effect()) {
        return None;
    }
    let restart_at = steps.iter().rposition(|step| matches!(step.action, Action::Restart(_)));
    let mut expect = Vec::new();
    for (index, step) in steps.iter().enumerate() {
        match &step.action {
            Action::SetCpf(set) => {
                let (section, parameter) = (set.cpf_section.clone(), set.parameter.clone());
                let value = last_value(steps, index).unwrap_or(&set.new_value).to_owned();
                expect.push(if restart_at.is_some_and(|restart| restart > index) {
                    Expectation::CpfInForce { section, parameter, value }
                } else {
                    Expectation::CpfValue { section, parameter, value }
                });
            }
            Action::ChangeCpf(change) => expect.extend(changed(step, change, restart_at > Some(index))),
            // Gone with the processes that the restart ends.
            action if is_of_processes(action) && restart_at.is_some_and(|restart| restart > index) => {}
            Action::SetKernel(set) => {
                let value = last_value(steps, index).unwrap_or(&set.new_value).to_owned();
                expect.push(Expectation::KernelValue { name: set.kernel_param.clone(), value });
            }
            _ => {}
        }
    }
    if restart_at.is_some() {
        expect.push(Expectation::InstanceHealthy {});
    }
    Some(Verify { expect, quiet: conditions(steps, restart_at), quiet_seconds })
}

/// What each parameter of several changes will be, as the forecast tells it.
fn changed(step: &PlannedStep, change: &ChangeCpf, restarts_later: bool) -> Vec<Expectation> {
    let Some(forecast) = &step.change else { return Vec::new() };
    let expected = change.parameters().into_iter().filter_map(|(section, name)| {
        let (section, parameter) = (section.to_owned(), name.to_owned());
        Some(match ChangeCpf::value_in(&forecast.after, &section, name)?.map(str::to_owned) {
            Some(value) if restarts_later => Expectation::CpfInForce { section, parameter, value },
            Some(value) => Expectation::CpfValue { section, parameter, value },
            None => Expectation::CpfAbsent { section, parameter },
        })
    });
    expected.collect()
}

/// What the target of a step will hold in the end: the forecast of the last step on it.
fn last_value(steps: &[PlannedStep], index: usize) -> Option<&str> {
    let target = &steps[index].change.as_ref()?.target;
    let changes = steps.iter().filter_map(|step| step.change.as_ref());
    changes.rev().find(|change| &change.target == target).map(|change| change.after.as_str())
}

/// The conditions that this plan is a cure of. A change that has not come into force cures nothing yet.
fn conditions(steps: &[PlannedStep], restart_at: Option<usize>) -> Vec<ConditionId> {
    let acts_on = |target: &Target| {
        steps.iter().any(|step| match (&step.action, target) {
            (Action::SetCpf(set), Target::Cpf { section, parameter }) => {
                &set.cpf_section == section && &set.parameter == parameter
            }
            (Action::ChangeCpf(change), Target::Cpf { section, parameter }) => {
                change.parameters().contains(&(section.as_str(), parameter.as_str()))
            }
            (Action::SetKernel(set), Target::Kernel { name }) => set.kernel_param.replace('/', ".") == *name,
            (Action::Restart(_), Target::Instance) => true,
            _ => false,
        })
    };
    cured_by(acts_on, restart_at.is_some())
        .into_iter()
        .filter_map(|condition| condition.parse().ok())
        .collect()
}
