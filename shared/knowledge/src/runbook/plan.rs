//! A runbook made concrete: facts in, work out, or why not.

use super::change::{Change, Target};
use super::formula::{Computed, NoValue};
use super::{Priority, Runbook, StepRow};
use crate::error_type::ErrorType;
use crate::facts::{self, Facts};
use crate::given::Given;

/// What is to be asked of the agents, complete: nothing is left to decide.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Work {
    /// The runbooks that it comes from.
    pub runbooks: Vec<&'static str>,
    /// The conditions that it answers.
    pub conditions: Vec<&'static str>,
    /// False when it only looks, and a person has to do the rest.
    pub cures: bool,
    /// The `error_type` of the command.
    pub error_type: ErrorType,
    /// The `recommended_action` of the command, 1 to 200 characters.
    pub action: String,
    /// The `priority` of the command.
    pub priority: Priority,
    /// 1 to 64 steps, each after those that it depends on, at most one of them a restart.
    pub steps: Vec<Step>,
    /// What is seen when it has worked.
    pub success_signs: Vec<&'static str>,
    /// Conditions that it may bring about itself.
    pub may_cause: Vec<&'static str>,
}

/// One step of the work.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    /// Unique in the work.
    pub id: String,
    /// What it does.
    pub change: Change,
    /// Steps that must have succeeded before.
    pub depends_on: Vec<String>,
}

/// Why a runbook is not the answer now. A person has to decide then.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NotApplicable {
    /// Something that must be so is not, or nobody knows.
    #[error("runbook \"{runbook}\": {why}")]
    Precondition {
        /// The runbook.
        runbook: &'static str,
        /// The fact that decided it.
        fact: String,
        /// What it means.
        why: String,
    },
    /// A value could not be computed.
    #[error("runbook \"{runbook}\", step \"{step}\": {source}")]
    NoValue {
        /// The runbook.
        runbook: &'static str,
        /// The step that needs it.
        step: String,
        /// Why not.
        #[source]
        source: NoValue,
    },
    /// What it would set is set already, so the cause is another one.
    #[error("runbook \"{runbook}\", step \"{step}\": {why}, so the cause is another one")]
    AlreadySo {
        /// The runbook.
        runbook: &'static str,
        /// The step that would have changed it.
        step: String,
        /// Both figures, in words.
        why: String,
    },
}

impl Runbook {
    /// What is to be done, given these facts.
    ///
    /// # Errors
    /// Why it is not the answer now: a precondition that does not hold, a fact that is not known, a bound that would be
    /// passed, a value that is there already.
    pub fn plan(&'static self, facts: &Facts) -> Result<Work, NotApplicable> {
        if let Some(given) = self.precondition.iter().find(|given| !given.holds(facts)) {
            let (fact, why) = (given.fact.clone(), given.why.clone());
            return Err(NotApplicable::Precondition { runbook: &self.id, fact, why });
        }
        let mut steps: Vec<Step> = Vec::new();
        for row in &self.step {
            if let Some(change) = self.change(row, facts)? {
                let there = |id: &&String| steps.iter().any(|step| &step.id == *id);
                let depends_on = row.depends_on.iter().filter(there).cloned().collect();
                steps.push(Step { id: row.id.clone(), change, depends_on });
            }
        }
        let all = |texts: &'static [String]| texts.iter().map(String::as_str).collect();
        Ok(Work {
            runbooks: vec![&self.id],
            conditions: all(&self.conditions),
            cures: self.cures,
            error_type: self.error_type,
            action: self.action.clone(),
            priority: self.priority,
            steps,
            success_signs: all(&self.verification.success_signs),
            may_cause: all(&self.verification.may_cause),
        })
    }

    /// The facts that it may ask for, by name; for gathering no more than is needed.
    pub fn facts_needed(&self) -> Vec<&str> {
        let of_steps = self.step.iter().flat_map(|step| {
            let tests = step.only_if.iter().flatten().flat_map(Given::facts);
            tests.chain(step.formula.facts()).chain(step.target.present_value())
        });
        let mut names: Vec<&str> = self.precondition.iter().flat_map(Given::facts).chain(of_steps).collect();
        names.sort_unstable();
        names.dedup();
        names
    }

    /// The change of a step; `None` where it is left out.
    fn change(&'static self, row: &StepRow, facts: &Facts) -> Result<Option<Change>, NotApplicable> {
        let may_be_left_out = row.only_if.is_some();
        if row.only_if.iter().flatten().any(|given| !given.holds(facts)) {
            return Ok(None);
        }
        let (runbook, step) = (self.id.as_str(), row.id.clone());
        let computed = row.formula.compute(facts).map_err(|source| NotApplicable::NoValue {
            runbook,
            step: step.clone(),
            source,
        })?;
        let new_value = match computed {
            Computed::Value(value) => Some(value),
            Computed::Nothing => None,
            Computed::Enough { .. } if may_be_left_out => return Ok(None),
            Computed::Enough { why } => return Err(NotApplicable::AlreadySo { runbook, step, why }),
        };
        let present = row.target.present_value().and_then(|name| facts.get(name)).map(ToString::to_string);
        if let Some(value) = new_value.as_ref().filter(|value| Some(*value) == present.as_ref()) {
            let why = format!("{} is {value} already", row.target.label());
            return if may_be_left_out {
                Ok(None)
            } else {
                Err(NotApplicable::AlreadySo { runbook, step, why })
            };
        }
        Ok(Some(match (&row.target, new_value) {
            (Target::Cpf { section, parameter }, value) => Change::SetCpf {
                section: section.clone(),
                parameter: parameter.clone(),
                new_value: value.expect("the rows are checked: a value of the CPF has a formula"),
                current_value: present,
            },
            (Target::Kernel { name }, value) => Change::SetKernel {
                name: name.clone(),
                new_value: value.expect("the rows are checked: a kernel value has a formula"),
            },
            (Target::License { action }, _) => Change::CheckLicense { action: action.clone() },
            (Target::Instance, _) => Change::Restart,
        }))
    }
}

impl Target {
    /// The fact that holds its present value, when there is one.
    pub(super) fn present_value(&self) -> Option<&'static str> {
        let holds = |row: &&facts::Fact| match (self, &row.asked) {
            (Self::Cpf { section, parameter }, Some(asked)) => asked
                .cpf
                .as_ref()
                .is_some_and(|name| name.section == *section && name.parameter == *parameter),
            (Self::Kernel { name }, Some(asked)) => asked.pointer == format!("/parameters/{name}/value"),
            _ => false,
        };
        facts::facts().iter().find(holds).map(|row| row.name.as_str())
    }
}
