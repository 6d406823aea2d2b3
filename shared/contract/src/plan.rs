//! A plan: a command made concrete. Immutable, and so specific that execution has no choices left.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    action::Action,
    ids::{Digest, HostName, StepId},
    words::{AgentKind, TimeoutSeconds},
};

/// One change as forecast, or as done: what, from, to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Change {
    pub step: StepId,
    /// E.g. `cpf [config] globals`, `kernel vm.nr_hugepages`, `instance PROD`.
    pub target: String,
    pub before: String,
    pub after: String,
}

/// How much can go wrong with a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Risk {
    /// Reads only.
    Low,
    /// A file that IRIS reads.
    Medium,
    /// The kernel, or a restart.
    High,
}

/// One line of a plan, done by one agent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct PlannedStep {
    pub id: StepId,
    pub agent: AgentKind,
    /// Where the agent runs that serves the instance.
    pub host: HostName,
    pub action: Action,
    pub depends_on: Vec<StepId>,
    /// Time limit of one attempt in seconds, counted from the agent's start of work.
    pub limit_seconds: u32,
    pub retry: bool,
    pub risk: Risk,
    /// `None` for steps that change nothing.
    pub change: Option<Change>,
    /// Why the step is there, for people.
    pub reason: String,
}

/// What a plan says of a step, for people.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct StepOutline {
    pub step_id: StepId,
    pub agent: AgentKind,
    pub risk: Risk,
    pub reason: String,
}

/// What to do, completely.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Plan {
    /// In an order in which they may run; `verify` is the last.
    pub steps: Vec<PlannedStep>,
    /// SHA-256 of the changes; an approval names it, and drift is measured by it.
    pub digest: Digest,
    /// Steps that a person must agree to, with the reason of each.
    pub approvals: Vec<(StepId, String)>,
    pub warnings: Vec<String>,
}

impl Risk {
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Low => "low",
            Self::Medium => "medium",
            Self::High => "high",
        }
    }
}

impl fmt::Display for Risk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl Plan {
    /// The changes in order.
    pub fn changes(&self) -> Vec<&Change> {
        self.steps.iter().filter_map(|step| step.change.as_ref()).collect()
    }

    /// SHA-256 over the canonical JSON (keys sorted, no blanks) of the ordered list {after, before, step, target}.
    pub fn digest_of(changes: &[&Change]) -> Digest {
        let list: Vec<_> = changes
            .iter()
            .map(|change| {
                // serde_json keeps this order; it is the sorted one.
                serde_json::json!({
                    "after": change.after, "before": change.before, "step": change.step, "target": change.target,
                })
            })
            .collect();
        Digest::of(serde_json::Value::from(list).to_string().as_bytes())
    }

    /// Risk and reason of each step, in order.
    pub fn outline(&self) -> Vec<StepOutline> {
        let outline = |step: &PlannedStep| StepOutline {
            step_id: step.id.clone(),
            agent: step.agent,
            risk: step.risk,
            reason: step.reason.clone(),
        };
        self.steps.iter().map(outline).collect()
    }

    pub fn step(&self, id: &StepId) -> Option<&PlannedStep> {
        self.steps.iter().find(|step| &step.id == id)
    }
}

impl PlannedStep {
    /// Limit of an attempt: that of the step, of the command, or of the tool, in this order.
    pub fn limit(step: Option<TimeoutSeconds>, command: TimeoutSeconds, tool_default: u32) -> u32 {
        match step {
            Some(limit) => limit.get(),
            None if command == TimeoutSeconds::DEFAULT => tool_default,
            None => command.get(),
        }
    }
}
