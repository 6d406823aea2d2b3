use std::sync::Arc;

use instance_agent::{
    Agent, AgentError, AgentSettings, Applied, InstanceSettings, Prepared, Probe, SelfGuard, Work,
    evidence::{self, InstanceView},
    settings,
};
use instance_chassis::Context;
use instance_clock::Clock;
use instance_contract::{
    Action, AgentKind, Failure, ForecastReply, InstanceName, LicenseAction, StepCommand, Verification, Verify,
};
use instance_iris::cpf;
use serde_json::json;

use crate::{apply, config::Config, license, read::Live, undo};

/// Serves the instances of the settings until a drain is asked for.
pub async fn run(context: Context<Config>) -> Result<(), AgentError> {
    instance_agent::use_knowledge(context.config.knowledge_dir.as_deref())?;
    let (state_dir, fence_dir) = (context.config.state_dir.clone(), context.config.fence_dir.clone());
    let agent = ConfigAgent::new(context.config.clone(), Arc::clone(&context.clock))
        .guarded_by(SelfGuard::of(&context));
    instance_agent::run(context, agent, AgentSettings { state_dir, fence_dir }).await
}

/// The agent that changes `iris.cpf`.
#[derive(Debug)]
pub struct ConfigAgent {
    config: Config,
    clock: Arc<dyn Clock>,
    self_guard: SelfGuard,
}

impl ConfigAgent {
    pub fn new(config: Config, clock: Arc<dyn Clock>) -> Self {
        Self { config, clock, self_guard: SelfGuard::default() }
    }

    #[must_use]
    pub fn guarded_by(self, self_guard: SelfGuard) -> Self {
        Self { self_guard, ..self }
    }

    fn settings(&self, instance: &InstanceName) -> Result<&InstanceSettings, Failure> {
        settings::find(&self.config.instances, instance)
    }

    fn view(&self, instance: &InstanceName) -> Result<InstanceView, Failure> {
        let settings = self.settings(instance)?;
        Ok(settings.view(&self.config.iris_command, &self.config.proc_root))
    }

    fn license(&self, instance: &InstanceName, action: LicenseAction) -> Result<Vec<String>, Failure> {
        let key = license::key_file(&self.settings(instance)?.messages_log);
        Ok(license::answer(action, &key, self.clock.now()))
    }
}

impl Agent for ConfigAgent {
    fn kind(&self) -> AgentKind {
        AgentKind::Config
    }

    fn instances(&self) -> Vec<InstanceName> {
        self.config.instances.iter().map(|instance| instance.name.clone()).collect()
    }

    fn facts(&self, instance: &InstanceName) -> Result<serde_json::Value, Failure> {
        let settings = self.settings(instance)?;
        Ok(facts(&Live::read(settings)?, settings))
    }

    fn forecast(&self, instance: &InstanceName, action: &Action) -> ForecastReply {
        let forecast = self.settings(instance).and_then(|settings| match action {
            Action::SetCpf(wanted) => {
                apply::forecast(&self.config, settings, wanted).map(ForecastReply::Would)
            }
            Action::CheckLicense(check) => {
                Ok(ForecastReply::ReadOnly { warnings: self.license(instance, check.action)? })
            }
            Action::Verify(_) => Ok(ForecastReply::ReadOnly { warnings: Vec::new() }),
            other => Err(not_ours(other)),
        });
        forecast.unwrap_or_else(ForecastReply::Wont)
    }

    fn prepare(&self, order: &StepCommand) -> Result<Prepared, Failure> {
        match &order.action {
            Action::SetCpf(wanted) => apply::prepare(self.settings(&order.instance)?, wanted),
            // Reads only, so there is nothing to record and nothing to do.
            Action::CheckLicense(_) => Ok(Prepared {
                before: String::new(),
                wanted: String::new(),
                already: true,
                material: serde_json::Value::Null,
            }),
            other => Err(not_ours(other)),
        }
    }

    fn apply(&self, order: &StepCommand, prepared: &Prepared, work: &Work<'_>) -> Result<Applied, Failure> {
        self.self_guard.check(order)?;
        let settings = self.settings(&order.instance)?;
        match &order.action {
            Action::SetCpf(wanted) => {
                apply::apply(&self.config, settings, wanted, prepared, &|| work.before_effect())
            }
            // The answer is all that there is; it goes back as what an operator reads.
            Action::CheckLicense(check) => Ok(Applied {
                changes: Vec::new(),
                warnings: self.license(&order.instance, check.action)?,
                rollback_available: false,
            }),
            other => Err(not_ours(other)),
        }
    }

    fn probe(&self, order: &StepCommand, prepared: &Prepared) -> Result<Probe, Failure> {
        apply::probe(self.settings(&order.instance)?, prepared)
    }

    fn undo(&self, order: &StepCommand, done: &Prepared, work: &Work<'_>) -> Result<Applied, Failure> {
        self.self_guard.check(order)?;
        undo::undo(&self.config, self.settings(&order.instance)?, done, &|| work.before_effect())
    }

    fn probe_undo(&self, order: &StepCommand, done: &Prepared) -> Result<Probe, Failure> {
        undo::probe(self.settings(&order.instance)?, done)
    }

    fn verify(&self, order: &StepCommand, verify: &Verify, work: &Work<'_>) -> Result<Verification, Failure> {
        evidence::verify(&self.view(&order.instance)?, verify, work)
    }
}

fn facts(live: &Live, settings: &InstanceSettings) -> serde_json::Value {
    let faults: Vec<_> = cpf::check(&live.document)
        .into_iter()
        .map(|fault| json!({"line": fault.line, "rule": fault.rule.name(), "text": fault.text}))
        .collect();
    let value = |name: &str| live.document.get("config", name);
    json!({
        "cpf": settings.cpf,
        "cpf_sha256": live.snapshot.digest,
        "cpf_version": live.document.version(),
        "cpf_product": live.document.get("ConfigFile", "Product"),
        "cpf_faults": faults,
        "globals": value("globals"),
        "routines": value("routines"),
        "gmheap": value("gmheap"),
        "locksiz": value("locksiz"),
        "jrnbufs": value("jrnbufs"),
        "memlock": value("memlock"),
        "superserver_port": live.document.get("Startup", "DefaultPort"),
        "shutdown_timeout_seconds": live.document.get("Startup", "ShutdownTimeout"),
        "license_key_present": license::key_file(&settings.messages_log).is_file(),
    })
}

fn not_ours(action: &Action) -> Failure {
    let word = match action {
        Action::SetCpf(_) | Action::ChangeCpf(_) | Action::CheckLicense(_) => "this change",
        Action::SetKernel(_) => "kernel parameters",
        Action::Restart(_) => "restarts",
        Action::Verify(_) => "verification as a change",
        Action::Undo(_) => "undo as a change",
    };
    Failure::refused("wrong_agent", format!("config-agent does not do {word}"))
}
