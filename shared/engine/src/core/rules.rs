//! The policy of the house with its text: the text goes into every `accepted`, and is read once, not once each.

use std::sync::Arc;

use instance_contract::Accepted;
use instance_planner::Policy;

use crate::{remediation::Remediation, replay::Logged};

#[derive(Debug)]
pub(super) struct Rules {
    pub(super) policy: Arc<Policy>,
    pub(super) text: String,
}

impl Rules {
    pub(super) fn new(policy: Policy) -> Self {
        Self { text: policy.to_toml(), policy: Arc::new(policy) }
    }

    /// The policy that a remediation was accepted under: ours, or an older one that its text holds.
    fn of(&self, accepted: &Accepted) -> Arc<Policy> {
        if accepted.policy == self.text { Arc::clone(&self.policy) } else { Remediation::policy_of(accepted) }
    }

    pub(super) fn begin(&self, accepted: Accepted, sequence: u64) -> Remediation {
        let policy = self.of(&accepted);
        Remediation::under(policy, accepted, sequence)
    }

    pub(super) fn replay(&self, records: Vec<Logged>) -> Option<Remediation> {
        Remediation::fold_all(records, |accepted, sequence| self.begin(accepted, sequence))
    }
}
