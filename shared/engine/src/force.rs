//! An instance that did not stop in order is killed only after a person was asked again, now that it is so (F-071). The yes
//! that let the plan begin was given before anybody knew.

use instance_contract::{Action, Plan, StepId, ToolResult};
use jiff::Timestamp;

use crate::{
    decide::{Decision, Said, Situation, answer_to, objection},
    remediation::Remediation,
    step_state::Standing,
};

/// restart-agent's word for a stop that failed, where command and settings would let it force the instance down.
const NOT_AGREED: &str = "force_not_agreed";
/// The number of the second question.
const AGAIN: u32 = 2;

/// What to do about a stop that failed: ask, and wait for the answer; nothing else is begun meanwhile. `None` where that is
/// no question, or it is answered.
pub(crate) fn asked_again(
    remediation: &Remediation,
    plan: &Plan,
    situation: &Situation,
) -> Option<Vec<Decision>> {
    let (step, result) = plan.steps.iter().find_map(|step| {
        let state = remediation.steps.get(&step.id)?;
        match state.standing(situation.now) {
            Standing::Answered { result, .. } if is_asked_for(result) => Some((&step.id, result)),
            _ => None,
        }
    })?;
    match answer_to(remediation, plan, AGAIN, || reasons(step, result), situation) {
        Said::Waiting(decision) => Some(vec![decision, Decision::WakeAt(remediation.accepted.deadline)]),
        Said::No(_) | Said::Yes => None,
    }
}

fn reasons(step: &StepId, result: &ToolResult) -> Vec<(StepId, String)> {
    let found = result.error_message.as_deref().unwrap_or_default();
    vec![(step.clone(), format!("kill the instance, as a crash does (iris force)? {found}"))]
}

/// Has the agent stopped short of force, for want of a person's yes?
pub(crate) fn is_asked_for(result: &ToolResult) -> bool {
    result.error_code.as_deref() == Some(NOT_AGREED)
}

/// May the step still succeed after a result of that time? As long as nobody has answered, and by one more attempt with a
/// yes that the former one did not know of, whatever number it has.
pub(crate) fn may_go_on(remediation: &Remediation, plan: &Plan, answered_at: Timestamp) -> bool {
    !remediation.answered.contains_key(&AGAIN)
        || agreed_at(remediation, plan).is_some_and(|agreed_at| answered_at <= agreed_at)
}

/// Does a person's yes to force go with this action?
pub(crate) fn is_agreed(remediation: &Remediation, plan: &Plan, action: &Action) -> bool {
    matches!(action, Action::Restart(restart) if restart.force) && agreed_at(remediation, plan).is_some()
}

/// What the person said who did not agree, for the end of a remediation.
pub(crate) fn refusal(remediation: &Remediation, plan: &Plan, result: &ToolResult) -> Option<String> {
    if !is_asked_for(result) {
        return None;
    }
    let (asked, answer) = (remediation.asked.get(&AGAIN)?, remediation.answered.get(&AGAIN)?);
    objection(remediation, plan, asked, answer)?.reason
}

fn agreed_at(remediation: &Remediation, plan: &Plan) -> Option<Timestamp> {
    let (asked, answer) = (remediation.asked.get(&AGAIN)?, remediation.answered.get(&AGAIN)?);
    objection(remediation, plan, asked, answer).is_none().then_some(answer.at)
}
