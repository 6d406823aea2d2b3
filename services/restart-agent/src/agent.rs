use std::sync::Arc;

use instance_agent::{
    Agent, AgentError, AgentSettings, Applied, Prepared, Probe, SelfGuard, Work, evidence, settings,
};
use instance_chassis::Context;
use instance_clock::Clock;
use instance_contract::{
    Action, AgentKind, Expectation, Failure, ForecastReply, InstanceName, RestartInstance, StepCommand,
    StepKey, Verification, Verify,
};
use serde_json::{Value, json};

use crate::{
    config::Config,
    databases,
    observe::Site,
    restart::{self, Former, Limits, Wish},
    start,
    undo::{self, Record},
    users::{METRICS_LIMIT, Users},
};

/// Serves the instances of the settings until a drain is asked for.
pub async fn run(context: Context<Config>) -> Result<(), AgentError> {
    instance_agent::use_knowledge(context.config.knowledge_dir.as_deref())?;
    let (state_dir, fence_dir) = (context.config.state_dir.clone(), context.config.fence_dir.clone());
    let agent = RestartAgent::new(context.config.clone(), Arc::clone(&context.clock))
        .guarded_by(SelfGuard::of(&context));
    instance_agent::run(context, agent, AgentSettings { state_dir, fence_dir }).await
}

/// The agent that stops and starts IRIS instances.
pub struct RestartAgent {
    config: Config,
    clock: Arc<dyn Clock>,
    self_guard: SelfGuard,
}

impl RestartAgent {
    pub fn new(config: Config, clock: Arc<dyn Clock>) -> Self {
        Self { config, clock, self_guard: SelfGuard::default() }
    }

    #[must_use]
    pub fn guarded_by(self, self_guard: SelfGuard) -> Self {
        Self { self_guard, ..self }
    }

    /// Only an instance of the settings is ever touched.
    fn site(&self, name: &InstanceName) -> Result<Site<'_>, Failure> {
        let instance = settings::find(&self.config.instances, name)?;
        Ok(Site::new(&self.config, instance, &*self.clock))
    }

    /// For what a step does: it ends with the step.
    fn site_within(&self, name: &InstanceName, work: &Work<'_>) -> Result<Site<'_>, Failure> {
        Ok(self.site(name)?.within(work.remaining()))
    }
}

impl Agent for RestartAgent {
    fn kind(&self) -> AgentKind {
        AgentKind::Restart
    }

    fn instances(&self) -> Vec<InstanceName> {
        self.config.instances.iter().map(|instance| instance.name.clone()).collect()
    }

    /// A stop and a start reach everything.
    fn part(&self, _: &Action) -> Option<String> {
        None
    }

    fn facts(&self, instance: &InstanceName) -> Result<Value, Failure> {
        let site = self.site(instance)?;
        let observed = site.observe().map_err(Failure::from)?;
        let conditions = evidence::conditions_in(&site.log_of_this_run().map_err(Failure::from)?);
        let conditions: Vec<_> = conditions.into_iter().map(|(id, text)| json!([id, text])).collect();
        let qlist = &observed.qlist;
        Ok(json!({
            "state": observed.state.to_string(),
            "since": qlist.since,
            "health": qlist.health.to_string(),
            "version": qlist.version,
            "product": qlist.product,
            "directory": qlist.directory,
            "data_directory": qlist.data_directory,
            "superserver_port": qlist.superserver_port,
            "web_server_port": qlist.web_server_port,
            "mirror_member": qlist.mirror_member,
            "mirror_status": qlist.mirror_status,
            "process": site.run(&observed).process,
            "users": Users::of(&site, &observed, METRICS_LIMIT).facts(),
            "databases": databases::mounted(&site.log_of_this_run().map_err(Failure::from)?),
            "conditions_since_last_start": conditions,
        }))
    }

    fn forecast(&self, instance: &InstanceName, action: &Action) -> ForecastReply {
        let forecast = self.site(instance).and_then(|site| match action {
            Action::Restart(wish) => Ok(ForecastReply::Would(restart::forecast(&site, wish)?)),
            Action::Verify(_) => Ok(ForecastReply::ReadOnly { warnings: Vec::new() }),
            _ => Err(not_ours()),
        });
        forecast.unwrap_or_else(ForecastReply::Wont)
    }

    fn prepare(&self, order: &StepCommand, work: &Work<'_>) -> Result<Prepared, Failure> {
        let site = self.site_within(&order.instance, work)?;
        match &order.action {
            Action::Restart(restart) => {
                let step = order.key();
                let wish = wish(*restart, &step, order.force_agreed);
                Ok(restart::prepare(&site, &wish)?)
            }
            _ => Err(not_ours()),
        }
    }

    fn apply(&self, order: &StepCommand, prepared: &Prepared, work: &Work<'_>) -> Result<Applied, Failure> {
        self.self_guard.check(order)?;
        let site = self.site_within(&order.instance, work)?;
        let limits = Limits { last_look: &|| work.before_effect(), remaining: &|| work.remaining() };
        match &order.action {
            Action::Restart(restart) => {
                let step = order.key();
                let wish = wish(*restart, &step, order.force_agreed);
                restart::bring_up(&site, &Former::of(prepared)?, &wish, limits)
            }
            _ => Err(not_ours()),
        }
    }

    fn probe(&self, order: &StepCommand, prepared: &Prepared, work: &Work<'_>) -> Result<Probe, Failure> {
        let site = self.site_within(&order.instance, work)?;
        Ok(restart::probe(&site, &Former::of(prepared)?)?)
    }

    fn undo(&self, order: &StepCommand, done: &Prepared, work: &Work<'_>) -> Result<Applied, Failure> {
        self.self_guard.check(order)?;
        let site = self.site_within(&order.instance, work)?;
        let limits = Limits { last_look: &|| work.before_effect(), remaining: &|| work.remaining() };
        let key = order.key();
        undo::undo(&site, &Record::of(&site, &key), done, &key, limits)
    }

    fn probe_undo(&self, order: &StepCommand, done: &Prepared, work: &Work<'_>) -> Result<Probe, Failure> {
        let site = self.site_within(&order.instance, work)?;
        undo::probe(&site, &Record::of(&site, &order.key()), done)
    }

    fn verify(&self, order: &StepCommand, verify: &Verify, work: &Work<'_>) -> Result<Verification, Failure> {
        let site = self.site_within(&order.instance, work)?;
        let verified = site.host.verify(verify, work)?;
        if !verified.held || !verify.expect.contains(&Expectation::InstanceHealthy {}) {
            return Ok(verified);
        }
        // Whoever listens on its port must be the instance.
        let observed = site.observe().map_err(Failure::from)?;
        Ok(match start::superserver_is_its_own(&site, &observed) {
            Ok(_) => verified,
            Err(found) => {
                let finding =
                    format!("instance {}: expected its own superserver, found that {found}", order.instance);
                Verification { held: false, findings: [verified.findings, vec![finding]].concat() }
            }
        })
    }
}

fn wish(restart: RestartInstance, step: &StepKey, force_agreed: bool) -> Wish<'_> {
    Wish { restart, step, is_undo: false, force_agreed }
}

fn not_ours() -> Failure {
    Failure::refused("wrong_agent", "restart-agent restarts instances and nothing else")
}
