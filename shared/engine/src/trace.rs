//! The WorkflowTrace of a remediation that has come to its end.

use std::collections::BTreeMap;

use instance_contract::{
    Action, AgentInfo, AppliedChange, Attempt, Ended, Facts, OverallStatus, Plan, PlannedStep, StepId,
    StepStatus, ToolResult, Totals, Verification, WorkflowTrace, subject::RecordKind,
};

use crate::{
    decide::{Decision, Situation, because},
    remediation::{Record, Remediation},
    step_state::Standing,
};

/// How it ends.
pub(crate) struct Ending<'a> {
    pub status: OverallStatus,
    pub failed_at: Option<StepId>,
    pub reason: Option<String>,
    /// The plan, when its steps were only forecast.
    pub forecast: Option<&'a Plan>,
    /// What it was refused on, when that stands in no plan.
    pub facts: Option<Facts>,
}

/// Why a command that was accepted never had a plan.
pub(crate) enum Unplanned {
    /// It was refused on these facts at its turn.
    Refused(Facts, String),
    /// The agents were asked until its time was over.
    Silence,
    /// Its time was over before this owner could ask.
    NoTurn,
}

impl<'a> Ending<'a> {
    pub(crate) const fn success() -> Self {
        Self { status: OverallStatus::Success, failed_at: None, reason: None, forecast: None, facts: None }
    }

    pub(crate) const fn dry_run(plan: &'a Plan) -> Self {
        Self {
            status: OverallStatus::DryRun,
            failed_at: None,
            reason: None,
            forecast: Some(plan),
            facts: None,
        }
    }

    pub(crate) const fn refused(status: OverallStatus, reason: String) -> Self {
        Self { status, failed_at: None, reason: Some(reason), forecast: None, facts: None }
    }

    pub(crate) fn unplanned(why: Unplanned) -> Self {
        let failure = |reason: &str| Self::refused(OverallStatus::Failure, reason.to_owned());
        match why {
            Unplanned::Refused(facts, reason) => {
                Self { facts: Some(facts), ..Self::refused(OverallStatus::Refused, reason) }
            }
            Unplanned::Silence => {
                failure("the agents gave no answer to plan on before the time limit of the remediation")
            }
            Unplanned::NoTurn => failure(
                "the time limit of the remediation passed while it waited for its turn or for a router",
            ),
        }
    }

    pub(crate) fn decision(self, remediation: &Remediation, situation: &Situation) -> Decision {
        let accepted = &remediation.accepted;
        let steps = match (self.forecast, &remediation.plan) {
            (Some(plan), _) => plan.steps.iter().map(|step| forecast(remediation, step)).collect(),
            (None, Some(plan)) => executed(remediation, plan, situation),
            (None, None) => Vec::new(),
        };
        let elapsed = situation.now.as_millisecond() - accepted.accepted_at.as_millisecond();
        let trace = WorkflowTrace {
            schema: WorkflowTrace::SCHEMA.to_owned(),
            trace_id: accepted.trace_id.clone(),
            remediation_id: remediation.id(),
            command_received: Some(accepted.command.clone()),
            initiated_at: accepted.accepted_at,
            totals: Totals::of(&steps),
            verification: verification(&steps),
            steps_executed: steps,
            overall_status: self.status,
            failed_at_step: self.failed_at,
            completion_time_ms: u64::try_from(elapsed).unwrap_or_default(),
            plan_digest: remediation.plan.as_ref().map(|plan| plan.digest.clone()),
            planned: remediation.plan.as_ref().map(Plan::outline).unwrap_or_default(),
            warnings: remediation.plan.as_ref().map(|plan| plan.warnings.clone()).unwrap_or_default(),
            reason: self.reason,
            faults: Vec::new(),
        };
        let because = because(remediation, situation, 0);
        Decision::Write(
            RecordKind::Ended,
            Box::new(Record::Ended(Ended { trace, because, facts: self.facts })),
        )
    }
}

