//! The graph form: steps with dependencies, checked before anything runs.

use std::collections::{BTreeMap, BTreeSet};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::simple::Parameters;
use crate::{
    action::{Action, RestartInstance},
    decode::Fault,
    ids::StepId,
    words::{TimeoutSeconds, Tool},
};

/// The most steps in one command.
pub const MAX_STEPS: usize = 64;

/// One step as asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StepRequest {
    pub id: StepId,
    pub tool: Tool,
    pub action: Action,
    pub depends_on: Vec<StepId>,
    pub timeout_seconds: Option<TimeoutSeconds>,
    /// May the step be tried again after a transient failure?
    pub retry: bool,
}

/// Steps that form a graph. Invariant: 1 to 64 steps, ids unique, dependencies known, no cycle.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StepGraph(Vec<StepRequest>);

/// JSON form of a step.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(title = "Step")]
pub struct StepWire {
    pub id: StepId,
    pub tool: Tool,
    /// As in the simple form, for this tool alone.
    pub parameters: Parameters,
    /// Ids of the steps that must have succeeded before.
    #[serde(default)]
    #[schemars(length(max = 63))]
    pub depends_on: Vec<StepId>,
    /// Overrides the command's limit for this step, in seconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeout_seconds: Option<TimeoutSeconds>,
    /// May be tried again after a transient failure. Default true.
    #[serde(default = "yes")]
    pub retry: bool,
}

fn yes() -> bool {
    true
}

impl StepGraph {
    /// Checks the graph as a whole; every fault is told.
    pub fn new(steps: Vec<StepRequest>) -> Result<Self, Vec<Fault>> {
        let mut faults = Vec::new();
        if steps.is_empty() || steps.len() > MAX_STEPS {
            faults.push(Fault::new("steps", steps.len(), format!("must hold 1 to {MAX_STEPS} steps")));
        }
        let mut known = BTreeSet::new();
        for (index, step) in steps.iter().enumerate() {
            if !known.insert(&step.id) {
                faults.push(Fault::new(
                    format!("steps[{index}].id"),
                    &step.id,
                    "must be unique in the command",
                ));
            }
            if step.id.as_str() == "verify" || step.id.as_str().ends_with("-undo") {
                let rule = "\"verify\" and names ending in \"-undo\" are kept for the router";
                faults.push(Fault::new(format!("steps[{index}].id"), &step.id, rule));
            }
        }
        for (index, step) in steps.iter().enumerate() {
            for dependency in &step.depends_on {
                let field = format!("steps[{index}].depends_on");
                if dependency == &step.id {
                    faults.push(Fault::new(field, dependency, "a step may not depend on itself"));
                } else if !known.contains(dependency) {
                    faults.push(Fault::new(field, dependency, "must name a step of this command"));
                }
            }
        }
        faults.extend(shared_parameters(&steps));
        if faults.is_empty() {
            faults.extend(cycle(&steps));
        }
        if faults.is_empty() { Ok(Self(steps)) } else { Err(faults) }
    }

    pub fn steps(&self) -> &[StepRequest] {
        &self.0
    }

    pub(super) fn into_wire(self) -> Vec<StepWire> {
        self.0.into_iter().map(StepWire::from).collect()
    }
}

impl From<StepRequest> for StepWire {
    fn from(step: StepRequest) -> Self {
        let parameters = match step.action {
            Action::SetCpf(set) => Parameters::Config(set),
            Action::ChangeCpf(change) => Parameters::Changes(change),
            Action::SetKernel(set) => Parameters::Kernel(set),
            Action::CheckLicense(check) => Parameters::License(check),
            Action::Restart(restart) => Parameters::Restart(restart),
            // Never asked for.
            Action::Verify(_) | Action::Undo(_) => Parameters::Restart(RestartInstance::default()),
        };
        Self {
            id: step.id,
            tool: step.tool,
            parameters,
            depends_on: step.depends_on,
            timeout_seconds: step.timeout_seconds,
            retry: step.retry,
        }
    }
}

/// Several changes are forecast together, so no other step may touch their parameters: nobody could tell what each
/// of them would find.
fn shared_parameters(steps: &[StepRequest]) -> Option<Fault> {
    let parameters = |step: &StepRequest| -> Vec<(String, String)> {
        match &step.action {
            Action::SetCpf(set) => vec![(set.cpf_section.clone(), set.parameter.clone())],
            Action::ChangeCpf(change) => {
                let names = change.parameters().into_iter();
                names.map(|(section, name)| (section.to_owned(), name.to_owned())).collect()
            }
            _ => Vec::new(),
        }
    };
    let several = steps.iter().enumerate().filter(|(_, step)| matches!(step.action, Action::ChangeCpf(_)));
    several.into_iter().find_map(|(index, step)| {
        let own = parameters(step);
        let others = steps.iter().enumerate().filter(|(other, _)| *other != index);
        let twice = others.flat_map(|(_, other)| parameters(other)).find(|name| own.contains(name))?;
        let rule = "is changed by another step too; put all changes of a parameter into one step";
        let field = format!("steps[{index}].parameters.changes");
        Some(Fault::new(field, format!("[{}] {}", twice.0, twice.1), rule))
    })
}

/// Takes away steps whose predecessors are gone until none can be taken; what is left lies on or behind a cycle.
fn cycle(steps: &[StepRequest]) -> Option<Fault> {
    let mut waiting: BTreeMap<&StepId, &[StepId]> =
        steps.iter().map(|step| (&step.id, step.depends_on.as_slice())).collect();
    loop {
        let free: Vec<&StepId> = waiting
            .iter()
            .filter(|(_, needs)| !needs.iter().any(|need| waiting.contains_key(need)))
            .map(|(id, _)| *id)
            .collect();
        if free.is_empty() {
            break;
        }
        for id in free {
            waiting.remove(id);
        }
    }
    if waiting.is_empty() {
        return None;
    }
    let names: Vec<&str> = waiting.keys().map(|id| id.as_str()).collect();
    Some(Fault::new("steps", names.join(", "), "dependencies must not form a cycle"))
}
