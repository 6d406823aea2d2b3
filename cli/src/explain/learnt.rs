//! What the ends of remediations teach: how often a runbook has helped against a condition, by instance.

use std::collections::BTreeMap;

use instance_contract::{IncidentOutcome, InstanceName, OverallStatus};
use jiff::Timestamp;

/// So many failures in a row, and only a person may try it again on that instance.
const ENOUGH: u32 = 2;

/// How the runbooks of one condition have done.
#[derive(Debug, Default)]
pub struct Learnt(BTreeMap<Key, Tries>);

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Key {
    pub runbook: String,
    pub instance: InstanceName,
}

#[derive(Debug)]
pub struct Tries {
    pub succeeded: u32,
    pub failed: u32,
    pub failed_in_a_row: u32,
    pub last: OverallStatus,
    pub last_at: Timestamp,
}

impl Learnt {
    /// Adds an outcome; in the order of the log. One about another condition is left out, as is one of a remediation that
    /// never began: refused, expired, or only forecast.
    pub fn take(&mut self, condition: &str, outcome: &IncidentOutcome) {
        let status = outcome.overall_status;
        let began =
            !matches!(status, OverallStatus::Refused | OverallStatus::Expired | OverallStatus::DryRun);
        if !began || outcome.condition.as_ref().is_none_or(|known| known.as_str() != condition) {
            return;
        }
        let key = Key { runbook: outcome.runbook.clone(), instance: outcome.instance.clone() };
        let tries = self.0.entry(key).or_insert(Tries {
            succeeded: 0,
            failed: 0,
            failed_in_a_row: 0,
            last: status,
            last_at: outcome.ended_at,
        });
        (tries.last, tries.last_at) = (status, outcome.ended_at);
        if status == OverallStatus::Success {
            tries.succeeded += 1;
            tries.failed_in_a_row = 0;
        } else {
            tries.failed += 1;
            tries.failed_in_a_row += 1;
        }
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub fn rows(&self) -> impl Iterator<Item = (&Key, &Tries)> {
        self.0.iter()
    }
}

impl Tries {
    /// Must a person say so before it is tried again?
    pub const fn is_barred(&self) -> bool {
        self.failed_in_a_row >= ENOUGH
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn outcome(instance: &str, condition: &str, status: &str) -> IncidentOutcome {
        let id = "6f1d2c0a-52b7-4c43-9a3e-1b6077a1d5c8";
        serde_json::from_value(json!({
            "schema": IncidentOutcome::SCHEMA, "trace_id": "6f1d2c0a52b74c439a3e1b6077a1d5c8", "incident_id": id,
            "instance": instance, "command_id": id, "remediation_id": id, "runbook": "grow", "condition": condition,
            "overall_status": status, "ended_at": "2026-11-21T10:00:00Z", "reason": null,
        }))
        .unwrap()
    }

    #[test]
    fn two_failures_in_a_row_on_an_instance_bar_a_runbook_there_and_a_success_lets_it_in_again() {
        let mut learnt = Learnt::default();
        let mut take = |instance: &str, status: &str| {
            learnt.take("c", &outcome(instance, "c", status));
            let (_, tries) = learnt.rows().find(|(key, _)| key.instance.as_str() == instance).unwrap();
            (tries.succeeded, tries.failed, tries.is_barred())
        };
        assert_eq!(take("A", "failure"), (0, 1, false));
        assert_eq!(take("B", "undone"), (0, 1, false));
        assert_eq!(take("A", "refused"), (0, 1, false), "it was never tried");
        assert_eq!(take("A", "partial"), (0, 2, true));
        assert_eq!(take("A", "success"), (1, 2, false));
        learnt.take("c", &outcome("A", "another", "failure"));
        assert_eq!(learnt.rows().count(), 2);
    }
}