/// One result a step of the plan: in order of completion, then those that were never sent.
fn executed(remediation: &Remediation, plan: &Plan, situation: &Situation) -> Vec<ToolResult> {
    let mut done: Vec<(u64, ToolResult)> = Vec::new();
    let mut never = Vec::new();
    for step in &plan.steps {
        let state = remediation.steps.get(&step.id);
        match state.map(|state| state.standing(situation.now)) {
            None | Some(Standing::Waiting) => {
                never.push(unsent(remediation, step, StepStatus::Skipped, "an earlier step did not succeed"));
            }
            Some(Standing::Running { .. } | Standing::Lost { .. }) => {
                let lost = unsent(remediation, step, StepStatus::Unknown, "no answer came from the agent");
                done.push((u64::MAX, lost));
            }
            Some(Standing::Answered { .. }) => {
                let settled = state.and_then(|state| state.settled(situation.now));
                if let Some((sequence, result)) = settled {
                    done.push((sequence, taken_back(remediation, step, result, situation)));
                }
            }
        }
    }
    done.sort_by_key(|(sequence, _)| *sequence);
    done.into_iter().map(|(_, result)| result).chain(never).collect()
}

/// A step that was undone says so, and shows the values as they are now.
fn taken_back(
    remediation: &Remediation,
    step: &PlannedStep,
    result: &ToolResult,
    situation: &Situation,
) -> ToolResult {
    let mut shown = result.clone();
    let undo = remediation.steps.get(&step.id.undo()).and_then(|state| state.settled(situation.now));
    if let Some((_, undo)) = undo {
        shown.warnings.extend(undo.warnings.iter().cloned());
        if matches!(undo.status, StepStatus::Undone | StepStatus::Success) {
            shown.status = StepStatus::Undone;
            shown.rollback_available = false;
        } else {
            shown.requires_user_action = true;
            shown
                .warnings
                .extend(undo.error_message.iter().map(|why| format!("could not be taken back: {why}")));
        }
    }
    shown
}

fn forecast(remediation: &Remediation, step: &PlannedStep) -> ToolResult {
    let mut result = unsent(remediation, step, StepStatus::DryRun, "");
    result.error_code = None;
    result.error_message = None;
    result.changes_applied = step
        .change
        .iter()
        .map(|change| {
            let would = AppliedChange {
                parameter: change.target.clone(),
                old_value: Some(change.before.clone()),
                new_value: Some(change.after.clone()),
                validated: false,
            };
            (change.target.clone(), would)
        })
        .collect();
    result
}

/// The router's own word for a step that no agent has answered for.
fn unsent(remediation: &Remediation, step: &PlannedStep, status: StepStatus, why: &str) -> ToolResult {
    let tool_name = match step.action {
        Action::Verify(_) => "verify".to_owned(),
        _ => step.agent.tool().as_str().to_owned(),
    };
    ToolResult {
        schema: ToolResult::SCHEMA.to_owned(),
        trace_id: remediation.accepted.trace_id.clone(),
        tool_name,
        command_id: remediation.accepted.command.command_id,
        remediation_id: remediation.id(),
        step_id: step.id.clone(),
        attempt: Attempt(0),
        status,
        execution_time_ms: 0,
        changes_applied: BTreeMap::new(),
        error_code: Some(status.as_str().to_owned()),
        error_message: Some(why.to_owned()),
        retryable: false,
        requires_user_action: status == StepStatus::Unknown,
        rollback_available: false,
        warnings: Vec::new(),
        agent: AgentInfo {
            name: "router".to_owned(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            host: step.host.clone(),
        },
    }
}

/// What the last step said, if it came to that.
fn verification(steps: &[ToolResult]) -> Option<Verification> {
    let verify = steps.iter().find(|step| step.tool_name == "verify" && step.attempt != Attempt(0))?;
    let mut findings = verify.warnings.clone();
    findings.extend(verify.error_message.clone());
    Some(Verification { held: verify.status == StepStatus::Success, findings })
}
