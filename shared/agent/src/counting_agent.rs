//! The agent of the tests: its world is one file with a value, and every effect adds a line to another.

use std::{
    fs,
    path::{Path, PathBuf},
    sync::{Arc, Mutex},
};

use instance_contract::{
    Action, AgentKind, AppliedChange, Failure, Forecast, ForecastReply, InstanceName, StepCommand,
    Verification, Verify,
};

use crate::agent::{Agent, Applied, HostPart, Prepared, Probe, Work};

/// A value that is neither the former nor the wanted one, and ours: an effect of several parts that a crash has cut.
pub const HALF: &str = "half";

/// Clones share the world.
#[derive(Clone)]
pub struct CountingAgent {
    folder: PathBuf,
    before_apply: Arc<Mutex<Vec<Behaviour>>>,
}

/// Asked directly before and after an effect; a failure ends it there.
pub enum Behaviour {
    FailBefore(Failure),
    FailAfter(Failure),
    Run(Box<dyn Fn() + Send>),
}

impl CountingAgent {
    pub fn new(folder: &Path) -> Self {
        let agent = Self { folder: folder.to_owned(), before_apply: Arc::default() };
        if !agent.folder.join("value").exists() {
            agent.set("256");
        }
        agent
    }

    /// What the next effects do, one entry each; then they just work.
    pub fn next(&self, behaviour: Behaviour) {
        self.before_apply.lock().unwrap().push(behaviour);
    }

    pub fn set(&self, value: &str) {
        fs::write(self.folder.join("value"), value).unwrap();
    }

    pub fn value(&self) -> String {
        fs::read_to_string(self.folder.join("value")).unwrap()
    }

    pub fn effects(&self) -> Vec<String> {
        let lines = fs::read_to_string(self.folder.join("effects")).unwrap_or_default();
        lines.lines().map(str::to_owned).collect()
    }

    fn change(&self, from: &str, to: &str, work: &Work<'_>) -> Result<Applied, Failure> {
        work.before_effect()?;
        let behaviour = self.before_apply.lock().unwrap().pop();
        match &behaviour {
            Some(Behaviour::FailBefore(failure)) => return Err(failure.clone()),
            Some(Behaviour::Run(run)) => run(),
            _ => {}
        }
        self.set(to);
        let effects = self.effects().into_iter().chain([format!("{from} -> {to}")]);
        fs::write(self.folder.join("effects"), effects.collect::<Vec<_>>().join("\n")).unwrap();
        match behaviour {
            Some(Behaviour::FailAfter(failure)) => Err(failure),
            _ => Ok(Self::applied(from, to)),
        }
    }

    fn applied(from: &str, to: &str) -> Applied {
        let change = AppliedChange {
            parameter: "globals".to_owned(),
            old_value: Some(from.to_owned()),
            new_value: Some(to.to_owned()),
            validated: true,
        };
        Applied {
            changes: vec![("cpf [config] globals".to_owned(), change)],
            warnings: Vec::new(),
            rollback_available: true,
        }
    }

    fn probe(&self, from: &str, to: &str) -> Probe {
        match self.value() {
            value if value == to => Probe::Done(Self::applied(from, to)),
            value if value == from || value == HALF => Probe::NotDone,
            found => Probe::Other { found },
        }
    }
}

impl Agent for CountingAgent {
    fn kind(&self) -> AgentKind {
        AgentKind::Config
    }

    fn instances(&self) -> Vec<InstanceName> {
        vec!["PROD".parse().unwrap(), "TEST".parse().unwrap()]
    }

    fn part(&self, action: &Action) -> Option<String> {
        match action {
            Action::SetCpf(set) if set.cpf_section == "parts" => Some(set.parameter.clone()),
            _ => None,
        }
    }

    fn host_part(&self, action: &Action) -> HostPart {
        match action {
            Action::SetCpf(set) if set.cpf_section == "host" => HostPart::Property(set.parameter.clone()),
            _ => HostPart::Nothing,
        }
    }

    fn facts(&self, _: &InstanceName) -> Result<serde_json::Value, Failure> {
        Ok(serde_json::json!({ "globals": self.value() }))
    }

    fn forecast(&self, _: &InstanceName, action: &Action) -> ForecastReply {
        match action {
            Action::SetCpf(set) => ForecastReply::Would(Forecast {
                unknown_version: None,
                target: "cpf [config] globals".to_owned(),
                before: self.value(),
                after: set.new_value.clone(),
                needs_restart: true,
                may_be_live: false,
                restart_reason: "memory is allocated at a start".to_owned(),
                dangerous: false,
                warnings: Vec::new(),
            }),
            _ => ForecastReply::Wont(Failure::refused("wrong_agent", "not this one")),
        }
    }

    fn prepare(&self, order: &StepCommand, _: &Work<'_>) -> Result<Prepared, Failure> {
        let wanted = match &order.action {
            Action::SetCpf(set) => set.new_value.clone(),
            _ => return Err(Failure::permanent("wrong_agent", "not this one")),
        };
        let before = self.value();
        Ok(Prepared { already: before == wanted, before, wanted, material: serde_json::Value::Null })
    }

    fn apply(&self, _: &StepCommand, prepared: &Prepared, work: &Work<'_>) -> Result<Applied, Failure> {
        self.change(&prepared.before, &prepared.wanted, work)
    }

    fn probe(&self, _: &StepCommand, prepared: &Prepared, _: &Work<'_>) -> Result<Probe, Failure> {
        Ok(self.probe(&prepared.before, &prepared.wanted))
    }

    fn undo(&self, _: &StepCommand, done: &Prepared, work: &Work<'_>) -> Result<Applied, Failure> {
        if ![done.wanted.as_str(), HALF].contains(&self.value().as_str()) {
            return Err(Failure::permanent("foreign_change", "the value is not ours any more"));
        }
        self.change(&done.wanted, &done.before, work)
    }

    fn probe_undo(&self, _: &StepCommand, done: &Prepared, _: &Work<'_>) -> Result<Probe, Failure> {
        Ok(self.probe(&done.wanted, &done.before))
    }

    fn verify(&self, _: &StepCommand, _: &Verify, _: &Work<'_>) -> Result<Verification, Failure> {
        let behaviour = self.before_apply.lock().unwrap().pop();
        if let Some(Behaviour::Run(run)) = behaviour {
            run();
        }
        let found = self.value();
        Ok(Verification {
            held: found == "1024",
            findings: vec![format!("value: expected 1024, found {found}")],
        })
    }
}
