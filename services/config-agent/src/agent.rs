use std::{sync::Arc, time::Duration};

use instance_agent::{
    Agent, AgentError, AgentSettings, Applied, InstanceSettings, Prepared, Probe, SelfGuard, Work, settings,
};
use instance_chassis::Context;
use instance_clock::Clock;
use instance_contract::{
    Action, AgentKind, Failure, ForecastReply, InstanceName, LicenseAction, StepCommand, Verification, Verify,
};
use instance_iris::cpf;
use serde_json::json;

use crate::{
    apply::{self, Limits, Site},
    config::Config,
    host::{CpfFile, Host, LocalHost},
    license, undo,
    wanted::Wanted,
};

/// Serves the instances of the settings until a drain is asked for.
pub async fn run(context: Context<Config>) -> Result<(), AgentError> {
    instance_agent::use_knowledge(context.config.knowledge_dir.as_deref())?;
    let (state_dir, fence_dir) = (context.config.state_dir.clone(), context.config.fence_dir.clone());
    let agent = ConfigAgent::new(context.config.clone(), Arc::clone(&context.clock))
        .guarded_by(SelfGuard::of(&context));
    agent.tidy();
    instance_agent::run(context, agent, AgentSettings { state_dir, fence_dir }).await
}

/// The agent that changes `iris.cpf`.
#[derive(Debug)]
pub struct ConfigAgent {
    config: Config,
    clock: Arc<dyn Clock>,
    host: Box<dyn Host>,
    self_guard: SelfGuard,
}

impl ConfigAgent {
    /// On this machine.
    pub fn new(config: Config, clock: Arc<dyn Clock>) -> Self {
        let host = Box::new(LocalHost::of(&config));
        Self { config, clock, host, self_guard: SelfGuard::default() }
    }

    #[must_use]
    pub fn guarded_by(self, self_guard: SelfGuard) -> Self {
        Self { self_guard, ..self }
    }

    /// Before anything is served: no step of this agent can be running.
    fn tidy(&self) {
        for instance in &self.config.instances {
            if let Err(failure) = self.host.tidy(instance).and_then(|()| self.host.settle(instance)) {
                tracing::warn!(instance = %instance.name, %failure, "could not tidy up beside the CPF");
            }
        }
    }

    fn site(&self, instance: &InstanceName) -> Result<Site<'_>, Failure> {
        Ok(Site {
            host: &*self.host,
            instance: self.settings(instance)?,
            instances: &self.config.instances,
            kept_backups: self.config.kept_backups.get(),
        })
    }

    fn settings(&self, instance: &InstanceName) -> Result<&InstanceSettings, Failure> {
        settings::find(&self.config.instances, instance)
    }

    /// What the CPFs of this host's instances name, also of those that do not run now.
    fn ports_of_instances(&self) -> Vec<u16> {
        let read = |instance: &InstanceSettings| self.host.open(instance).ok();
        let files = self.config.instances.iter().filter_map(read);
        files
            .flat_map(|file| ["DefaultPort", "WebServerPort"].map(|name| port(file.document(), name)))
            .flatten()
            .collect()
    }

    fn license(
        &self,
        instance: &InstanceName,
        action: LicenseAction,
        limit: Duration,
    ) -> Result<Vec<String>, Failure> {
        let known = license::Known::read(&*self.host, self.settings(instance)?, limit);
        Ok(license::answer(action, &known, self.clock.now()))
    }
}

impl Agent for ConfigAgent {
    fn kind(&self) -> AgentKind {
        AgentKind::Config
    }

    fn instances(&self) -> Vec<InstanceName> {
        self.config.instances.iter().map(|instance| instance.name.clone()).collect()
    }

    /// A merge reaches into the running instance; else only the file is written.
    fn part(&self, action: &Action) -> Option<String> {
        let wanted = Wanted::of(action)?;
        (!wanted.changes.live).then(|| "iris.cpf".to_owned())
    }

    fn facts(&self, instance: &InstanceName) -> Result<serde_json::Value, Failure> {
        let site = self.site(instance)?;
        let file = site.host.open(site.instance)?;
        let mut told = facts(&*file, site.host.license_key(site.instance).is_ok());
        told["values"] = values(file.document());
        told["journal"] = site.host.journal_places(&*file).facts();
        let web_port = port(file.document(), "WebServerPort");
        let free = web_port.and_then(|port| site.host.free_port_above(port, &self.ports_of_instances()));
        told["free_web_port"] = json!(free);
        Ok(told)
    }

