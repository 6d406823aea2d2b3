use instance_agent::{
    Agent, AgentError, AgentSettings, Applied, InstanceSettings, Prepared, Probe, SelfGuard, Work,
    evidence::{self, InstanceView},
    settings,
};
use instance_chassis::Context;
use instance_contract::{
    Action, AgentKind, Failure, ForecastReply, InstanceName, StepCommand, Verification, Verify,
};
use instance_knowledge::kernel_parameters;
use serde_json::{Map, Value, json};

use crate::{
    apply,
    config::Config,
    drop_in::DropIn,
    huge_pages::{self, HostMemory},
    kernel::{Files, Kernel},
    undo,
};

/// Serves the instances of the settings until a drain is asked for.
pub async fn run(context: Context<Config>) -> Result<(), AgentError> {
    instance_agent::use_knowledge(context.config.knowledge_dir.as_deref())?;
    let (state_dir, fence_dir) = (context.config.state_dir.clone(), context.config.fence_dir.clone());
    let agent = OsAgent::new(context.config.clone()).guarded_by(SelfGuard::of(&context));
    instance_agent::run(context, agent, AgentSettings { state_dir, fence_dir }).await
}

/// The agent that changes what the operating system gives IRIS.
#[derive(Debug)]
pub struct OsAgent {
    config: Config,
    kernel: Files,
    self_guard: SelfGuard,
}

impl OsAgent {
    pub fn new(config: Config) -> Self {
        let kernel = Files { proc_root: config.proc_root.clone() };
        Self { config, kernel, self_guard: SelfGuard::default() }
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
}

impl Agent for OsAgent {
    fn kind(&self) -> AgentKind {
        AgentKind::Os
    }

    fn instances(&self) -> Vec<InstanceName> {
        self.config.instances.iter().map(|instance| instance.name.clone()).collect()
    }

    fn facts(&self, instance: &InstanceName) -> Result<Value, Failure> {
        let settings = self.settings(instance)?;
        let memory = HostMemory::read(&self.config.proc_root)?;
        Ok(json!({
            "memory": memory,
            "largest_huge_page_pool": memory.largest_pool(self.config.memory_reserve_mb),
            "huge_pages_needed_by_instance": huge_pages::needed_by(&settings.cpf, &memory),
            "huge_pages_needed_by_host": apply::needed(&self.config, &memory),
            "parameters": parameters(&self.kernel, &self.config),
        }))
    }

    fn forecast(&self, instance: &InstanceName, action: &Action) -> ForecastReply {
        let forecast = self.settings(instance).and_then(|_| match action {
            Action::SetKernel(wanted) => {
                apply::forecast(&self.config, &self.kernel, wanted).map(ForecastReply::Would)
            }
            Action::Verify(_) => Ok(ForecastReply::ReadOnly { warnings: Vec::new() }),
            _ => Err(not_ours()),
        });
        forecast.unwrap_or_else(ForecastReply::Wont)
    }

    fn prepare(&self, order: &StepCommand) -> Result<Prepared, Failure> {
        self.settings(&order.instance)?;
        match &order.action {
            Action::SetKernel(wanted) => apply::prepare(&self.config, &self.kernel, wanted),
            _ => Err(not_ours()),
        }
    }

    fn apply(&self, order: &StepCommand, prepared: &Prepared, work: &Work<'_>) -> Result<Applied, Failure> {
        self.self_guard.check(order)?;
        self.settings(&order.instance)?;
        match &order.action {
            Action::SetKernel(wanted) => {
                apply::apply(&self.config, &self.kernel, wanted, prepared, &|| work.before_effect())
            }
            _ => Err(not_ours()),
        }
    }

    fn probe(&self, order: &StepCommand, prepared: &Prepared) -> Result<Probe, Failure> {
        self.settings(&order.instance)?;
        apply::probe(&self.config, &self.kernel, prepared)
    }

    fn undo(&self, order: &StepCommand, done: &Prepared, work: &Work<'_>) -> Result<Applied, Failure> {
        self.self_guard.check(order)?;
        self.settings(&order.instance)?;
        undo::undo(&self.config, &self.kernel, done, &|| work.before_effect())
    }

    fn probe_undo(&self, order: &StepCommand, done: &Prepared) -> Result<Probe, Failure> {
        self.settings(&order.instance)?;
        undo::probe(&self.config, &self.kernel, done)
    }

    fn verify(&self, order: &StepCommand, verify: &Verify, work: &Work<'_>) -> Result<Verification, Failure> {
        evidence::verify(&self.view(&order.instance)?, verify, work)
    }
}

/// Each allowed parameter: its value now, and what is kept for the next boot. Null where there is none.
fn parameters(kernel: &Files, config: &Config) -> Map<String, Value> {
    let row = |parameter: &instance_knowledge::KernelParameter| {
        let kept = DropIn::of(&config.sysctl_dir, &parameter.name).read().ok().flatten();
        let value = json!({"value": kernel.read(parameter).ok(), "drop_in": kept});
        (parameter.name.clone(), value)
    };
    kernel_parameters().iter().map(row).collect()
}

fn not_ours() -> Failure {
    Failure::refused("wrong_agent", "os-agent sets kernel parameters and nothing else")
}
