//! From what happened to the ToolResult that tells of it.

use std::{collections::BTreeMap, time::Duration};

use instance_contract::{
    Action, AgentInfo, AppliedChange, Cause, Failure, HostName, StepCommand, StepStatus, ToolResult,
    Verification,
};

use crate::{
    agent::{Applied, Prepared},
    decide::Refusal,
};

/// In bytes: a result must fit into a message and keep the contract (4,096 for a value), whatever an instance or a file of
/// it says.
const LONGEST_VALUE: usize = 4_000;
const LONGEST_WARNING: usize = 500;
const MOST_WARNINGS: usize = 100;

/// What came of one attempt, without who, when and how long.
#[derive(Debug, Clone)]
pub struct Outcome {
    pub status: StepStatus,
    changes: BTreeMap<String, AppliedChange>,
    cause: Option<Cause>,
    retryable: bool,
    requires_user_action: bool,
    rollback_available: bool,
    warnings: Vec<String>,
}

impl Outcome {
    fn plain(status: StepStatus) -> Self {
        Self {
            status,
            changes: BTreeMap::new(),
            cause: None,
            retryable: false,
            requires_user_action: false,
            rollback_available: false,
            warnings: Vec::new(),
        }
    }

    fn because(status: StepStatus, cause: Cause) -> Self {
        Self { cause: Some(cause), ..Self::plain(status) }
    }

    /// `wanted` is the status when every value was read back as it was written.
    pub fn applied(applied: Applied, wanted: StepStatus) -> Self {
        let validated = applied.changes.iter().all(|(_, change)| change.validated);
        let told = if validated {
            Self::plain(wanted)
        } else {
            let message = "not every value was found as it was written; see changes_applied";
            Self::because(StepStatus::Partial, Cause::new("not_validated", message))
        };
        Self {
            changes: applied.changes.into_iter().collect(),
            rollback_available: applied.rollback_available,
            warnings: applied.warnings,
            ..told
        }
    }

    /// The world was as wanted before anything was done.
    pub fn already(order: &StepCommand, prepared: &Prepared) -> Self {
        let target =
            order.change.as_ref().map_or_else(|| order.tool.to_string(), |change| change.target.clone());
        let change = AppliedChange {
            parameter: target.clone(),
            old_value: Some(prepared.before.clone()),
            new_value: Some(prepared.wanted.clone()),
            validated: true,
        };
        let mut told = Self::plain(StepStatus::Success);
        told.changes.insert(target, change);
        told.warnings.push("already as wanted; nothing was changed".to_owned());
        told
    }

    pub fn nothing_to_undo() -> Self {
        let mut told = Self::plain(StepStatus::Success);
        told.warnings.push("nothing to undo".to_owned());
        told
    }

    pub fn failed(failure: &Failure) -> Self {
        let cause = failure.cause().clone();
        match failure {
            Failure::Transient { .. } => {
                Self { retryable: true, ..Self::because(StepStatus::Failure, cause) }
            }
            Failure::Permanent { .. } => Self::because(StepStatus::Failure, cause),
            Failure::Refused { .. } => Self::because(StepStatus::Refused, cause),
            Failure::Unknown { .. } => Self::because(StepStatus::Unknown, cause),
        }
    }

    pub fn refused(refusal: &Refusal) -> Self {
        Self::because(StepStatus::Refused, refusal.cause())
    }

    /// Begun before, not known to be finished, and not to be gone on with.
    pub fn left_open(cause: Cause) -> Self {
        Self::because(StepStatus::Unknown, cause)
    }

    /// Somebody else has acted: nothing is touched, a person decides.
    pub fn conflict(found: &str) -> Self {
        let message =
            format!("somebody else has acted: found neither the former nor the wanted state but \"{found}\"");
        Self {
            requires_user_action: true,
            ..Self::because(StepStatus::Unknown, Cause::new("conflict", message))
        }
    }

    pub fn verified(verification: Verification) -> Self {
        let told = if verification.held {
            Self::plain(StepStatus::Success)
        } else {
            Self::because(StepStatus::Failure, Cause::new("not_verified", "what was promised does not hold"))
        };
        Self { warnings: verification.findings, ..told }
    }

    /// Why it is no success.
    pub fn cause(&self) -> Option<&Cause> {
        self.cause.as_ref()
    }

    /// For a person to look at.
    #[must_use]
    pub fn for_a_person(self) -> Self {
        Self { requires_user_action: true, ..self }
    }

