//! What became of one step, folded from its attempts.

use std::collections::BTreeMap;

use instance_contract::{Attempt, StepStatus, ToolResult};
use jiff::{SignedDuration, Timestamp};

/// Clocks of router and agent may differ by this much.
pub(crate) const CLOCK_SKEW: SignedDuration = SignedDuration::from_secs(30);

/// One step of a remediation. Invariant: attempts are numbered from 1 without a gap.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct StepState {
    attempts: BTreeMap<Attempt, Try>,
}

#[derive(Debug, Clone, PartialEq)]
struct Try {
    not_after: Option<Timestamp>,
    /// When it was answered, and how.
    answer: Option<(Timestamp, u64, ToolResult)>,
}

/// Where a step stands.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Standing<'a> {
    /// Not sent yet.
    Waiting,
    /// Sent, and neither answered nor given up.
    Running { until: Timestamp },
    /// Answered: by the first success, else by the newest attempt.
    Answered { at: Timestamp, attempt: Attempt, result: &'a ToolResult },
    /// The newest attempt was never answered, and no answer can come any more.
    Lost { attempt: Attempt },
}

impl StepState {
    pub(crate) fn sent(&mut self, attempt: Attempt, not_after: Timestamp) {
        self.entry(attempt).not_after = Some(not_after);
    }

    /// A result counts even when the command that led to it has not been read yet.
    pub(crate) fn answered(&mut self, attempt: Attempt, at: Timestamp, sequence: u64, result: ToolResult) {
        self.entry(attempt).answer.get_or_insert((at, sequence, result));
    }

    fn entry(&mut self, attempt: Attempt) -> &mut Try {
        self.attempts.entry(attempt).or_insert(Try { not_after: None, answer: None })
    }

    /// Was anything sent at all?
    pub(crate) fn is_begun(&self) -> bool {
        !self.attempts.is_empty()
    }

    pub(crate) fn standing(&self, now: Timestamp) -> Standing<'_> {
        let first_success = self.attempts.iter().find_map(|(attempt, each)| match &each.answer {
            Some((at, _, result)) if is_done(result.status) => Some((*attempt, *at, result)),
            _ => None,
        });
        if let Some((attempt, at, result)) = first_success {
            return Standing::Answered { at, attempt, result };
        }
        let Some((attempt, newest)) = self.attempts.last_key_value() else {
            return Standing::Waiting;
        };
        match (&newest.answer, newest.not_after) {
            (Some((at, _, result)), _) => Standing::Answered { at: *at, attempt: *attempt, result },
            (None, Some(not_after)) if now <= not_after + CLOCK_SKEW => {
                Standing::Running { until: not_after + CLOCK_SKEW }
            }
            (None, _) => Standing::Lost { attempt: *attempt },
        }
    }

    /// The result that settles the step, and where it stands in the log.
    pub(crate) fn settled(&self, now: Timestamp) -> Option<(u64, &ToolResult)> {
        let Standing::Answered { attempt, result, .. } = self.standing(now) else { return None };
        self.attempts[&attempt].answer.as_ref().map(|(_, sequence, _)| (*sequence, result))
    }
}

/// Done for good, whatever later attempts say.
pub(crate) const fn is_done(status: StepStatus) -> bool {
    matches!(status, StepStatus::Success | StepStatus::Undone)
}
