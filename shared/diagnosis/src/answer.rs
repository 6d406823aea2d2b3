//! From a condition and facts to the work that answers it. The catalogue's authored answers, and nothing else.

use std::collections::BTreeMap;

use instance_contract::{
    Action, AgentKind, CommandId, Decision, ErrorType, Finding, LicenseAction, LicenseCheck, Priority,
    RemediationCommand, RestartInstance, SetCpf, SetKernel, SimpleWork, TimeoutSeconds, Work,
};
use instance_knowledge::{HostMemory, Remedy, Target, condition, propose, remedy_for};
use serde_json::Value;

use crate::event::FactMap;

/// Who asks. Commands that carry this name were made here.
const REQUESTED_BY: &str = "analyst";

/// What an agent must be asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Need {
    pub agent: AgentKind,
    /// Can nothing be decided without it?
    pub required: bool,
}

/// Work that may be asked for, complete.
#[derive(Debug, Clone, PartialEq)]
pub struct Answer {
    pub runbook: String,
    /// False when it only looks, and a person has to do the rest.
    pub cures: bool,
    pub error_type: ErrorType,
    pub priority: Priority,
    pub action: String,
    pub work: Work,
    pub success_signs: Vec<String>,
}

/// Is there an authored answer to that condition?
pub(crate) fn has_answer(condition: &str) -> bool {
    remedy_for(condition).is_some()
}

/// Does that answer cure, or only look?
pub(crate) fn cures(runbook: &str) -> bool {
    remedy_for(runbook).is_none_or(|remedy| remedy.cures)
}

/// What has to be asked before a condition can be answered.
pub(crate) fn needs(condition: &str) -> Vec<Need> {
    let need = |agent, required| Need { agent, required };
    match remedy_for(condition).map(|remedy| &remedy.target) {
        // Without the host's memory the bound of the remedy alone holds.
        Some(Target::Cpf { .. }) => vec![need(AgentKind::Config, true), need(AgentKind::Os, false)],
        Some(Target::Kernel { .. }) => vec![need(AgentKind::Os, true)],
        Some(Target::License { .. }) => vec![need(AgentKind::Config, true)],
        Some(Target::Instance) => vec![need(AgentKind::Restart, true)],
        None => Vec::new(),
    }
}

/// What the answers of agents tell that matters for a condition.
pub(crate) fn learn(condition: &str, answers: &BTreeMap<AgentKind, Value>) -> FactMap {
    let mut facts = FactMap::new();
    let mut keep = |name: &str, value: &Value| {
        if matches!(value, Value::String(_) | Value::Number(_) | Value::Bool(_)) {
            facts.insert(name.to_owned(), value.clone());
        }
    };
    if let Some(host) = answers.get(&AgentKind::Os) {
        keep("host.huge-page-kb", &host["memory"]["huge_page_kb"]);
        if let Some(kilobytes) = host["memory"]["total_kb"].as_u64() {
            keep("host.memory-mb", &(kilobytes / 1024).into());
        }
    }
    let present = match remedy_for(condition).map(|remedy| &remedy.target) {
        Some(Target::Cpf { parameter, .. }) => {
            answers.get(&AgentKind::Config).map(|config| config[parameter.as_str()].clone())
        }
        Some(Target::Kernel { name }) => {
            answers.get(&AgentKind::Os).map(|host| host["parameters"][name.as_str()]["value"].clone())
        }
        _ => None,
    };
    if let Some(present) = present {
        keep(PRESENT, &present);
    }
    facts
}

/// The value at the answer's target, as read just before.
const PRESENT: &str = "present-value";

/// The work for a condition, or why a person has to decide. `text` is that of the entry that means it.
pub fn answer(condition_id: &str, text: &str, facts: &FactMap) -> Result<Answer, String> {
    let remedy =
        remedy_for(condition_id).ok_or("the catalogue has no answer that may be given without a person")?;
    let present = facts.get(PRESENT).and_then(text_of);
    let number = |name: &str| facts.get(name).and_then(Value::as_u64);
    let memory = HostMemory {
        huge_page_kb: number("host.huge-page-kb").unwrap_or_default(),
        physical_mb: number("host.memory-mb"),
    };
    let change = propose(remedy, text, present.as_deref(), memory).map_err(|error| error.to_string())?;
    let work = work(remedy, change.new_value.as_deref(), present)?;
    let no_word = |error: instance_contract::InvalidName| error.to_string();
    Ok(Answer {
        runbook: remedy.condition.clone(),
        cures: remedy.cures,
        error_type: remedy.error_type.as_str().parse().map_err(no_word)?,
        priority: remedy.priority.as_str().parse().map_err(no_word)?,
        action: remedy.recommended_action.clone(),
        work: Work::Simple(work),
        success_signs: vec![
            "the value is in force, the instance runs and accepts, and the condition stays silent".to_owned(),
        ],
    })
}

