//! From a command to a plan.

use instance_contract::{
    Action, AgentKind, Change, Digest, Facts, Fault, Faults, Forecast, ForecastReply, HostName, Plan,
    PlannedStep, RemediationCommand, Risk, StepId, StepRequest, TimeoutSeconds,
};

use crate::{
    fold::fold,
    live::{live, targets},
    permit::{is_drastic, refusals, unknown_version},
    policy::Policy,
    sized::{note, sized},
    verification::verification,
};

/// What must be asked of an agent before a command can be planned.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Question {
    pub step: StepId,
    pub agent: AgentKind,
    pub action: Action,
}

/// Why there is no plan.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Rejection {
    /// The command can never be done as it stands.
    #[error("refused: {0}")]
    Refused(Faults),
    /// An agent could not say what would change; it may be able to later.
    #[error("could not forecast step \"{step}\": {why}")]
    NotYet { step: StepId, why: String },
}

/// The questions whose answers [`plan`] needs, one a step.
pub fn questions(command: &RemediationCommand) -> Vec<Question> {
    sized(command.steps())
        .into_iter()
        .map(|step| Question { agent: step.tool.agent(), step: step.id, action: step.action })
        .collect()
}

/// What to do, completely, or why nothing may be done.
pub fn plan(command: &RemediationCommand, facts: &Facts, policy: &Policy) -> Result<Plan, Rejection> {
    let refusals = refusals(command, facts, policy);
    if !refusals.is_empty() {
        return Err(Rejection::Refused(Faults(refusals)));
    }
    let mut steps: Vec<PlannedStep> = Vec::new();
    let (requests, mut warnings) = fold(sized(command.steps()));
    warnings.extend(requests.iter().filter_map(note));
    let mut approvals = Vec::new();
    let mut faults = Vec::new();
    let mut drastic = 0;
    let restarts = command.requires_restart();
    let targets = targets(&requests, facts);
    for request in requests {
        let place = place_of(command, &request);
        let host = host_of(&request, facts)?;
        match facts.forecasts.get(&request.id) {
            Some(ForecastReply::Would(forecast)) => {
                faults.extend(unknown_version(&place, forecast, policy));
                let alone = targets.iter().filter(|target| **target == forecast.target).count() == 1;
                let live = if restarts || !alone { None } else { live(&request, forecast) };
                let (request, forecast) =
                    live.as_ref().map_or((&request, forecast), |(request, forecast)| (request, forecast));
                let step = changing(command, request, host, forecast, &steps);
                warnings.extend(forecast.warnings.iter().cloned());
                warnings.extend(not_in_force(&step, forecast, restarts));
                drastic += u32::from(is_drastic(&step.action, forecast.dangerous));
                let approval = policy.approval(request.tool, &step.action, forecast.dangerous);
                approvals.extend(approval.map(|reason| (step.id.clone(), reason.to_owned())));
                steps.push(step);
            }
            Some(ForecastReply::ReadOnly { warnings: notes }) => {
                warnings.extend(notes.iter().cloned());
                steps.push(reading(command, &request, host));
            }
            Some(ForecastReply::Wont(failure)) => {
                if let instance_contract::Failure::Transient { cause } = failure {
                    return Err(Rejection::NotYet { step: request.id, why: cause.to_string() });
                }
                faults.push(Fault::new(place, shown(&request.action), failure.cause().to_string()));
            }
            None => {
                let why = format!("the {} gave no answer", request.tool.agent());
                return Err(Rejection::NotYet { step: request.id, why });
            }
        }
    }
    if drastic > policy.drastic_steps && !policy.mutant("planner.drastic-steps-uncounted") {
        let rule =
            format!("policy allows {} restarting or dangerous steps in one command", policy.drastic_steps);
        faults.push(Fault::new("steps", drastic, rule));
    }
    if !faults.is_empty() {
        return Err(Rejection::Refused(Faults(faults)));
    }
    if let Some(step) = verify_step(&steps, policy) {
        steps.push(step);
    }
    Ok(Plan { digest: digest(&steps), steps, approvals, warnings })
}

