use std::sync::Arc;

use instance_agent::{
    Agent, AgentError, AgentSettings, Applied, HostPart, InstanceSettings, Prepared, Probe, SelfGuard, Work,
    settings,
};
use instance_chassis::Context;
use instance_contract::{
    Action, AgentKind, Failure, Forecast, ForecastReply, InstanceName, SetKernel, StepCommand, Verification,
    Verify,
};
use instance_knowledge::{KernelKind, KernelParameter, KernelRoot};
use serde_json::Value;

use crate::{
    affinity, apply, check,
    config::Config,
    facts,
    host::{Coming, Host, Local},
    undo, weight,
};

/// Serves the instances of the settings until a drain is asked for.
pub async fn run(context: Context<Config>) -> Result<(), AgentError> {
    instance_agent::use_knowledge(context.config.knowledge_dir.as_deref())?;
    let (state_dir, fence_dir) = (context.config.state_dir.clone(), context.config.fence_dir.clone());
    let agent = OsAgent::on(this_host(&context.config).into(), context.config.clone())
        .guarded_by(SelfGuard::of(&context));
    instance_agent::run(context, agent, AgentSettings { state_dir, fence_dir }).await
}

/// Slow values are written by this program again, so that they end with their time limit.
fn this_host(config: &Config) -> Local {
    match std::env::current_exe() {
        Ok(program) => Local::new(config).with_writer(program),
        Err(error) => {
            tracing::warn!(%error, "this program does not find itself, so a slow write cannot be cut off");
            Local::new(config)
        }
    }
}

/// The agent that changes what the operating system gives IRIS.
pub struct OsAgent {
    config: Config,
    host: Host,
    self_guard: SelfGuard,
}