fn work(remedy: &Remedy, new_value: Option<&str>, present: Option<String>) -> Result<SimpleWork, String> {
    let value = || new_value.map(str::to_owned).ok_or("the remedy proposes no value");
    Ok(match &remedy.target {
        Target::Cpf { section, parameter } => SimpleWork::Config {
            set: SetCpf {
                cpf_section: section.clone(),
                parameter: parameter.clone(),
                new_value: value()?,
                // Whoever else changes it meanwhile is not overwritten.
                current_value: present,
            },
            restart: remedy.restart,
        },
        Target::Kernel { name } => SimpleWork::Kernel {
            set: SetKernel {
                kernel_param: name.clone(),
                new_value: value()?,
                min_value: None,
                max_value: None,
            },
            restart: remedy.restart,
        },
        Target::License { action } => {
            let known = [LicenseAction::CheckExpiry, LicenseAction::ValidateKey, LicenseAction::ReportUsage];
            let action = known.into_iter().find(|known| known.as_str() == action);
            SimpleWork::License(LicenseCheck { action: action.ok_or("no such license action")? })
        }
        Target::Instance => SimpleWork::Restart(RestartInstance::default()),
    })
}

/// Numbers are written as texts in a CPF and in the kernel.
fn text_of(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    }
}

impl Answer {
    /// The command, whose every part follows from the finding.
    pub(crate) fn command(
        &self,
        finding: &Finding,
        command_id: CommandId,
        dry_run: bool,
    ) -> RemediationCommand {
        RemediationCommand {
            command_id,
            trace_id: finding.trace_id.clone(),
            instance: finding.instance.clone(),
            error_type: self.error_type,
            // As the first entry has it: how many others came meanwhile is chance.
            severity: finding.evidence.first().map_or(finding.severity, |entry| entry.severity),
            recommended_action: self.action.clone(),
            dry_run,
            timeout_seconds: TimeoutSeconds::DEFAULT,
            priority: self.priority,
            requested_by: REQUESTED_BY.to_owned(),
            issued_at: finding.found_at,
            caused_by: finding.evidence.iter().take(1).map(|known| known.message_id).collect(),
            work: self.work.clone(),
        }
    }

    /// What it acts on, in words that compare.
    pub(crate) fn targets(&self) -> Vec<String> {
        targets_of(&self.work)
    }
}

/// The command that a finding decided on; `None` when it decided on none, or the catalogue has changed since.
pub fn command_of(finding: &Finding) -> Option<RemediationCommand> {
    let Decision::Remediation { command_id, runbook, .. } = &finding.decision else { return None };
    let id = finding.condition.as_ref()?.as_str();
    let answer =
        answer(id, text(finding), &finding.facts).ok().filter(|answer| &answer.runbook == runbook)?;
    Some(answer.command(finding, *command_id, false))
}

fn text(finding: &Finding) -> &str {
    finding.evidence.first().map_or("", |entry| entry.excerpt.as_str())
}

/// What a command acts on, in words that compare: two commands for one target are the same answer.
pub fn targets(command: &RemediationCommand) -> Vec<String> {
    targets_of(&command.work)
}

fn targets_of(work: &Work) -> Vec<String> {
    let steps = work.steps();
    let alone = steps.len() == 1;
    let cpf = |(section, name): (&str, &str)| format!("cpf [{section}] {name}");
    let target = |action: &Action| match action {
        Action::SetCpf(set) => vec![cpf((&set.cpf_section, &set.parameter))],
        Action::ChangeCpf(change) => change.parameters().into_iter().map(cpf).collect(),
        Action::SetKernel(set) => vec![format!("kernel {}", set.kernel_param.replace('/', "."))],
        Action::CheckLicense(check) => vec![format!("license {}", check.action.as_str())],
        // Part of a change when there is one.
        Action::Restart(_) if alone => vec!["instance".to_owned()],
        _ => Vec::new(),
    };
    steps.iter().flat_map(|step| target(&step.action)).collect()
}

/// What the catalogue says of a condition, for people: cause, and what to do.
pub(crate) fn told(condition_id: Option<&str>) -> (String, String) {
    match condition_id.and_then(condition) {
        Some(row) => (row.cause.clone(), row.remedy.clone()),
        None => (
            "The catalogue does not know this text.".to_owned(),
            "Look at the entries. If they are understood, a row for the catalogue makes them known."
                .to_owned(),
        ),
    }
}
