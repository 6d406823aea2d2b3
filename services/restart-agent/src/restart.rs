//! "Running, on a later start than this one": a goal, so that it can be asked for twice.

use std::time::Duration;

use instance_agent::{Applied, Prepared, Probe};
use instance_chassis::crash_point;
use instance_contract::{Failure, Forecast, InstanceName, RestartInstance, StepKey, WhenUsersStay};
use instance_iris::cpf::Document;
use serde::{Deserialize, Serialize};

use crate::{
    databases::{self, Mounted},
    drain::drain,
    error::RestartError,
    figures::Figures,
    observe::{LogEnd, Observed, Run, Site, State, logons_enabled},
    permit,
    spacing::Restarts,
    start::{Expected, await_ready, ready, start, web_server},
    stop::{await_nothing_left, force, processes_are_seen, stop},
    users::{METRICS_LIMIT, Users},
    waits::Waits,
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
    /// What it had mounted.
    #[serde(default)]
    pub databases: Mounted,
    /// Did its private web server take connections?
    #[serde(default)]
    pub web_server: bool,
    /// Did it run, and say neither `alert` nor `hung` of itself?
    #[serde(default = "yes")]
    pub was_well: bool,
}

/// Where no record tells: then `alert` is held against a start.
const fn yes() -> bool {
    true
}

/// What is asked for, and by which step.
#[derive(Debug, Clone, Copy)]
pub struct Wish<'a> {
    pub restart: RestartInstance,
    pub step: &'a StepKey,
    /// An undo belongs to a restart that was let through already, and must not leave the instance as it is.
    pub is_undo: bool,
    /// Has a person agreed to force, after this step's stop had failed?
    pub force_agreed: bool,
}

impl Former {
    pub fn of(prepared: &Prepared) -> Result<Self, Failure> {
        serde_json::from_value(prepared.material.clone()).map_err(|error| {
            let message = format!("the ledger's record of the restart cannot be read: {error}");
            Failure::permanent("ledger_unreadable", message)
        })
    }

    pub fn now(site: &Site<'_>, observed: &Observed) -> Result<Self, RestartError> {
        let databases = databases::mounted_by_the_start(&site.log_of_this_run()?);
        // A CPF that cannot be read is told by whoever needs it.
        let cpf = site.host.cpf().unwrap_or_default();
        let web_server =
            web_server(site, observed, &Document::parse(&cpf)).is_some_and(|(_, accepts)| accepts);
        Ok(Self {
            state: observed.state.to_string(),
            run: site.run(observed),
            log: site.log_end()?,
            databases,
            web_server,
            was_well: observed.qlist.is_well(),
        })
    }

