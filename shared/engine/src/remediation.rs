//! One remediation: the fold of its records.

use std::{collections::BTreeMap, sync::Arc};

use instance_contract::{
    Accepted, ApprovalAnswered, ApprovalAsked, Attempt, Ended, Fault, InstanceName, Plan, Planned, Priority,
    RemediationId, StepCommand, StepId, Token, ToolResult, subject::RecordKind,
};
use instance_planner::Policy;
use jiff::Timestamp;

use crate::step_state::{CLOCK_SKEW, StepState};

/// A record of the remediation log, in its type.
#[derive(Debug, Clone, PartialEq)]
pub enum Record {
    Accepted(Accepted),
    Planned(Planned),
    Step(StepCommand),
    Result(ToolResult),
    ApprovalAsked(ApprovalAsked),
    ApprovalAnswered(ApprovalAnswered),
    /// An answer to an approval that nobody can read. It stands where only one can stand, so it counts: as no.
    Illegible(Illegible),
    Ended(Ended),
}

/// The bytes of a record that is not what its subject says, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Illegible {
    pub bytes: Vec<u8>,
    pub why: String,
}

/// The answer to an approval, as it stands in the log.
#[derive(Debug, Clone, PartialEq)]
pub struct Answer {
    /// When the log took it: the time that the expiry is held to, whatever the answer says itself.
    pub at: Timestamp,
    /// What it says, or why it cannot be read.
    pub says: Result<ApprovalAnswered, String>,
}

/// A record that is not what its subject says.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("record \"{kind}\" is not readable: {why}")]
pub struct Unreadable {
    pub kind: String,
    pub why: String,
}

/// A remediation and everything that is known about it.
#[derive(Debug, Clone, PartialEq)]
pub struct Remediation {
    pub accepted: Accepted,
    /// Place in the log; first come, first served inside a priority.
    pub sequence: u64,
    pub policy: Arc<Policy>,
    pub plan: Option<Plan>,
    pub steps: BTreeMap<StepId, StepState>,
    pub asked: BTreeMap<u32, ApprovalAsked>,
    pub answered: BTreeMap<u32, Answer>,
    /// The highest token that any of its steps carries.
    pub token: Option<Token>,
    pub ended: Option<Ended>,
    /// End of the subject of the newest record of an agent or a person, for `because`.
    pub newest: String,
    newest_at: u64,
    /// Results heard before the plan that says who may answer.
    early: Vec<(StepId, Attempt, Timestamp, u64, ToolResult)>,
}

/// Where a remediation stands, in one word.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// Behind another remediation of its instance, or not planned yet.
    Queued,
    WaitingApproval,
    Running,
    Unwinding,
    Ended,
}

impl Phase {
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Queued => "queued",
            Self::WaitingApproval => "waiting_approval",
            Self::Running => "running",
            Self::Unwinding => "unwinding",
            Self::Ended => "ended",
        }
    }
}

impl Record {
    /// From the bytes of a log message, by the kind that its subject names.
    pub fn decode(kind: &RecordKind, bytes: &[u8]) -> Result<Self, Unreadable> {
        fn read<T: serde::de::DeserializeOwned>(kind: &RecordKind, bytes: &[u8]) -> Result<T, Unreadable> {
            serde_json::from_slice(bytes)
                .map_err(|error| Unreadable { kind: kind.to_string(), why: error.to_string() })
        }
        Ok(match kind {
            RecordKind::Accepted => Self::Accepted(read(kind, bytes)?),
            RecordKind::Planned => Self::Planned(read(kind, bytes)?),
            RecordKind::Step { .. } => Self::Step(read(kind, bytes)?),
            RecordKind::Result { .. } => Self::Result(read(kind, bytes)?),
            RecordKind::ApprovalAsked(_) => Self::ApprovalAsked(read(kind, bytes)?),
            RecordKind::ApprovalAnswered(_) => match read(kind, bytes) {
                Ok(answered) => Self::ApprovalAnswered(answered),
                Err(Unreadable { why, .. }) => Self::Illegible(Illegible { bytes: bytes.to_vec(), why }),
            },
            RecordKind::Ended => Self::Ended(read(kind, bytes)?),
        })
    }

