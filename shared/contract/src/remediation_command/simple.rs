//! The simple form: an order of tools and one set of parameters.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::graph::StepRequest;
use crate::{
    action::{Action, ChangeCpf, LicenseCheck, RestartInstance, SetCpf, SetKernel},
    ids::StepId,
    words::Tool,
};

/// The legal mixtures of tools and parameters; anything else is refused at the door.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SimpleWork {
    Config { set: SetCpf, restart: bool },
    Change { change: ChangeCpf, restart: bool },
    Kernel { set: SetKernel, restart: bool },
    License(LicenseCheck),
    Restart(RestartInstance),
}

/// `parameters` of the simple form, by what the tools are.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum Parameters {
    Config(SetCpf),
    Changes(ChangeCpf),
    Kernel(SetKernel),
    License(LicenseCheck),
    Restart(RestartInstance),
}

impl SimpleWork {
    pub fn execution_order(&self) -> Vec<Tool> {
        self.steps().iter().map(|step| step.tool).collect()
    }

    pub(super) fn parameters(&self) -> Parameters {
        match self {
            Self::Config { set, .. } => Parameters::Config(set.clone()),
            Self::Change { change, .. } => Parameters::Changes(change.clone()),
            Self::Kernel { set, .. } => Parameters::Kernel(set.clone()),
            Self::License(check) => Parameters::License(check.clone()),
            Self::Restart(restart) => Parameters::Restart(*restart),
        }
    }

    /// One step a tool, each after the one before.
    pub(super) fn steps(&self) -> Vec<StepRequest> {
        let restart = Action::Restart(RestartInstance::default());
        let actions = match self {
            Self::Config { set, restart: false } => vec![Action::SetCpf(set.clone())],
            Self::Config { set, restart: true } => vec![Action::SetCpf(set.clone()), restart],
            Self::Change { change, restart: false } => vec![Action::ChangeCpf(change.clone())],
            Self::Change { change, restart: true } => vec![Action::ChangeCpf(change.clone()), restart],
            Self::Kernel { set, restart: false } => vec![Action::SetKernel(set.clone())],
            Self::Kernel { set, restart: true } => vec![Action::SetKernel(set.clone()), restart],
            Self::License(check) => vec![Action::CheckLicense(check.clone())],
            Self::Restart(restart) => vec![Action::Restart(*restart)],
        };
        let mut steps: Vec<StepRequest> = Vec::new();
        for action in actions {
            let (name, tool) = match &action {
                Action::SetKernel(_) => ("os", Tool::OsConfig),
                Action::Restart(_) => ("restart", Tool::IrisRestart),
                _ => ("config", Tool::IrisConfig),
            };
            let id: StepId = name.parse().expect("step names above are legal");
            let depends_on = steps.last().map(|step| step.id.clone()).into_iter().collect();
            steps.push(StepRequest { id, tool, action, depends_on, timeout_seconds: None, retry: true });
        }
        steps
    }
}
