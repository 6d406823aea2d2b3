//! "Running, on a later start than this one": a goal, so that it can be asked for twice.

use std::time::Duration;

use instance_agent::{Applied, Prepared, Probe};
use instance_contract::{AppliedChange, Failure, Forecast, InstanceName};
use instance_iris::cpf::Document;
use serde::{Deserialize, Serialize};

use crate::{
    error::RestartError,
    observe::{LogEnd, Observed, Run, Site, State, logons_enabled},
    permit,
    start::{await_ready, missing, start},
    stop::stop,
};

/// Asked directly before something is changed: may we still act?
pub type LastLook<'a> = &'a dyn Fn() -> Result<(), Failure>;

/// The limits of one attempt.
#[derive(Clone, Copy)]
pub struct Limits<'a> {
    pub last_look: LastLook<'a>,
    /// Time left for the attempt.
    pub remaining: &'a dyn Fn() -> Duration,
}

/// The run that must be over, and the end of the log while it lasted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Former {
    /// In one word, as the plan and the result name it.
    pub state: String,
    pub run: Run,
    pub log: LogEnd,
}

impl Former {
    pub fn of(prepared: &Prepared) -> Result<Self, Failure> {
        serde_json::from_value(prepared.material.clone()).map_err(|error| {
            let message = format!("the ledger's record of the restart cannot be read: {error}");
            Failure::permanent("ledger_unreadable", message)
        })
    }

    pub fn now(site: &Site<'_>, observed: &Observed) -> Result<Self, RestartError> {
        Ok(Self { state: observed.state.to_string(), run: site.run(observed), log: site.log_end()? })
    }

    /// Has the instance been started since?
    pub fn is_over(&self, site: &Site<'_>, observed: &Observed) -> Result<bool, RestartError> {
        if observed.state == State::Down {
            return Ok(false);
        }
        // `since` is told to the second only, so the log is asked too.
        Ok(self.run.is_over(&site.run(observed)) || logons_enabled(&site.log_since(self.log)?))
    }
}

/// What a restart would do.
pub fn forecast(site: &Site<'_>) -> Result<Forecast, RestartError> {
    let observed = site.settled(Duration::ZERO)?;
    let mut warnings = permit::foresee(site)?;
    if observed.state == State::Down {
        warnings.push("the instance is down: it will be started".to_owned());
    }
    if observed.is_primary() {
        warnings
            .push("the instance is the primary of a mirror: it will be stopped without failover".to_owned());
    }
    warnings.extend(longer_shutdown(site));
    Ok(Forecast {
        target: target(&site.instance.name),
        before: observed.state.to_string(),
        after: State::Running.to_string(),
        needs_restart: false,
        restart_reason: "is the restart itself".to_owned(),
        dangerous: false,
        warnings,
    })
}

/// What must be recorded before the effect. Changes nothing.
pub fn prepare(site: &Site<'_>) -> Result<Prepared, RestartError> {
    let observed = site.settled(Duration::ZERO)?;
    permit::check(site, &observed.state)?;
    let former = Former::now(site, &observed)?;
    Ok(Prepared {
        before: former.state.clone(),
        wanted: State::Running.to_string(),
        already: false,
        material: serde_json::to_value(former).expect("texts and numbers are JSON"),
    })
}

/// Stops the run that must be over, if it still lasts, and starts the instance, if it is down.
pub fn bring_up(site: &Site<'_>, former: &Former, limits: Limits<'_>) -> Result<Applied, Failure> {
    let mut figures = Figures::default();
    // After a crash it may be on its way, sent by us.
    let observed = site.settled(site.config.stop_limit().min((limits.remaining)()))?;
    if former.is_over(site, &observed)? {
        await_ready(site, former.log, start_limit(site, limits))?;
        return Ok(figures.applied(site, former));
    }
    permit::check(site, &observed.state)?;
    (limits.last_look)()?;
    if observed.state != State::Down {
        let stopped = stop(site, &observed, site.config.stop_limit().min((limits.remaining)()))?;
        figures.stop = Some(stopped.took);
        figures.warnings = stopped.warnings;
        // From here on the instance is down, and a "no" must say so.
        (limits.last_look)()
            .map_err(|failure| RestartError::NotStarted { reason: failure.cause().to_string() })?;
    }
    let started = start(site, start_limit(site, limits))?;
    figures.start = Some(started.command_took);
    figures.ready = Some(started.ready_took);
    Ok(figures.applied(site, former))
}

/// What is true after a crash with only the intent known.
pub fn probe(site: &Site<'_>, former: &Former) -> Result<Probe, RestartError> {
    let observed = site.observe()?;
    if !former.is_over(site, &observed)? {
        return Ok(Probe::NotDone);
    }
    match missing(&observed, &site.log_since(former.log)?) {
        None => Ok(Probe::Done(Figures::default().applied(site, former))),
        Some(_) if observed.state == State::Hung => {
            Ok(Probe::Other { found: "hung since its start".to_owned() })
        }
        // On its way up: a part is left, the wait.
        Some(_) => Ok(Probe::NotDone),
    }
}

/// As the plan names it.
pub fn target(name: &InstanceName) -> String {
    format!("instance {name}")
}

/// What was measured on the way.
#[derive(Debug, Default)]
struct Figures {
    stop: Option<Duration>,
    start: Option<Duration>,
    ready: Option<Duration>,
    warnings: Vec<String>,
}

impl Figures {
    fn applied(self, site: &Site<'_>, former: &Former) -> Applied {
        let name = &site.instance.name;
        let change = |parameter: &str, old: Option<String>, new: String| AppliedChange {
            parameter: parameter.to_owned(),
            old_value: old,
            new_value: Some(new),
            validated: true,
        };
        let state = change("state", Some(former.state.clone()), State::Running.to_string());
        let mut changes = vec![(target(name), state)];
        let figures = [("stop_ms", self.stop), ("start_ms", self.start), ("ready_ms", self.ready)];
        for (figure, took) in figures {
            let Some(took) = took else { continue };
            changes.push((figure.to_owned(), change(figure, None, took.as_millis().to_string())));
        }
        // What a restart ends cannot be brought back; its undo brings the instance up on the former configuration.
        Applied { changes, warnings: self.warnings, rollback_available: false }
    }
}

fn start_limit(site: &Site<'_>, limits: Limits<'_>) -> Duration {
    site.config.start_limit().min((limits.remaining)())
}

/// IRIS itself waits that long for users before it forces them; our own limit may be over before.
fn longer_shutdown(site: &Site<'_>) -> Option<String> {
    let document = Document::parse(&std::fs::read(&site.instance.cpf).ok()?);
    let seconds: u64 = document.get("Startup", "ShutdownTimeout")?.parse().ok()?;
    let ours = site.config.stop_seconds;
    (seconds > ours).then(|| {
        format!("[Startup] ShutdownTimeout is {seconds} s: the instance may take longer to stop than the {ours} s it is given")
    })
}