fn host_of(request: &StepRequest, facts: &Facts) -> Result<HostName, Rejection> {
    facts.hosts.get(&request.tool.agent()).cloned().ok_or_else(|| Rejection::NotYet {
        step: request.id.clone(),
        why: format!("no host is known for the {}", request.tool.agent()),
    })
}

fn changing(
    command: &RemediationCommand,
    request: &StepRequest,
    host: HostName,
    forecast: &Forecast,
    earlier: &[PlannedStep],
) -> PlannedStep {
    // Each `before` assumes the earlier steps done.
    let same_target = earlier.iter().rev().filter_map(|step| step.change.as_ref());
    let before = same_target
        .into_iter()
        .find(|change| change.target == forecast.target)
        .map_or_else(|| forecast.before.clone(), |change| change.after.clone());
    let change = Change {
        step: request.id.clone(),
        target: forecast.target.clone(),
        before,
        after: forecast.after.clone(),
    };
    PlannedStep { change: Some(change), ..reading(command, request, host) }
}

fn reading(command: &RemediationCommand, request: &StepRequest, host: HostName) -> PlannedStep {
    PlannedStep {
        id: request.id.clone(),
        agent: request.tool.agent(),
        host,
        action: request.action.clone(),
        depends_on: request.depends_on.clone(),
        limit_seconds: PlannedStep::limit(
            request.timeout_seconds,
            command.timeout_seconds,
            request.tool.default_limit_seconds(),
        ),
        retry: request.retry,
        risk: request.action.risk(),
        change: None,
        reason: command.reason_for(request),
    }
}

/// Applied, warned, reported: the sender said no restart where the change needs one.
fn not_in_force(step: &PlannedStep, forecast: &Forecast, restarts: bool) -> Option<String> {
    (forecast.needs_restart && !restarts).then(|| {
        format!("step \"{}\" comes into force only after a restart ({})", step.id, forecast.restart_reason)
    })
}

/// Done by the agent that owns the condition: the one of the first step with an effect.
fn verify_step(steps: &[PlannedStep], policy: &Policy) -> Option<PlannedStep> {
    let verify = verification(steps, policy.quiet_seconds)?;
    let owner = steps.iter().find(|step| step.action.has_effect())?;
    Some(PlannedStep {
        id: "verify".parse().expect("a legal step id"),
        agent: owner.agent,
        host: owner.host.clone(),
        action: Action::Verify(verify),
        depends_on: steps.iter().map(|step| step.id.clone()).collect(),
        limit_seconds: (policy.quiet_seconds + TimeoutSeconds::DEFAULT.get()).min(300),
        retry: true,
        risk: Risk::Low,
        change: None,
        reason: "proof, read from IRIS and the host".to_owned(),
    })
}

fn digest(steps: &[PlannedStep]) -> Digest {
    let changes: Vec<&Change> = steps.iter().filter_map(|step| step.change.as_ref()).collect();
    Plan::digest_of(&changes)
}

/// Where in the command a step stands, for a fault.
fn place_of(command: &RemediationCommand, request: &StepRequest) -> String {
    match &command.work {
        instance_contract::Work::Simple(_) | instance_contract::Work::Routed(_) => "parameters".to_owned(),
        instance_contract::Work::Graph(graph) => {
            let index = graph.steps().iter().position(|step| step.id == request.id).unwrap_or_default();
            format!("steps[{index}].parameters")
        }
    }
}

fn shown(action: &Action) -> String {
    match action {
        Action::SetCpf(set) => format!("[{}] {}={}", set.cpf_section, set.parameter, set.new_value),
        Action::ChangeCpf(change) => change.target(),
        Action::SetKernel(set) => format!("{}={}", set.kernel_param, set.new_value),
        Action::CheckLicense(check) => check.action.as_str().to_owned(),
        Action::Restart(_) => "restart".to_owned(),
        Action::Verify(_) => "verify".to_owned(),
        Action::Undo(undo) => format!("undo {}", undo.step),
    }
}
