//! What the router asks agents before it plans. Not stored: request and reply.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    action::Action,
    failure::Failure,
    ids::{InstanceName, StepId},
    words::AgentKind,
};

/// Which question.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum AskKind {
    /// What is true of the instance now?
    Facts,
    /// What would this action change?
    Plan,
    /// What became of this step? (From the ledger, and from the world where the ledger has only an intent.)
    Probe,
}

impl AskKind {
    pub const ALL: [Self; 3] = [Self::Facts, Self::Plan, Self::Probe];

    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Facts => "facts",
            Self::Plan => "plan",
            Self::Probe => "probe",
        }
    }
}

/// The question behind a dry run: all that one agent is asked about one command. The reply is one [`ForecastReply`]
/// for each action, in order.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PlanQuestion {
    pub instance: InstanceName,
    pub actions: Vec<Action>,
}

/// An agent's forecast of one action, exact to the byte.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Forecast {
    pub target: String,
    pub before: String,
    pub after: String,
    /// Does the change need a restart of the instance to take effect, and why (or why not)?
    pub needs_restart: bool,
    /// The instance runs and can take this one value up at once, by a merge. The planner has it done so where no
    /// restart follows.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub may_be_live: bool,
    pub restart_reason: String,
    /// Must a person agree, whatever policy says about the tool?
    pub dangerous: bool,
    /// The version of a CPF that nobody has described: policy decides whether such a file is changed at all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unknown_version: Option<String>,
    pub warnings: Vec<String>,
}

/// The reply to one action of a [`PlanQuestion`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum ForecastReply {
    /// This is what would change.
    Would(Forecast),
    /// The action changes nothing by nature (license, verify).
    ReadOnly { warnings: Vec<String> },
    /// The action would be refused or cannot be forecast now.
    Wont(Failure),
}

/// What is true now, taken at one time, as planning sees it: one answer a step, and facts by agent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Default, JsonSchema)]
pub struct Facts {
    pub forecasts: BTreeMap<StepId, ForecastReply>,
    /// Host of each agent that serves the instance.
    pub hosts: BTreeMap<AgentKind, crate::ids::HostName>,
    /// When they were taken. `None` where time does not matter (a forecast by hand).
    #[serde(default)]
    #[schemars(with = "Option<String>", extend("format" = "date-time"))]
    pub taken_at: Option<jiff::Timestamp>,
    /// When the instance was restarted by us in the last 24 hours, from the remediation log.
    #[serde(default)]
    #[schemars(with = "Vec<String>")]
    pub restarts: Vec<jiff::Timestamp>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_reply_reads_as_it_was_written() {
        let forecast = Forecast {
            unknown_version: None,
            target: "cpf [config] globals".to_owned(),
            before: "a".to_owned(),
            after: "b".to_owned(),
            needs_restart: true,
            may_be_live: false,
            restart_reason: "read at start".to_owned(),
            dangerous: false,
            warnings: vec!["careful".to_owned()],
        };
        let replies = [
            ForecastReply::Would(forecast),
            ForecastReply::ReadOnly { warnings: Vec::new() },
            ForecastReply::Wont(Failure::refused("current_value_differs", "it is another one")),
            ForecastReply::Wont(Failure::transient("busy", "later")),
        ];
        for reply in replies {
            let text = serde_json::to_string(&reply).unwrap();
            assert_eq!(serde_json::from_str::<ForecastReply>(&text).unwrap(), reply, "{text}");
        }
    }
}
