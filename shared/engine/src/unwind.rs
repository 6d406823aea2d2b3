//! Taking a failed remediation back: what was done, in reverse; then the end.

use instance_contract::{Action, Attempt, OverallStatus, Plan, PlannedStep, StepStatus, Tool, Undo};

use crate::{
    decide::{Decision, Situation, Trouble, again, send},
    remediation::Remediation,
    retry::is_worth_another_try,
    step_state::Standing,
    trace::Ending,
};

/// What to do in trouble. Steps in flight are awaited first: a late success must be taken back too.
pub(crate) fn decide(
    remediation: &Remediation,
    plan: &Plan,
    trouble: &Trouble,
    situation: &Situation,
) -> Vec<Decision> {
    let in_flight: Vec<Decision> = plan
        .steps
        .iter()
        .filter_map(|step| match remediation.steps.get(&step.id)?.standing(situation.now) {
            Standing::Running { until } => Some(Decision::WakeAt(until)),
            _ => None,
        })
        .collect();
    if !in_flight.is_empty() {
        return in_flight;
    }
    let done = to_undo(remediation, plan, situation);
    for step in &done {
        let undo = undo_of(step);
        let state = remediation.steps.get(&undo.id);
        match state.map(|state| state.standing(situation.now)) {
            Some(Standing::Answered { result, .. }) if taken_back(result.status) => {}
            Some(Standing::Running { until }) => return vec![Decision::WakeAt(until)],
            _ if situation.halted => {
                let reason = format!("{}; nothing acts while halted", trouble.reason);
                return vec![end(OverallStatus::Partial, trouble, reason, remediation, situation)];
            }
            None | Some(Standing::Waiting) => {
                return vec![send(remediation, plan, &undo, Attempt::FIRST, 0, situation)];
            }
            Some(Standing::Answered { at, attempt, result })
                if is_worth_another_try(result) && attempt.0 < remediation.policy.attempts =>
            {
                return vec![again(remediation, plan, &undo, (attempt, at), situation)];
            }
            Some(Standing::Answered { .. } | Standing::Lost { .. }) => {
                let reason = format!(
                    "{}; \"{}\" could not be taken back: a person must look",
                    trouble.reason, step.id
                );
                return vec![end(OverallStatus::Partial, trouble, reason, remediation, situation)];
            }
        }
    }
    let (status, reason) = if is_lost(remediation, plan, situation) {
        (OverallStatus::Partial, format!("{}; what it did is not known: a person must look", trouble.reason))
    } else if !done.is_empty() {
        (OverallStatus::Undone, trouble.reason.clone())
    } else if trouble.refused {
        (OverallStatus::Refused, trouble.reason.clone())
    } else {
        (OverallStatus::Failure, trouble.reason.clone())
    };
    vec![end(status, trouble, reason, remediation, situation)]
}

/// What may have changed something, newest first. A restart comes last: taking it back means to bring the instance
/// up on the configuration that was restored before.
fn to_undo<'a>(remediation: &Remediation, plan: &'a Plan, situation: &Situation) -> Vec<&'a PlannedStep> {
    let mut done: Vec<(bool, u64, &PlannedStep)> = plan
        .steps
        .iter()
        .filter(|step| step.action.has_effect())
        .filter_map(|step| {
            let restart = matches!(step.action, Action::Restart(_));
            if remediation.policy.mutant("engine.unstarted-step-undone") {
                return Some((restart, 0, step));
            }
            let state = remediation.steps.get(&step.id)?;
            match state.standing(situation.now) {
                Standing::Answered { result, .. } => {
                    let (sequence, _) = state.settled(situation.now)?;
                    let counts = restart && !remediation.policy.mutant("engine.failed-restart-left");
                    may_have_changed(result.status, counts).then_some((restart, sequence, step))
                }
                _ => None,
            }
        })
        .collect();
    done.sort_by_key(|(restart, sequence, _)| (*restart, std::cmp::Reverse(*sequence)));
    done.into_iter().map(|(_, _, step)| step).collect()
}

/// A restart that failed may have stopped the instance.
const fn may_have_changed(status: StepStatus, restart: bool) -> bool {
    match status {
        StepStatus::Success | StepStatus::Partial | StepStatus::Unknown => true,
        StepStatus::Failure => restart,
        StepStatus::Undone | StepStatus::Skipped | StepStatus::DryRun | StepStatus::Refused => false,
    }
}

const fn taken_back(status: StepStatus) -> bool {
    matches!(status, StepStatus::Undone | StepStatus::Success)
}

/// Is there a step with an effect whose agent never answered? (A lost read-only step leaves nothing behind.)
fn is_lost(remediation: &Remediation, plan: &Plan, situation: &Situation) -> bool {
    plan.steps.iter().filter(|step| step.action.has_effect()).any(|step| {
        let state = remediation.steps.get(&step.id);
        matches!(state.map(|state| state.standing(situation.now)), Some(Standing::Lost { .. }))
    })
}

/// The step that takes another one back, by the same agent on the same host.
pub(crate) fn undo_of(step: &PlannedStep) -> PlannedStep {
    let tool: Tool = step.agent.tool();
    PlannedStep {
        id: step.id.undo(),
        action: Action::Undo(Undo { step: step.id.clone(), tool }),
        depends_on: Vec::new(),
        change: None,
        reason: format!("takes back \"{}\"", step.id),
        ..step.clone()
    }
}

fn end(
    status: OverallStatus,
    trouble: &Trouble,
    reason: String,
    remediation: &Remediation,
    situation: &Situation,
) -> Decision {
    Ending { status, failed_at: trouble.step.clone(), reason: Some(reason), forecast: None, facts: None }
        .decision(remediation, situation)
}
