//! From a condition and facts to what is done. The catalogue's cases and runbooks decide, and nothing else.

use std::collections::BTreeMap;

use instance_contract::{
    Action, AgentKind, CommandId, Decision, ErrorType, Finding, Priority, RemediationCommand, TimeoutSeconds,
    Work,
};
use instance_knowledge::{
    Answer as Who, Condition, FactValue, Facts, condition, fact,
    runbook::{NotApplicable, Target, Work as Planned, runbook, runbooks_for, together},
};
use serde_json::Value;

use crate::{event::FactMap, work};

/// How the running instance is. It may be told a moment later than the log tells why.
const HEALTH: &str = "instance.health";
/// That moment, in seconds after the first entry: until then an instance that looks well is looked at again.
const SHOWS_WITHIN: u32 = 10;
/// Who asks. Commands that carry this name were made here.
pub(crate) const REQUESTED_BY: &str = "analyst";
/// Between the ids of runbooks that are done as one.
const AND: char = '+';

/// What an agent must be asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Need {
    pub agent: AgentKind,
    /// Can nothing be done without it?
    pub required: bool,
}

/// What facts make of a condition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// This runbook, which can be planned now.
    Runbook(&'static str),
    Person(String),
    Nothing(String),
    /// Not decided before so many seconds after the first entry: facts are taken again until then.
    NotBefore(u32),
}

/// Work that may be asked for, complete.
#[derive(Debug, Clone, PartialEq)]
pub struct Answer {
    /// Ids of the runbooks that it comes from.
    pub runbooks: Vec<String>,
    /// False when it only looks, and a person has to do the rest.
    pub cures: bool,
    pub error_type: ErrorType,
    pub priority: Priority,
    pub action: String,
    pub work: Work,
    pub success_signs: Vec<String>,
}

/// What becomes of a condition, given these facts, so many seconds after its first entry.
pub fn verdict(row: &Condition, facts: &Facts, age_seconds: i64) -> Verdict {
    let decision = row.decide(facts);
    if age_seconds < i64::from(decision.after_seconds) {
        return Verdict::NotBefore(decision.after_seconds);
    }
    let all = runbooks_for(&row.id);
    let cures = decision.answer == Who::Remedy;
    if decision.answer == Who::None {
        return Verdict::Nothing(decision.why.to_owned());
    }
    let mut why = None;
    // Who has to call a person may look before.
    for runbook in all.iter().filter(|runbook| runbook.cures == cures) {
        match runbook.plan(facts) {
            Ok(_) => return Verdict::Runbook(&runbook.id),
            Err(NotApplicable::Precondition { fact, .. })
                if fact == HEALTH && facts.get(HEALTH).is_some() && age_seconds < i64::from(SHOWS_WITHIN) =>
            {
                return Verdict::NotBefore(SHOWS_WITHIN);
            }
            Err(error) => why = why.or(Some(error.to_string())),
        }
    }
    let usual = if cures { "the catalogue has no runbook for it" } else { decision.why };
    Verdict::Person(why.filter(|_| cures).unwrap_or_else(|| usual.to_owned()))
}

/// Is there anything to find out about a condition before it is answered?
pub(crate) fn is_answered_by_facts(row: &Condition) -> bool {
    !runbooks_for(&row.id).is_empty() || row.facts_needed().next().is_some()
}

/// Is there an authored answer to that condition?
pub(crate) fn has_runbook(condition: &str) -> bool {
    !runbooks_for(condition).is_empty()
}

/// What a runbook has to act on, in words that compare; a restart alone is `instance`.
pub(crate) fn acts_on(id: &str) -> Vec<String> {
    let needed = runbook(id).into_iter().flat_map(|row| &row.step).filter(|step| step.only_if.is_none());
    let (restarts, changes): (Vec<_>, Vec<_>) = needed.partition(|step| step.target == Target::Instance);
    let acting = if changes.is_empty() { restarts } else { changes };
    acting.into_iter().map(|step| step.target.label()).collect()
}

/// How long other trouble of the instance is waited for, so that one restart serves all of it, in seconds.
pub(crate) fn company_seconds(id: &str) -> u32 {
    runbook(id).map_or(0, |runbook| runbook.company_seconds)
}

/// Do these only look?
pub(crate) fn cures(runbooks: &str) -> bool {
    ids(runbooks).all(|id| runbook(id).is_none_or(|runbook| runbook.cures))
}

