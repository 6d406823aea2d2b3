//! An agent whose effects are nothing: the real loop, the real ledger with its real syncs, the real fence, and no work.
//!
//! `cargo xtask bench pipeline` runs it as a process, so that what is measured is Instance and not a kernel or a CPF.
//! Every kernel parameter reads "0" and takes whatever is asked for; nothing is kept, so every plan finds a change to
//! make.

use std::{path::PathBuf, process::ExitCode};

use instance_agent::{Agent, AgentError, AgentSettings, Applied, Prepared, Probe, Work};
use instance_chassis::{Context, Service};
use instance_contract::{
    Action, AgentKind, AppliedChange, Failure, Forecast, ForecastReply, InstanceName, SetKernel, StepCommand,
    Verification, Verify,
};
use serde::Deserialize;

/// What every parameter reads, whatever was done to it.
const BEFORE: &str = "0";

/// Settings, table `[noop-agent]`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct Config {
    /// The instances that it pretends to serve. At least one.
    instances: Vec<InstanceName>,
    /// Folder of the ledger.
    state_dir: PathBuf,
    /// Folder of the fence.
    fence_dir: PathBuf,
}

fn main() -> ExitCode {
    Service::named("noop-agent").describe("an agent whose effects are nothing").config::<Config>().run(run)
}

async fn run(context: Context<Config>) -> Result<(), AgentError> {
    let Config { instances, state_dir, fence_dir } = context.config.clone();
    instance_agent::run(context, Noop { instances }, AgentSettings { state_dir, fence_dir }).await
}

struct Noop {
    instances: Vec<InstanceName>,
}

impl Agent for Noop {
    fn kind(&self) -> AgentKind {
        AgentKind::Os
    }

    fn instances(&self) -> Vec<InstanceName> {
        self.instances.clone()
    }

    fn part(&self, _: &Action) -> Option<String> {
        None
    }

    fn facts(&self, _: &InstanceName) -> Result<serde_json::Value, Failure> {
        Ok(serde_json::json!({ "every_parameter": BEFORE }))
    }

    fn forecast(&self, _: &InstanceName, action: &Action) -> ForecastReply {
        match action {
            Action::SetKernel(set) => ForecastReply::Would(Forecast {
                unknown_version: None,
                target: target(set),
                before: BEFORE.to_owned(),
                after: set.new_value.clone(),
                needs_restart: false,
                may_be_live: false,
                restart_reason: String::new(),
                dangerous: false,
                warnings: Vec::new(),
            }),
            Action::Verify(_) => ForecastReply::ReadOnly { warnings: Vec::new() },
            _ => ForecastReply::Wont(not_ours()),
        }
    }

    fn prepare(&self, order: &StepCommand, _: &Work<'_>) -> Result<Prepared, Failure> {
        let set = wanted(order)?;
        Ok(Prepared {
            before: BEFORE.to_owned(),
            wanted: set.new_value.clone(),
            already: false,
            material: serde_json::Value::Null,
        })
    }

    fn apply(&self, order: &StepCommand, prepared: &Prepared, work: &Work<'_>) -> Result<Applied, Failure> {
        let set = wanted(order)?;
        work.before_effect()?;
        Ok(applied(set, &prepared.before, &prepared.wanted))
    }

    fn probe(&self, _: &StepCommand, _: &Prepared, _: &Work<'_>) -> Result<Probe, Failure> {
        // Nothing is kept, so nothing has ever been done.
        Ok(Probe::NotDone)
    }

    fn undo(&self, _: &StepCommand, done: &Prepared, work: &Work<'_>) -> Result<Applied, Failure> {
        work.before_effect()?;
        Ok(nothing_left(done))
    }

    fn probe_undo(&self, _: &StepCommand, done: &Prepared, _: &Work<'_>) -> Result<Probe, Failure> {
        Ok(Probe::Done(nothing_left(done)))
    }

    fn verify(&self, _: &StepCommand, verify: &Verify, _: &Work<'_>) -> Result<Verification, Failure> {
        let findings = vec![format!("{} expectations, believed unseen", verify.expect.len())];
        Ok(Verification { held: true, findings })
    }
}

fn wanted(order: &StepCommand) -> Result<&SetKernel, Failure> {
    match &order.action {
        Action::SetKernel(set) => Ok(set),
        _ => Err(not_ours()),
    }
}

fn target(set: &SetKernel) -> String {
    format!("kernel {}", set.kernel_param)
}

fn applied(set: &SetKernel, from: &str, to: &str) -> Applied {
    let change = AppliedChange {
        parameter: set.kernel_param.clone(),
        old_value: Some(from.to_owned()),
        new_value: Some(to.to_owned()),
        validated: true,
    };
    Applied { changes: vec![(target(set), change)], warnings: Vec::new(), rollback_available: true }
}

fn nothing_left(done: &Prepared) -> Applied {
    let change = AppliedChange {
        parameter: "nothing".to_owned(),
        old_value: Some(done.wanted.clone()),
        new_value: Some(done.before.clone()),
        validated: true,
    };
    Applied { changes: vec![("nothing".to_owned(), change)], warnings: Vec::new(), rollback_available: false }
}

fn not_ours() -> Failure {
    Failure::refused("wrong_agent", "the no-op agent takes kernel parameters and nothing else")
}