/// What a row of the catalogue is a property of.
enum Property {
    Host,
    Cpus(&'static KernelParameter),
    Weight(&'static KernelParameter),
}

impl OsAgent {
    /// On the host of the settings.
    pub fn new(config: Config) -> Self {
        Self::on(Local::new(&config).into(), config)
    }

    pub(crate) fn on(host: Host, config: Config) -> Self {
        Self { config, host, self_guard: SelfGuard::default() }
    }

    #[must_use]
    pub fn guarded_by(self, self_guard: SelfGuard) -> Self {
        Self { self_guard, ..self }
    }

    fn settings(&self, instance: &InstanceName) -> Result<&InstanceSettings, Failure> {
        settings::find(&self.config.instances, instance)
    }

    /// The host with the CPF as the plan of this step will leave it.
    fn coming(&self, instance: &InstanceSettings, wanted: &SetKernel) -> Host {
        let (cpfs, instance) = (self.host.cpfs.clone(), instance.name.clone());
        let coming = Coming { cpfs, instance, changes: wanted.with_cpf.clone() };
        Host { cpfs: Arc::new(coming), ..self.host.clone() }
    }
}

impl OsAgent {
    fn forecast_of(&self, instance: &InstanceSettings, wanted: &SetKernel) -> Result<Forecast, Failure> {
        match property(&wanted.kernel_param)? {
            Property::Host => apply::forecast(&self.config, &self.coming(instance, wanted), wanted),
            Property::Cpus(row) => affinity::forecast(&*self.host.processes, instance, row, legal(wanted)?),
            Property::Weight(row) => weight::forecast(&*self.host.processes, instance, row, legal(wanted)?),
        }
    }
}

impl Agent for OsAgent {
    fn kind(&self) -> AgentKind {
        AgentKind::Os
    }

    fn instances(&self) -> Vec<InstanceName> {
        self.config.instances.iter().map(|instance| instance.name.clone()).collect()
    }

    /// Each parameter has a file of its own, here and for the next boot; it is one however its name was written.
    fn part(&self, action: &Action) -> Option<String> {
        let Action::SetKernel(wanted) = action else { return None };
        check::allowed(&wanted.kernel_param).ok().map(|row| row.name.clone())
    }

    /// A kernel value belongs to the host, and so do its file and its drop-in.
    fn host_part(&self, action: &Action) -> HostPart {
        match action {
            Action::SetKernel(wanted) => match check::allowed(&wanted.kernel_param) {
                Ok(row) if row.root != KernelRoot::Process => HostPart::Property(row.name.clone()),
                _ => HostPart::Nothing,
            },
            Action::Undo(_) => HostPart::Any,
            _ => HostPart::Nothing,
        }
    }

    fn facts(&self, instance: &InstanceName) -> Result<Value, Failure> {
        facts::facts(&self.config, &self.host, self.settings(instance)?)
    }

    fn forecast(&self, instance: &InstanceName, action: &Action) -> ForecastReply {
        let forecast = self.settings(instance).and_then(|instance| match action {
            Action::SetKernel(wanted) => self.forecast_of(instance, wanted).map(ForecastReply::Would),
            Action::Verify(_) => Ok(ForecastReply::ReadOnly { warnings: Vec::new() }),
            _ => Err(not_ours()),
        });
        forecast.unwrap_or_else(ForecastReply::Wont)
    }

    fn prepare(&self, order: &StepCommand, _: &Work<'_>) -> Result<Prepared, Failure> {
        let instance = self.settings(&order.instance)?;
        let Action::SetKernel(wanted) = &order.action else { return Err(not_ours()) };
        match property(&wanted.kernel_param)? {
            Property::Host => apply::prepare(&self.config, &self.coming(instance, wanted), wanted),
            Property::Cpus(row) => affinity::prepare(&*self.host.processes, instance, row, legal(wanted)?),
            Property::Weight(row) => weight::prepare(&*self.host.processes, instance, row, legal(wanted)?),
        }
    }

    fn apply(&self, order: &StepCommand, prepared: &Prepared, work: &Work<'_>) -> Result<Applied, Failure> {
        self.self_guard.check(order)?;
        let instance = self.settings(&order.instance)?;
        let Action::SetKernel(wanted) = &order.action else { return Err(not_ours()) };
        match property(&wanted.kernel_param)? {
            Property::Host => {
                apply::apply(&self.config, &self.coming(instance, wanted), wanted, prepared, work)
            }
            Property::Cpus(_) => affinity::apply(&*self.host.processes, instance, prepared, work),
            Property::Weight(_) => weight::apply(&*self.host.processes, instance, prepared, work),
        }
    }

    fn probe(&self, order: &StepCommand, prepared: &Prepared, _: &Work<'_>) -> Result<Probe, Failure> {
        let instance = self.settings(&order.instance)?;
        match recorded(prepared)? {
            Property::Host => apply::probe(&self.host, prepared),
            Property::Cpus(_) => affinity::probe(&*self.host.processes, instance, prepared),
            Property::Weight(_) => weight::probe(&*self.host.processes, prepared),
        }
    }

    fn undo(&self, order: &StepCommand, done: &Prepared, work: &Work<'_>) -> Result<Applied, Failure> {
        self.self_guard.check(order)?;
        let instance = self.settings(&order.instance)?;
        match recorded(done)? {
            Property::Host => undo::undo(&self.host, done, work),
            Property::Cpus(_) => affinity::undo(&*self.host.processes, instance, done, work),
            Property::Weight(_) => weight::undo(&*self.host.processes, done, work),
        }
    }

    fn probe_undo(&self, order: &StepCommand, done: &Prepared, _: &Work<'_>) -> Result<Probe, Failure> {
        let instance = self.settings(&order.instance)?;
        match recorded(done)? {
            Property::Host => undo::probe(&self.host, done),
            Property::Cpus(_) => affinity::probe_undo(&*self.host.processes, instance, done),
            Property::Weight(_) => weight::probe_undo(&*self.host.processes, done),
        }
    }

    fn verify(&self, order: &StepCommand, verify: &Verify, work: &Work<'_>) -> Result<Verification, Failure> {
        self.host.evidence.verify(self.settings(&order.instance)?, verify, work)
    }
}

/// What a name of a command stands for; refused when it may not be set.
fn property(name: &str) -> Result<Property, Failure> {
    let row = check::allowed(name)?;
    Ok(match (row.root, &row.kind) {
        (KernelRoot::Proc | KernelRoot::Sys, _) => Property::Host,
        (KernelRoot::Process, KernelKind::Cpus) => Property::Cpus(row),
        (KernelRoot::Process, KernelKind::Numbers(_) | KernelKind::Word(_)) => Property::Weight(row),
    })
}

/// What the ledger's record is about.
fn recorded(prepared: &Prepared) -> Result<Property, Failure> {
    let name = prepared.material.get("parameter").and_then(Value::as_str).unwrap_or_default();
    property(name).map_err(|_| {
        let message =
            format!("the ledger's record is about \"{name}\", which is no longer on the allowed list");
        Failure::permanent("ledger_unreadable", message)
    })
}

/// The value, when it fits type, range and the command's own bounds.
fn legal(wanted: &SetKernel) -> Result<&str, Failure> {
    check::check(wanted)?;
    Ok(&wanted.new_value)
}

fn not_ours() -> Failure {
    Failure::refused(
        "wrong_agent",
        "os-agent sets kernel parameters and the CPUs of an instance, and nothing else",
    )
}
