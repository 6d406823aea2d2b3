//! What policy leaves of answers. Asked before a model hears of them, and once more of the one that it has chosen.

use std::collections::BTreeMap;

use instance_contract::{AgentKind, Carriers, Decision, DiagnosisPhase, Facts, IncidentId};
use instance_planner::{Policy, refused_at_sight};
use jiff::Timestamp;

use crate::{answer::Answer, incidents::Incidents};

/// The policies that are known. An answer must pass each of them.
#[derive(Debug, Default)]
pub(crate) struct Policies {
    /// Of our own settings.
    ours: Option<Policy>,
    /// What nothing may act on, of our own settings too.
    carriers: Carriers,
    /// What a router wrote beside the newest command that it has accepted, and when.
    routers: Option<(Timestamp, String, Policy)>,
}

impl Incidents {
    /// Holds what a model is offered to this policy, besides that of the routers; without it, and before a router was heard, to
    /// the built-in one. Nothing acts on `carriers`.
    #[must_use]
    pub fn held_to(mut self, policy: Option<Policy>, carriers: Carriers) -> Self {
        (self.policies.ours, self.policies.carriers) = (policy, carriers);
        self
    }

    /// What policy leaves of these answers; and why it refuses the first of the others.
    pub(crate) fn permitted(
        &self,
        id: IncidentId,
        answers: Vec<Answer>,
        now: Timestamp,
    ) -> (Vec<Answer>, Option<String>) {
        let (mut left, mut refused) = (Vec::new(), None);
        for answer in answers {
            match self.refusal(id, &answer, now) {
                None => left.push(answer),
                Some(why) => refused = refused.or(Some(why)),
            }
        }
        (left, refused)
    }

    /// Why policy refuses that answer now, as far as that can be told before its dry run.
    pub(crate) fn refusal(&self, id: IncidentId, answer: &Answer, now: Timestamp) -> Option<String> {
        let incident = self.all.get(&id)?;
        let hosts = [AgentKind::Config, AgentKind::Os, AgentKind::Restart];
        let facts = Facts {
            forecasts: BTreeMap::new(),
            hosts: hosts.into_iter().map(|agent| (agent, incident.host.clone())).collect(),
            taken_at: Some(now),
            restarts: self.remediations.restarts(&incident.instance, now),
        };
        let decision = Decision::Wait { why: "nothing is decided yet".to_owned() };
        let unwritten = incident.finding(DiagnosisPhase::Analysis, decision, Vec::new(), now);
        // Its id does not matter to policy.
        let command = answer.command(&unwritten, id.command(&answer.name(), incident.attempts + 1), false);
        let fault = self.policies.all().iter().find_map(|policy| {
            let mut faults = refused_at_sight(&command, &facts, policy);
            (!faults.is_empty()).then(|| faults.swap_remove(0))
        });
        fault.map(|fault| format!("policy does not allow {}: {fault}", answer.name()))
    }
}

impl Policies {
    /// A router has accepted a command under that policy.
    pub(crate) fn heard(&mut self, text: &str, at: Timestamp) {
        match &mut self.routers {
            Some((known_at, _, _)) if at < *known_at => {}
            // Nearly always: policy changes with a router's settings only.
            Some((known_at, known, _)) if known == text => *known_at = at,
            routers => {
                // One that we cannot read is of a newer router; what is known holds on, and the router decides anyway.
                if let Ok(policy) = Policy::from_toml(text) {
                    *routers = Some((at, text.to_owned(), policy));
                }
            }
        }
    }

    fn all(&self) -> Vec<Policy> {
        let routers = self.routers.as_ref().map(|(.., policy)| policy);
        let ours = self.ours.as_ref().or(routers).cloned().unwrap_or_default();
        let ours = Policy { carriers: self.carriers.clone(), ..ours };
        [Some(ours), routers.cloned()].into_iter().flatten().collect()
    }
}