    fn expected(&self) -> Expected<'_> {
        Expected { databases: &self.databases, web_server: self.web_server, well: self.was_well }
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
pub fn forecast(site: &Site<'_>, wish: &RestartInstance) -> Result<Forecast, RestartError> {
    permit::guard(site)?;
    let observed = site.settled(Duration::ZERO)?;
    if observed.state != State::Down {
        Restarts::of(site)?.check(site, None)?;
    }
    let mut warnings = permit::foresee(site, &observed.state)?;
    warnings.extend(at_stake(site, &observed, wish));
    warnings.extend(longer_shutdown(site, wish));
    Ok(Forecast {
        unknown_version: None,
        target: target(&site.instance.name),
        before: observed.state.to_string(),
        after: State::Running.to_string(),
        needs_restart: false,
        may_be_live: false,
        restart_reason: "is the restart itself".to_owned(),
        dangerous: wish.force,
        warnings,
    })
}

/// What must be recorded before the effect. Changes nothing.
pub fn prepare(site: &Site<'_>, wish: &Wish<'_>) -> Result<Prepared, RestartError> {
    permit::guard(site)?;
    let observed = site.settled(Duration::ZERO)?;
    permit::check(site, &observed.state)?;
    if observed.state != State::Down {
        Restarts::of(site)?.check(site, Some(wish.step))?;
    }
    let former = Former::now(site, &observed)?;
    crash_point("restart.prepared");
    Ok(Prepared {
        before: former.state.clone(),
        wanted: State::Running.to_string(),
        already: false,
        material: serde_json::to_value(former).expect("texts and numbers are JSON"),
    })
}

/// Stops the run that must be over, if it still lasts, and starts the instance, if it is down.
pub fn bring_up(
    site: &Site<'_>,
    former: &Former,
    wish: &Wish<'_>,
    limits: Limits<'_>,
) -> Result<Applied, Failure> {
    permit::guard(site)?;
    let waits = Waits::of(site.config, &wish.restart);
    let mut figures = Figures::default();
    let agreed = stuck(site, former).filter(|_| waits.force && wish.force_agreed);
    let observed = if let Some(stuck) = agreed {
        stuck
    } else {
        // After a crash it may be on its way, sent by us.
        let observed = site.settled(waits.stop.min((limits.remaining)()))?;
        if former.is_over(site, &observed)? {
            let limit = waits.start.min((limits.remaining)());
            figures.ready_now(&await_ready(site, former.log, former.expected(), limit)?);
            return Ok(figures.applied(site, former));
        }
        observed
    };
    permit::check(site, &observed.state)?;
    crash_point("restart.begun");
    if observed.state == State::Down {
        end_former_run(site, wish, limits, &mut figures)?;
        (limits.last_look)()?;
    } else {
        bring_down(site, &observed, wish, limits, &mut figures)?;
        // From here on the instance is down, and a "no" must say so.
        (limits.last_look)()
            .map_err(|failure| RestartError::NotStarted { reason: failure.cause().to_string() })?;
    }
    let started = start(site, former.expected(), waits.start.min((limits.remaining)()))?;
    figures.started(&started);
    Ok(figures.applied(site, former))
}

/// The very run that a person has agreed to kill, where it is neither up nor down: its stop has not come to an end.
fn stuck(site: &Site<'_>, former: &Former) -> Option<Observed> {
    let observed = site.observe().ok().filter(|observed| matches!(observed.state, State::Other(_)))?;
    let (before, now) = (&former.run, site.run(&observed));
    let is_same = before.process.is_some() && before.process == now.process && before.boot_id == now.boot_id;
    is_same.then_some(observed)
}

/// "Down" is not believed of a run whose processes are there: a stop that failed, in an earlier attempt or in the restart
/// that is undone, may end in that. Those of a stop that this very step has asked for are forced down where everybody
/// agrees, the person who was asked again among them.
fn end_former_run(
    site: &Site<'_>,
    wish: &Wish<'_>,
    limits: Limits<'_>,
    figures: &mut Figures,
) -> Result<(), Failure> {
    let waits = Waits::of(site.config, &wish.restart);
    let left = match await_nothing_left(site, waits.for_stop((limits.remaining)())) {
        Ok(()) => return Ok(()),
        Err(left @ RestartError::ProcessesLeft { .. }) => left,
        Err(error) => return Err(error.into()),
    };
    let asked = wish.is_undo || wish.force_agreed || Restarts::of(site)?.has(wish.step);
    if !asked {
        return Err(left.into());
    }
    let failed = RestartError::StopNeverEnded(Box::new(left));
    if !waits.force {
        return Err(failed.into());
    }
    if !wish.force_agreed {
        return Err(RestartError::ForceNotAgreed(Box::new(failed)).into());
    }
    force_down(site, limits, figures)
}

fn force_down(site: &Site<'_>, limits: Limits<'_>, figures: &mut Figures) -> Result<(), Failure> {
    (limits.last_look)()?;
    let forced = force(site, (limits.remaining)())?;
    figures.forced = true;
    figures.stopped(forced);
    Ok(())
}

/// Users first, then the stop. Where that fails and force is wanted, a person is asked; with the person's yes the next
/// attempt forces at once: users were waited for, and the stop has been asked for.
fn bring_down(
    site: &Site<'_>,
    observed: &Observed,
    wish: &Wish<'_>,
    limits: Limits<'_>,
    figures: &mut Figures,
) -> Result<(), Failure> {
    let waits = Waits::of(site.config, &wish.restart);
    let forces = waits.force && wish.force_agreed;
    if forces || observed.state == State::Hung {
        let why = if forces { "a person agreed to force" } else { "it hangs, so nobody can work in it" };
        figures.warn(format!("{why}: users were not waited for"));
    } else {
        let stay = wish.restart.when_users_stay.unwrap_or(site.config.when_users_stay);
        let stay = if wish.is_undo { WhenUsersStay::Stop } else { stay };
        figures.drained(drain(site, observed, stay, waits.for_users((limits.remaining)()))?);
    }
    processes_are_seen(site)?;
    (limits.last_look)()?;
    let mut restarts = Restarts::of(site)?;
    if !wish.is_undo {
        restarts.note(site, wish.step)?;
    }
    if forces {
        return force_down(site, limits, figures);
    }
    let stopped = stop(site, observed, wish.restart.failover, waits.for_stop((limits.remaining)()));
    if let Err(RestartError::StopFailed { still_runs: true, .. }) = &stopped
        && !wish.is_undo
    {
        restarts.forget(wish.step)?;
    }
    match stopped {
        Err(failed @ RestartError::StopFailed { .. }) if waits.force => {
            Err(RestartError::ForceNotAgreed(Box::new(failed)).into())
        }
        stopped => {
            figures.stopped(stopped?);
            Ok(())
        }
    }
}

/// What is true after a crash with only the intent known.
pub fn probe(site: &Site<'_>, former: &Former) -> Result<Probe, RestartError> {
    let observed = site.observe()?;
    if !former.is_over(site, &observed)? {
        return Ok(Probe::NotDone);
    }
    match ready(site, &observed, &site.log_since(former.log)?, former.expected()) {
        Ok(ready) => {
            let mut figures = Figures::default();
            figures.ready_now(&ready);
            Ok(Probe::Done(figures.applied(site, former)))
        }
        Err(_) if observed.state == State::Hung => {
            Ok(Probe::Other { found: "hung since its start".to_owned() })
        }
        // On its way up: a part is left, the wait.
        Err(_) => Ok(Probe::NotDone),
    }
}

/// As the plan names it.
pub fn target(name: &InstanceName) -> String {
    format!("instance {name}")
}

/// What a person who is to agree should know of the instance as it is now.
fn at_stake(site: &Site<'_>, observed: &Observed, wish: &RestartInstance) -> Vec<String> {
    let mut warnings = Vec::new();
    if observed.state == State::Down {
        return vec!["the instance is down: it will be started".to_owned()];
    }
    if observed.is_primary() {
        let how =
            if wish.failover { "its partner takes over" } else { "it will be stopped without failover" };
        warnings.push(format!("the instance is the primary of a mirror: {how}"));
    }
    if observed.state == State::Running {
        let users = Users::of(site, observed, METRICS_LIMIT);
        if users.are_there() {
            warnings.push(format!("there are {users}"));
        }
        if !users.unseen.is_empty() {
            let unseen = users.unseen.join(", ");
            let stay = wish.when_users_stay.unwrap_or(site.config.when_users_stay);
            warnings.push(match stay {
                WhenUsersStay::Stop => format!("could not see {unseen}"),
                WhenUsersStay::Answer => {
                    format!("could not see {unseen}: nothing is stopped as long as that is so")
                }
            });
        }
    }
    if wish.force && site.config.allow_force {
        warnings
            .push("an instance that does not stop in time is killed, as by a crash (iris force)".to_owned());
    } else if wish.force {
        warnings.push(
            "force is asked for, but \"allow_force\" in the settings of restart-agent is off".to_owned(),
        );
    }
    warnings
}

/// IRIS itself waits that long for users before it forces them; our own limit may be over before.
fn longer_shutdown(site: &Site<'_>, wish: &RestartInstance) -> Option<String> {
    let document = Document::parse(&site.host.cpf().ok()?);
    let seconds: u64 = document.get("Startup", "ShutdownTimeout")?.parse().ok()?;
    let ours = Waits::of(site.config, wish).stop.as_secs();
    (seconds > ours).then(|| {
        format!("[Startup] ShutdownTimeout is {seconds} s: the instance may take longer to stop than the {ours} s it is given")
    })
}