    fn forecast(&self, instance: &InstanceName, action: &Action) -> ForecastReply {
        let forecast = self.site(instance).and_then(|site| match (Wanted::of(action), action) {
            (Some(wanted), _) => apply::forecast(&site, &wanted).map(ForecastReply::Would),
            (None, Action::CheckLicense(check)) => {
                Ok(ForecastReply::ReadOnly { warnings: self.license(instance, check.action, Duration::MAX)? })
            }
            (None, Action::Verify(_)) => Ok(ForecastReply::ReadOnly { warnings: Vec::new() }),
            (None, other) => Err(not_ours(other)),
        });
        forecast.unwrap_or_else(ForecastReply::Wont)
    }

    fn prepare(&self, order: &StepCommand, _: &Work<'_>) -> Result<Prepared, Failure> {
        match (Wanted::of(&order.action), &order.action) {
            (Some(wanted), _) => apply::prepare(&self.site(&order.instance)?, &wanted),
            // Reads only, so there is nothing to record and nothing to do.
            (None, Action::CheckLicense(_)) => Ok(Prepared {
                before: String::new(),
                wanted: String::new(),
                already: true,
                material: serde_json::Value::Null,
            }),
            (None, other) => Err(not_ours(other)),
        }
    }

    fn apply(&self, order: &StepCommand, prepared: &Prepared, work: &Work<'_>) -> Result<Applied, Failure> {
        self.self_guard.check(order)?;
        let site = self.site(&order.instance)?;
        match (Wanted::of(&order.action), &order.action) {
            (Some(wanted), _) => {
                apply::apply(&site, &wanted, prepared, limits(work, &|| work.before_effect()))
            }
            // The answer is all that there is; it goes back as what an operator reads.
            (None, Action::CheckLicense(check)) => Ok(Applied {
                changes: Vec::new(),
                warnings: self.license(&order.instance, check.action, work.remaining())?,
                rollback_available: false,
            }),
            (None, other) => Err(not_ours(other)),
        }
    }

    fn probe(&self, order: &StepCommand, prepared: &Prepared, _: &Work<'_>) -> Result<Probe, Failure> {
        apply::probe(&self.site(&order.instance)?, prepared)
    }

    fn undo(&self, order: &StepCommand, done: &Prepared, work: &Work<'_>) -> Result<Applied, Failure> {
        self.self_guard.check(order)?;
        undo::undo(&self.site(&order.instance)?, done, limits(work, &|| work.before_effect()))
    }

    fn probe_undo(&self, order: &StepCommand, done: &Prepared, _: &Work<'_>) -> Result<Probe, Failure> {
        undo::probe(&self.site(&order.instance)?, done)
    }

    fn verify(&self, order: &StepCommand, verify: &Verify, work: &Work<'_>) -> Result<Verification, Failure> {
        self.host.verify(self.settings(&order.instance)?, verify, work)
    }
}

fn limits<'a>(work: &Work<'_>, last_look: &'a dyn Fn() -> Result<(), Failure>) -> Limits<'a> {
    Limits { last_look, remaining: work.remaining() }
}

fn facts(file: &dyn CpfFile, license_key_present: bool) -> serde_json::Value {
    let document = file.document();
    let faults: Vec<_> = cpf::check(document)
        .into_iter()
        .map(|fault| json!({"line": fault.line, "rule": fault.rule.name(), "text": fault.text}))
        .collect();
    let value = |name: &str| document.get("config", name);
    json!({
        "cpf": file.path(),
        "cpf_sha256": file.digest(),
        "cpf_version": document.version(),
        "cpf_product": document.get("ConfigFile", "Product"),
        "cpf_faults": faults,
        "globals": value("globals"),
        "routines": value("routines"),
        "gmheap": value("gmheap"),
        "locksiz": value("locksiz"),
        "jrnbufs": value("jrnbufs"),
        "memlock": value("memlock"),
        "superserver_port": document.get("Startup", "DefaultPort"),
        "shutdown_timeout_seconds": document.get("Startup", "ShutdownTimeout"),
        "license_key_present": license_key_present,
    })
}

/// The values that runbooks ask for, by section and name.
fn values(document: &cpf::Document) -> serde_json::Value {
    let mut told = json!({});
    for name in instance_knowledge::facts().iter().filter_map(|fact| fact.asked.as_ref()?.cpf.as_ref()) {
        told[&name.section][&name.parameter] = json!(document.get(&name.section, &name.parameter));
    }
    told
}

fn port(document: &cpf::Document, parameter: &str) -> Option<u16> {
    document.get("Startup", parameter)?.parse().ok().filter(|port| *port > 0)
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
