//! An agent that lies, for `instance demo --sabotage`: the proof that the product notices. Never in a release build.

use instance_contract::{
    Action, AgentKind, AppliedChange, Failure, ForecastReply, InstanceName, StepCommand, Verification, Verify,
};

use crate::agent::{Agent, Applied, HostPart, Prepared, Probe, Work};

/// What the variable `INSTANCE_SABOTAGE` asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Lie {
    /// Says that the change was made and read back, and makes none.
    Apply,
    /// Says that everything holds, and looks at nothing.
    Verify,
}

/// An agent that tells one lie, or none.
pub struct Liar<A> {
    honest: A,
    lie: Option<Lie>,
}

impl<A> Liar<A> {
    /// Lies as `INSTANCE_SABOTAGE` says (`apply` or `verify`); any other word, or none, changes nothing.
    pub fn from_environment(honest: A) -> Self {
        Self::told(honest, std::env::var("INSTANCE_SABOTAGE").ok().as_deref())
    }

    fn told(honest: A, word: Option<&str>) -> Self {
        let lie = match word {
            Some("apply") => Some(Lie::Apply),
            Some("verify") => Some(Lie::Verify),
            _ => None,
        };
        if let Some(lie) = lie {
            tracing::warn!(?lie, "SABOTAGE: this agent lies about what it does; it must never run for real");
        }
        Self { honest, lie }
    }
}

impl<A: Agent> Agent for Liar<A> {
    fn kind(&self) -> AgentKind {
        self.honest.kind()
    }

    fn instances(&self) -> Vec<InstanceName> {
        self.honest.instances()
    }

    fn part(&self, action: &Action) -> Option<String> {
        self.honest.part(action)
    }

    fn host_part(&self, action: &Action) -> HostPart {
        self.honest.host_part(action)
    }

    fn facts(&self, instance: &InstanceName) -> Result<serde_json::Value, Failure> {
        self.honest.facts(instance)
    }

    fn forecast(&self, instance: &InstanceName, action: &Action) -> ForecastReply {
        self.honest.forecast(instance, action)
    }

    fn prepare(&self, order: &StepCommand, work: &Work<'_>) -> Result<Prepared, Failure> {
        self.honest.prepare(order, work)
    }

    fn apply(&self, order: &StepCommand, prepared: &Prepared, work: &Work<'_>) -> Result<Applied, Failure> {
        if self.lie != Some(Lie::Apply) || !order.action.has_effect() {
            return self.honest.apply(order, prepared, work);
        }
        tracing::warn!(step = %order.step_id, "SABOTAGE: claims a change that was not made");
        let target =
            order.change.as_ref().map_or_else(|| order.tool.to_string(), |change| change.target.clone());
        let claimed = AppliedChange {
            parameter: target.clone(),
            old_value: Some(prepared.before.clone()),
            new_value: Some(prepared.wanted.clone()),
            validated: true,
        };
        Ok(Applied { changes: vec![(target, claimed)], warnings: Vec::new(), rollback_available: true })
    }

    fn probe(&self, order: &StepCommand, prepared: &Prepared, work: &Work<'_>) -> Result<Probe, Failure> {
        self.honest.probe(order, prepared, work)
    }

    fn undo(&self, order: &StepCommand, done: &Prepared, work: &Work<'_>) -> Result<Applied, Failure> {
        self.honest.undo(order, done, work)
    }

    fn probe_undo(&self, order: &StepCommand, done: &Prepared, work: &Work<'_>) -> Result<Probe, Failure> {
        self.honest.probe_undo(order, done, work)
    }

    fn verify(&self, order: &StepCommand, verify: &Verify, work: &Work<'_>) -> Result<Verification, Failure> {
        if self.lie != Some(Lie::Verify) {
            return self.honest.verify(order, verify, work);
        }
        tracing::warn!(step = %order.step_id, "SABOTAGE: claims a verification that was not made");
        Ok(Verification {
            held: true,
            findings: vec!["everything: expected as promised, found so".to_owned()],
        })
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::{counting_agent::CountingAgent, sample};

    #[test]
    fn each_lie_is_told_only_when_it_is_asked_for() {
        let order = sample::order("config", 1);
        let wanted = Verify { expect: Vec::new(), quiet: Vec::new(), quiet_seconds: 0 };
        let work = Work::new(&|| Ok(()), &|| Duration::from_secs(5));
        for (word, changes, held) in
            [(Some("apply"), 0, false), (Some("verify"), 1, true), (Some("x"), 1, false), (None, 1, false)]
        {
            let folder = tempfile::tempdir().unwrap();
            let agent = CountingAgent::new(folder.path());
            let liar = Liar::told(agent.clone(), word);
            let prepared = liar.prepare(&order, &work).unwrap();
            assert!(liar.apply(&order, &prepared, &work).unwrap().changes[0].1.validated);
            assert_eq!(agent.effects().len(), changes, "{word:?}");
            assert_eq!(liar.verify(&order, &wanted, &work).unwrap().held, held, "{word:?}");
        }
    }
}
