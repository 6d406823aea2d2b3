//! What happens next with one remediation: a function of its fold, the time and the kill switch.

use instance_contract::{
    Action, ApprovalAnswered, ApprovalAsked, Attempt, Because, Facts, OverallStatus, Plan, PlannedStep,
    StepCommand, StepId, StepStatus, Token, ToolResult, Verdict, subject::RecordKind,
};
use instance_planner::still_allowed;
use jiff::{SignedDuration, Timestamp};

use crate::{
    force,
    remediation::{Answer, Record, Remediation},
    retry::{delay_after, is_worth_another_try},
    self_guard,
    step_state::Standing,
    trace::Ending,
    unwind,
};

/// What `decide` must know beside the fold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Situation {
    pub now: Timestamp,
    /// The token of this owner for this remediation.
    pub token: Token,
    pub halted: bool,
}

/// One thing to do.
#[derive(Debug, Clone, PartialEq)]
pub enum Decision {
    /// Write this record.
    Write(RecordKind, Box<Record>),
    /// Look again at this instant.
    WakeAt(Timestamp),
}

/// What to do now with a remediation whose turn it is. Empty when only an answer can move it.
pub fn decide(remediation: &Remediation, situation: &Situation) -> Vec<Decision> {
    if remediation.ended.is_some() {
        return Vec::new();
    }
    let Some(plan) = &remediation.plan else {
        return Vec::new();
    };
    if remediation.accepted.command.dry_run {
        return vec![Ending::dry_run(plan).decision(remediation, situation)];
    }
    if let Some(refusal) = self_guard::objection(remediation, plan) {
        return vec![refusal.decision(remediation, situation)];
    }
    if let Some(decisions) = consent(remediation, plan, situation) {
        return decisions;
    }
    match trouble(remediation, plan, situation) {
        Some(trouble) => unwind::decide(remediation, plan, &trouble, situation),
        None => force::asked_again(remediation, plan, situation)
            .unwrap_or_else(|| advance(remediation, plan, situation)),
    }
}

/// The end of a plan whose restart policy does not allow any more, by what these facts say of restarts and time.
pub(crate) fn too_soon(remediation: &Remediation, facts: Facts) -> Option<Ending<'static>> {
    let plan = remediation.plan.as_ref().filter(|_| !remediation.accepted.command.dry_run)?;
    let fault = instance_planner::too_soon(plan, &facts.restarts, facts.taken_at?, &remediation.policy)?;
    Some(Ending { facts: Some(facts), ..Ending::refused(OverallStatus::Refused, fault.to_string()) })
}

/// Approval first: nothing is touched before it. `None` when the way is free.
fn consent(remediation: &Remediation, plan: &Plan, situation: &Situation) -> Option<Vec<Decision>> {
    if plan.approvals.is_empty() {
        return None;
    }
    match answer_to(remediation, plan, BEFORE_ANYTHING, || plan.approvals.clone(), situation) {
        Said::Waiting(decision) => Some(vec![decision]),
        Said::No(ending) => Some(vec![ending.decision(remediation, situation)]),
        Said::Yes => None,
    }
}

/// The question that comes before a plan is begun.
const BEFORE_ANYTHING: u32 = 1;