    pub fn into_result(self, order: &StepCommand, host: &HostName, took: Duration) -> ToolResult {
        let tool_name = match order.action {
            Action::Verify(_) => "verify",
            _ => order.tool.as_str(),
        };
        // An agent may have put its cause together by hand; the contract's limits hold all the same.
        let cause = self.cause.map(|Cause { code, message }| match message.as_str() {
            "" => Cause::new(&code, &code),
            message => Cause::new(&code, message),
        });
        let warnings = self.warnings.into_iter().take(MOST_WARNINGS).map(|text| cut(text, LONGEST_WARNING));
        let (error_code, error_message) = cause.map(|cause| (cause.code, cause.message)).unzip();
        ToolResult {
            schema: ToolResult::SCHEMA.to_owned(),
            trace_id: order.trace_id.clone(),
            tool_name: tool_name.to_owned(),
            command_id: order.command_id,
            remediation_id: order.remediation_id,
            step_id: order.step_id.clone(),
            attempt: order.attempt,
            status: self.status,
            execution_time_ms: u64::try_from(took.as_millis()).unwrap_or(u64::MAX),
            changes_applied: self
                .changes
                .into_iter()
                .map(|(target, change)| (target, short(change)))
                .collect(),
            error_code,
            error_message,
            retryable: self.retryable,
            requires_user_action: self.requires_user_action,
            rollback_available: self.rollback_available,
            warnings: warnings.collect(),
            agent: AgentInfo {
                name: order.agent.to_string(),
                version: env!("CARGO_PKG_VERSION").to_owned(),
                host: host.clone(),
            },
        }
    }
}

fn short(change: AppliedChange) -> AppliedChange {
    AppliedChange {
        old_value: change.old_value.map(|value| cut(value, LONGEST_VALUE)),
        new_value: change.new_value.map(|value| cut(value, LONGEST_VALUE)),
        ..change
    }
}

fn cut(mut text: String, most: usize) -> String {
    if text.len() > most {
        text.truncate(text.floor_char_boundary(most));
        text.push_str(" (cut)");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sample;

    fn check(outcome: Outcome, status: StepStatus, retryable: bool) {
        let order = sample::order("config", 1);
        let result = outcome.into_result(&order, &order.host, Duration::from_millis(5));
        assert_eq!((result.status, result.retryable), (status, retryable));
        let bytes = serde_json::to_vec(&result).unwrap();
        assert_eq!(ToolResult::decode(&bytes).unwrap(), result, "every result keeps the contract");
    }

    #[test]
    fn every_failure_has_its_status() {
        let long = "x".repeat(900);
        check(Outcome::failed(&Failure::transient("io", &long)), StepStatus::Failure, true);
        check(Outcome::failed(&Failure::permanent("io", "x")), StepStatus::Failure, false);
        check(Outcome::failed(&Failure::refused("io", "x")), StepStatus::Refused, false);
        check(Outcome::failed(&Failure::unknown("io", "x")), StepStatus::Unknown, false);
    }

    #[test]
    fn a_result_fits_into_a_message_whatever_is_told() {
        let mut applied = sample::applied("256", "512");
        applied.changes[0].1.old_value = Some("ä".repeat(1_000_000));
        applied.warnings = vec!["w".repeat(1_000_000); 1_000];
        let order = sample::order("config", 1);
        let outcome = Outcome::applied(applied, StepStatus::Success);
        let result = outcome.into_result(&order, &order.host, Duration::from_millis(5));
        let bytes = serde_json::to_vec(&result).unwrap();
        assert!(bytes.len() < 100_000, "{}", bytes.len());
        assert_eq!(ToolResult::decode(&bytes).unwrap(), result);
    }

    #[test]
    fn success_needs_every_value_to_be_read_back() {
        check(
            Outcome::applied(sample::applied("256", "512"), StepStatus::Success),
            StepStatus::Success,
            false,
        );
        check(Outcome::applied(sample::applied("512", "256"), StepStatus::Undone), StepStatus::Undone, false);
        let mut clamped = sample::applied("256", "512");
        clamped.changes[0].1.validated = false;
        check(Outcome::applied(clamped, StepStatus::Success), StepStatus::Partial, false);
        let wanted = Verification { held: false, findings: vec!["x: expected 1, found 2".to_owned()] };
        check(Outcome::verified(wanted), StepStatus::Failure, false);
        check(
            Outcome::already(&sample::order("config", 1), &sample::prepared("5", "5")),
            StepStatus::Success,
            false,
        );
        check(Outcome::conflict("900"), StepStatus::Unknown, false);
        check(Outcome::nothing_to_undo(), StepStatus::Success, false);
    }
}