/// May a runbook bring that condition about by itself?
pub(crate) fn may_cause(runbooks: &str, condition: &str) -> bool {
    let causes = |id: &str| {
        runbook(id).is_some_and(|it| it.verification.may_cause.iter().any(|known| known == condition))
    };
    ids(runbooks).any(causes)
}

/// Everybody who may know something, none of whom is needed.
pub(crate) fn all_agents() -> Vec<Need> {
    [AgentKind::Config, AgentKind::Os, AgentKind::Restart].map(|agent| Need { agent, required: false }).into()
}

/// What has to be asked before a condition can be answered.
pub(crate) fn needs(row: &Condition) -> Vec<Need> {
    let runbooks = runbooks_for(&row.id);
    let acting = |agent: AgentKind| {
        let tool = agent.tool().as_str();
        // A step that may be left out is, where its agent tells nothing.
        let mut steps = runbooks.iter().flat_map(|runbook| &runbook.step);
        steps.any(|step| step.only_if.is_none() && step.target.tool() == tool)
    };
    let names = runbooks.iter().flat_map(|runbook| runbook.facts_needed()).chain(row.facts_needed());
    let asked: Vec<&str> =
        names.filter_map(|name| Some(fact(name)?.asked.as_ref()?.agent.as_str())).collect();
    let all = [AgentKind::Config, AgentKind::Os, AgentKind::Restart];
    let need = |agent: AgentKind| Need { agent, required: acting(agent) };
    all.into_iter().map(need).filter(|need| need.required || asked.contains(&word(need.agent))).collect()
}

/// What the answers of agents tell.
pub(crate) fn learn(facts: &mut Facts, answers: &BTreeMap<AgentKind, Value>) {
    for (agent, answer) in answers {
        facts.learn_from_agent(word(*agent), answer);
    }
}

/// As the rows of facts call an agent.
fn word(agent: AgentKind) -> &'static str {
    match agent {
        AgentKind::Config => "config",
        AgentKind::Os => "os",
        AgentKind::Restart => "restart",
    }
}

/// Facts as they are written in a finding.
pub(crate) fn written(facts: &Facts) -> FactMap {
    let value = |value: &FactValue| match value {
        FactValue::Number(number) => Value::from(*number),
        FactValue::Flag(flag) => Value::from(*flag),
        FactValue::Text(text) => Value::from(text.as_str()),
    };
    facts.iter().map(|(name, known)| (name.to_owned(), value(known))).collect()
}

/// Facts as they stand in a finding. One that no row knows any more is left out.
pub(crate) fn read(map: &FactMap) -> Facts {
    let mut facts = Facts::default();
    for (name, value) in map {
        let value = match value {
            Value::Number(number) => number.as_u64().map(FactValue::Number),
            Value::Bool(flag) => Some(FactValue::Flag(*flag)),
            Value::String(text) => Some(FactValue::Text(text.clone())),
            _ => None,
        };
        // What does not fit any more is as good as unknown.
        let _ = value.map(|value| facts.set(name, value));
    }
    facts
}

/// The facts that a finding rests on.
pub fn facts_of(finding: &Finding) -> Facts {
    read(&finding.facts)
}

/// The work of these runbooks as one, or why it cannot be done now.
pub fn answer(runbooks: &str, facts: &Facts) -> Result<Answer, String> {
    let mut works: Vec<Planned> = Vec::new();
    for id in ids(runbooks) {
        let row = runbook(id).ok_or_else(|| format!("no runbook is called \"{id}\""))?;
        works.push(row.plan(facts).map_err(|error| error.to_string())?);
    }
    let planned = together(works).map_err(|error| error.to_string())?;
    let no_word = |error: instance_contract::InvalidName| error.to_string();
    Ok(Answer {
        runbooks: planned.runbooks.iter().map(|id| (*id).to_owned()).collect(),
        cures: planned.cures,
        error_type: planned.error_type.as_str().parse().map_err(no_word)?,
        priority: planned.priority.as_str().parse().map_err(no_word)?,
        action: planned.action.clone(),
        work: work::of(&planned)?,
        success_signs: planned.success_signs.iter().map(|sign| (*sign).to_owned()).collect(),
    })
}

fn ids(runbooks: &str) -> impl Iterator<Item = &str> {
    runbooks.split(AND)
}

impl Answer {
    /// All its runbooks in one word, as a finding names them.
    pub(crate) fn name(&self) -> String {
        self.runbooks.join("+")
    }

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
    Some(answer(runbook, &read(&finding.facts)).ok()?.command(finding, *command_id, false))
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