/// What a person says to a question.
pub(crate) enum Said {
    /// Nothing yet; or nobody was asked, or the time is over, and that is to be written.
    Waiting(Decision),
    No(Ending<'static>),
    Yes,
}

/// Asks question `k`, waits for its answer until it expires, and judges it.
pub(crate) fn answer_to(
    remediation: &Remediation,
    plan: &Plan,
    k: u32,
    reasons: impl FnOnce() -> Vec<(StepId, String)>,
    situation: &Situation,
) -> Said {
    let Some(asked) = remediation.asked.get(&k) else {
        return Said::Waiting(ask(remediation, plan, k, reasons(), situation));
    };
    let Some(answer) = remediation.answered.get(&k) else {
        if situation.now < asked.expires_at {
            return Said::Waiting(Decision::WakeAt(asked.expires_at));
        }
        let expired = ApprovalAnswered {
            schema: ApprovalAnswered::SCHEMA.to_owned(),
            trace_id: remediation.accepted.trace_id.clone(),
            remediation_id: remediation.id(),
            digest: plan.digest.clone(),
            verdict: Verdict::Expired,
            by: ApprovalAnswered::ROUTER.to_owned(),
            at: situation.now,
            note: Some("nobody answered in time, and no answer means no".to_owned()),
        };
        return Said::Waiting(Decision::Write(
            RecordKind::ApprovalAnswered(k),
            Box::new(Record::ApprovalAnswered(expired)),
        ));
    };
    objection(remediation, plan, asked, answer).map_or(Said::Yes, Said::No)
}

/// Why an answer is no consent. `None` when it is: a yes to exactly these changes, in time, by somebody who may.
pub(crate) fn objection(
    remediation: &Remediation,
    plan: &Plan,
    asked: &ApprovalAsked,
    answer: &Answer,
) -> Option<Ending<'static>> {
    let refused = |reason: String| Some(Ending::refused(OverallStatus::Refused, reason));
    let expired = |reason: String| Some(Ending::refused(OverallStatus::Expired, reason));
    let says = match &answer.says {
        Ok(says) => says,
        Err(why) => return refused(format!("the answer to the approval cannot be read, so it is no: {why}")),
    };
    let by = &says.by;
    match says.verdict {
        Verdict::Denied => {
            let note = says.note.as_ref().map(|note| format!(": {note}")).unwrap_or_default();
            refused(format!("approval denied by {by}{note}"))
        }
        Verdict::Expired => expired("nobody approved in time, and no answer means no".to_owned()),
        Verdict::Granted
            if says.digest != plan.digest && !remediation.policy.mutant("engine.approval-digest-ignored") =>
        {
            refused(format!(
                "the approval by {by} is for other changes (digest {}) than this plan's (digest {})",
                says.digest.short(),
                plan.digest.short()
            ))
        }
        Verdict::Granted if answer.at > asked.expires_at => expired(format!(
            "the approval by {by} came at {}, and the time for it was over at {}",
            answer.at, asked.expires_at
        )),
        Verdict::Granted
            if !remediation.policy.lets_approve(by)
                && !remediation.policy.mutant("engine.approver-unchecked") =>
        {
            refused(format!("policy does not let {by} approve (`approvers` in the policy)"))
        }
        Verdict::Granted => None,
    }
}

fn ask(
    remediation: &Remediation,
    plan: &Plan,
    k: u32,
    reasons: Vec<(StepId, String)>,
    situation: &Situation,
) -> Decision {
    let patience = SignedDuration::from_secs(i64::from(remediation.policy.approval_seconds));
    let asked = ApprovalAsked {
        schema: ApprovalAsked::SCHEMA.to_owned(),
        trace_id: remediation.accepted.trace_id.clone(),
        remediation_id: remediation.id(),
        instance: remediation.instance().clone(),
        digest: plan.digest.clone(),
        changes: plan.changes().into_iter().cloned().collect(),
        reasons,
        expires_at: if remediation.policy.mutant("engine.approval-never-expires") {
            Timestamp::MAX
        } else {
            (situation.now + patience).min(remediation.accepted.deadline)
        },
        because: because(remediation, situation, 0),
    };
    Decision::Write(RecordKind::ApprovalAsked(k), Box::new(Record::ApprovalAsked(asked)))
}

/// Why a remediation cannot go on.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Trouble {
    pub step: Option<StepId>,
    pub reason: String,
    /// The step was refused before anything was touched.
    pub refused: bool,
}