    /// As the bytes of a log message.
    pub fn encode(&self) -> Vec<u8> {
        let bytes = match self {
            Self::Accepted(record) => serde_json::to_vec(record),
            Self::Planned(record) => serde_json::to_vec(record),
            Self::Step(record) => serde_json::to_vec(record),
            Self::Result(record) => serde_json::to_vec(record),
            Self::ApprovalAsked(record) => serde_json::to_vec(record),
            Self::ApprovalAnswered(record) => serde_json::to_vec(record),
            Self::Illegible(record) => return record.bytes.clone(),
            Self::Ended(record) => serde_json::to_vec(record),
        };
        bytes.expect("records hold only what JSON can say")
    }
}

impl Remediation {
    /// Every fold begins with `accepted`; records without one are ignored.
    pub fn begin(accepted: Accepted, sequence: u64) -> Self {
        Self::under(Self::policy_of(&accepted), accepted, sequence)
    }

    /// The text was written by us from a checked policy; an unreadable one means the strictest rules.
    pub(crate) fn policy_of(accepted: &Accepted) -> Arc<Policy> {
        Arc::new(Policy::from_toml(&accepted.policy).unwrap_or_default())
    }

    /// As [`Remediation::begin`], when the policy has been read already.
    pub(crate) fn under(policy: Arc<Policy>, accepted: Accepted, sequence: u64) -> Self {
        let plan = accepted.plan.clone();
        Self {
            accepted,
            sequence,
            policy,
            plan,
            steps: BTreeMap::new(),
            asked: BTreeMap::new(),
            answered: BTreeMap::new(),
            token: None,
            ended: None,
            newest: RecordKind::Accepted.to_string(),
            newest_at: sequence,
            early: Vec::new(),
        }
    }

    /// From all records of one remediation, in the order of the log. `None` without `accepted`.
    pub fn replay(records: impl IntoIterator<Item = (RecordKind, Timestamp, u64, Record)>) -> Option<Self> {
        Self::fold_all(records, Self::begin)
    }

    pub(crate) fn fold_all(
        records: impl IntoIterator<Item = (RecordKind, Timestamp, u64, Record)>,
        begin: impl Fn(Accepted, u64) -> Self,
    ) -> Option<Self> {
        let mut before: Vec<(RecordKind, Timestamp, u64, Record)> = Vec::new();
        let mut remediation: Option<Self> = None;
        for (kind, at, sequence, record) in records {
            match (&mut remediation, record) {
                (Some(remediation), record) => remediation.fold(&kind, at, sequence, record),
                (None, Record::Accepted(accepted)) => remediation = Some(begin(accepted, sequence)),
                (None, record) => before.push((kind, at, sequence, record)),
            }
        }
        if let Some(remediation) = &mut remediation {
            for (kind, at, sequence, record) in before {
                remediation.fold(&kind, at, sequence, record);
            }
        }
        remediation
    }

    /// Forget what only the log needs: the text of the policy, and the facts and the second copy of the plan.
    pub(crate) fn slim(&mut self) {
        self.accepted.policy = String::new();
        self.accepted.plan = None;
        self.accepted.facts = None;
    }