/// The first failure that no retry will cure, the kill switch, the deadline, or a time window that is not open.
fn trouble(remediation: &Remediation, plan: &Plan, situation: &Situation) -> Option<Trouble> {
    let failed = plan.steps.iter().find_map(|step| {
        let state = remediation.steps.get(&step.id)?;
        let (reason, refused) = match state.standing(situation.now) {
            Standing::Answered { at, attempt, result }
                if is_final(remediation, plan, step, (attempt, at), result) =>
            {
                let why = result.error_message.clone().unwrap_or_else(|| result.status.as_str().to_owned());
                let why = match force::refusal(remediation, plan, result) {
                    Some(no) => format!("{why}; {no}"),
                    None => why,
                };
                (why, result.status == StepStatus::Refused)
            }
            Standing::Lost { .. } => ("no answer came, and none can come any more".to_owned(), false),
            _ => return None,
        };
        Some(Trouble {
            step: Some(step.id.clone()),
            reason: format!("step \"{}\": {reason}", step.id),
            refused,
        })
    });
    let stopped = |reason: &str| Some(Trouble { step: None, reason: reason.to_owned(), refused: false });
    // An unwinding that has begun goes on as one, even when the kill switch is taken back.
    let unwinding = remediation.steps.keys().any(|step| step.as_str().ends_with("-undo"));
    match failed {
        Some(trouble) => Some(trouble),
        None if situation.halted => stopped("halted by the kill switch"),
        None if situation.now > remediation.accepted.deadline
            && !is_complete(remediation, plan, situation.now)
            && !remediation.policy.mutant("engine.deadline-sweep-off") =>
        {
            stopped("the time limit of the whole remediation has passed")
        }
        None => match too_late(remediation, plan, situation.now) {
            None if unwinding => stopped("the unwinding had begun"),
            late => late,
        },
    }
}

/// What is still to be sent must be allowed now, whenever it was planned. All of it: no change is begun that policy lets
/// nobody finish.
fn too_late(remediation: &Remediation, plan: &Plan, now: Timestamp) -> Option<Trouble> {
    let to_send = |step: &&PlannedStep| {
        let state = remediation.steps.get(&step.id);
        !matches!(state.map(|state| state.standing(now)), Some(Standing::Running { .. }))
            && !is_success(remediation, step, now)
    };
    plan.steps.iter().filter(to_send).find_map(|step| {
        let why = still_allowed(&step.action, now, &remediation.policy).err()?;
        Some(Trouble {
            step: Some(step.id.clone()),
            reason: format!("step \"{}\": {why}, and none is open at {now}", step.id),
            refused: true,
        })
    })
}

fn is_complete(remediation: &Remediation, plan: &Plan, now: Timestamp) -> bool {
    plan.steps.iter().all(|step| is_success(remediation, step, now))
}

fn is_success(remediation: &Remediation, step: &PlannedStep, now: Timestamp) -> bool {
    let state = remediation.steps.get(&step.id);
    matches!(
        state.map(|state| state.standing(now)),
        Some(Standing::Answered { result, .. }) if result.status == StepStatus::Success
    )
}

/// A failure that will not be tried again.
fn is_final(
    remediation: &Remediation,
    plan: &Plan,
    step: &PlannedStep,
    (attempt, at): (Attempt, Timestamp),
    result: &ToolResult,
) -> bool {
    if force::is_asked_for(result) {
        return !force::may_go_on(remediation, plan, at);
    }
    let may_retry = match result.status {
        StepStatus::Success => return false,
        StepStatus::Failure => step.retry && is_worth_another_try(result),
        _ => is_worth_another_try(result),
    };
    let one_more = u32::from(remediation.policy.mutant("engine.one-attempt-too-many"));
    !may_retry || attempt.0 >= remediation.policy.attempts + one_more
}

/// Send what is ready; wait for the rest.
fn advance(remediation: &Remediation, plan: &Plan, situation: &Situation) -> Vec<Decision> {
    if is_complete(remediation, plan, situation.now) {
        return vec![Ending::success().decision(remediation, situation)];
    }
    let mut decisions = Vec::new();
    let running = |step: &&PlannedStep| {
        let state = remediation.steps.get(&step.id);
        matches!(state.map(|state| state.standing(situation.now)), Some(Standing::Running { .. }))
    };
    let at_most = remediation.policy.parallel_steps
        + u32::from(remediation.policy.mutant("engine.one-too-many-side-by-side"));
    let mut free = (at_most as usize).saturating_sub(plan.steps.iter().filter(running).count());
    for step in &plan.steps {
        let state = remediation.steps.get(&step.id);
        match state.map(|state| state.standing(situation.now)) {
            Some(Standing::Running { until }) => decisions.push(Decision::WakeAt(until)),
            None | Some(Standing::Waiting) => {
                let early = remediation.policy.mutant("engine.wave-too-early");
                let ready = step.depends_on.iter().all(|id| {
                    plan.step(id).is_some_and(|needed| is_success(remediation, needed, situation.now))
                        || early
                });
                if ready && free > 0 {
                    free -= 1;
                    decisions.push(send(remediation, plan, step, Attempt::FIRST, 0, situation));
                }
            }
            Some(Standing::Answered { at, attempt, result }) if result.status != StepStatus::Success => {
                let decision = again(remediation, plan, step, (attempt, at), situation);
                let is_sent = matches!(decision, Decision::Write(..));
                // One more attempt takes a place as a first one does; where none is free, it waits for an answer.
                if !is_sent || free > 0 {
                    free -= usize::from(is_sent);
                    decisions.push(decision);
                }
            }
            _ => {}
        }
    }
    decisions.push(Decision::WakeAt(remediation.accepted.deadline));
    decisions
}

/// One more attempt, after its waiting time.
pub(crate) fn again(
    remediation: &Remediation,
    plan: &Plan,
    step: &PlannedStep,
    (attempt, answered_at): (Attempt, Timestamp),
    situation: &Situation,
) -> Decision {
    let key = instance_contract::StepKey { remediation_id: remediation.id(), step_id: step.id.clone() };
    let delay = delay_after(&key, attempt);
    let due = answered_at + SignedDuration::try_from(delay).unwrap_or(SignedDuration::MAX);
    if situation.now < due && !remediation.policy.mutant("engine.retry-at-once") {
        return Decision::WakeAt(due);
    }
    let waited = u64::try_from(delay.as_millis()).unwrap_or(u64::MAX);
    send(remediation, plan, step, attempt.next(), waited, situation)
}

/// The step command of one attempt.
pub(crate) fn send(
    remediation: &Remediation,
    plan: &Plan,
    step: &PlannedStep,
    attempt: Attempt,
    waited_ms: u64,
    situation: &Situation,
) -> Decision {
    let accepted = &remediation.accepted;
    let command = StepCommand {
        schema: StepCommand::SCHEMA.to_owned(),
        trace_id: accepted.trace_id.clone(),
        remediation_id: remediation.id(),
        command_id: accepted.command.command_id,
        instance: remediation.instance().clone(),
        step_id: step.id.clone(),
        attempt,
        agent: step.agent,
        host: step.host.clone(),
        tool: step.agent.tool(),
        action: step.action.clone(),
        change: step.change.clone().filter(|_| !remediation.policy.mutant("engine.change-not-named")),
        plan_digest: plan.digest.clone(),
        not_after: not_after(remediation, step, situation.now),
        limit_seconds: step.limit_seconds,
        force_agreed: force::is_agreed(remediation, plan, &step.action),
        token: situation.token,
        because: because(remediation, situation, waited_ms),
    };
    let kind = RecordKind::Step { step: step.id.clone(), attempt };
    Decision::Write(kind, Box::new(Record::Step(command)))
}

/// An agent that is away has until the remediation's deadline. What takes back always has a while, however late it is.
fn not_after(remediation: &Remediation, step: &PlannedStep, now: Timestamp) -> Timestamp {
    let deadline = remediation.accepted.deadline;
    match step.action {
        Action::Undo(_) => deadline.max(now + SignedDuration::from_secs(2 * i64::from(step.limit_seconds))),
        _ => deadline,
    }
}

pub(crate) fn because(remediation: &Remediation, situation: &Situation, delay_ms: u64) -> Because {
    Because {
        now: situation.now,
        event: remediation.newest.clone(),
        delay_ms,
        epoch: situation.token.epoch,
        halted: situation.halted,
    }
}