    /// Take one more record in. The same record twice changes nothing.
    pub fn fold(&mut self, kind: &RecordKind, at: Timestamp, sequence: u64, record: Record) {
        match (kind, record) {
            (RecordKind::Planned, Record::Planned(planned)) => {
                self.plan.get_or_insert(planned.plan);
                for (step, attempt, at, sequence, result) in std::mem::take(&mut self.early) {
                    self.answer(&step, attempt, at, sequence, result);
                }
            }
            (RecordKind::Step { step, attempt }, Record::Step(command)) => {
                self.token = self.token.max(Some(command.token));
                let unskewed = self.policy.mutant("engine.clock-skew-ignored");
                let not_after = if unskewed { command.not_after - CLOCK_SKEW } else { command.not_after };
                self.steps.entry(step.clone()).or_default().sent(*attempt, not_after);
            }
            (RecordKind::Result { step, attempt }, Record::Result(result)) => {
                self.hears(kind, sequence);
                if self.plan.is_some() {
                    self.answer(step, *attempt, at, sequence, result);
                } else {
                    self.early.push((step.clone(), *attempt, at, sequence, result));
                }
            }
            (RecordKind::ApprovalAsked(k), Record::ApprovalAsked(asked)) => {
                self.asked.entry(*k).or_insert(asked);
            }
            (RecordKind::ApprovalAnswered(k), Record::ApprovalAnswered(answered)) => {
                self.hears(kind, sequence);
                self.answered.entry(*k).or_insert(Answer { at, says: Ok(answered) });
            }
            (RecordKind::ApprovalAnswered(k), Record::Illegible(Illegible { why, .. })) => {
                self.hears(kind, sequence);
                self.answered.entry(*k).or_insert(Answer { at, says: Err(why) });
            }
            (RecordKind::Ended, Record::Ended(ended)) => {
                self.ended.get_or_insert(ended);
            }
            _ => {}
        }
    }

    fn hears(&mut self, kind: &RecordKind, sequence: u64) {
        if sequence > self.newest_at {
            self.newest = kind.to_string();
            self.newest_at = sequence;
        }
    }

    fn answer(&mut self, step: &StepId, attempt: Attempt, at: Timestamp, sequence: u64, result: ToolResult) {
        if self.disbelieves(step, attempt, &result).is_none() {
            self.steps.entry(step.clone()).or_default().answered(attempt, at, sequence, result);
        }
    }

    /// Why a result does not count: it does when it is about this step and attempt, and comes from the agent that the
    /// plan names. `None` also while there is no plan to hold it to.
    pub fn disbelieves(&self, step: &StepId, attempt: Attempt, result: &ToolResult) -> Option<Fault> {
        let plan = self.plan.as_ref()?;
        let mut steps = plan.steps.iter();
        let Some(planned) = steps.find(|planned| &planned.id == step || &planned.id.undo() == step) else {
            return Some(Fault::new("step_id", step, "must be a step of the plan"));
        };
        let (agent, host) = (planned.agent.as_str(), &planned.host);
        let rules = [
            ("remediation_id", result.remediation_id.to_string(), self.id().to_string()),
            ("step_id", result.step_id.to_string(), step.to_string()),
            ("attempt", result.attempt.to_string(), attempt.to_string()),
            ("agent.name", result.agent.name.clone(), agent.to_owned()),
            ("agent.host", result.agent.host.to_string(), host.to_string()),
        ];
        let (field, value, wanted) = rules.into_iter().find(|(_, value, wanted)| value != wanted)?;
        Some(Fault::new(field, value, format!("must be {wanted}, as the plan and the subject say")))
    }

    pub fn id(&self) -> RemediationId {
        self.accepted.remediation_id
    }

    pub fn instance(&self) -> &InstanceName {
        &self.accepted.command.instance
    }

    pub fn priority(&self) -> Priority {
        self.accepted.command.priority
    }

    /// Has an agent been told to do anything?
    pub fn is_begun(&self) -> bool {
        self.steps.values().any(StepState::is_begun)
    }

    pub fn phase(&self) -> Phase {
        let undoing = self.steps.keys().any(|step| step.as_str().ends_with("-undo"));
        if self.ended.is_some() {
            Phase::Ended
        } else if undoing {
            Phase::Unwinding
        } else if self.asked.len() > self.answered.len() {
            Phase::WaitingApproval
        } else if self.is_begun() {
            Phase::Running
        } else {
            Phase::Queued
        }
    }
}
