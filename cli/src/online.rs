//! Commands that speak with the bus: one connection, one runtime.

use std::{future::Future, sync::Arc, time::Duration};

use anyhow::{Context as _, Result};
use instance_bus::{Bus, BusError, InvalidSettings, PublishError, RequestError};
use instance_clock::{Clock as _, SystemClock};
use jiff::Timestamp;
use nix::unistd::{User, getuid};

use crate::{
    exit::{self, Exit, Stop},
    session::Session,
    settings, telemetry,
};

/// How long an answer of another process may take, unless `--timeout` says otherwise.
pub const ANSWER: Duration = Duration::from_secs(10);

/// Connects and does the work.
pub fn run<W>(session: &Session, work: impl FnOnce(Bus) -> W) -> Result<Exit>
where
    W: Future<Output = Result<Exit>>,
{
    let settings = settings::bus(&session.global)?;
    let telemetry = telemetry::start(session)?;
    let outcome = block_on(async {
        let bus = Bus::connect(&settings, "instance-cli", Arc::new(SystemClock)).await?;
        let outcome = work(bus.clone()).await;
        match bus.refusals().as_slice() {
            [] => outcome,
            refusals => outcome.map_err(|error| refused(&error, refusals)),
        }
    });
    telemetry::finish(telemetry, session);
    outcome
}

/// What NATS forbids is not answered, so the error itself speaks of time.
fn refused(error: &anyhow::Error, refusals: &[String]) -> anyhow::Error {
    let text =
        format!("NATS refuses this to the user that we are: {} ({})", refusals.join("; "), exit::told(error));
    Stop::new(Exit::Refused, text)
        .next("use the role that may do it; deploy/nats/nats.conf says which")
        .into()
}

/// A runtime of one thread is enough for one operator.
pub fn block_on<T>(work: impl Future<Output = Result<T>>) -> Result<T> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("could not start the runtime")?;
    runtime.block_on(work)
}

pub fn now() -> Timestamp {
    SystemClock.now()
}

/// Who sits here, for the record.
pub fn operator() -> String {
    let user = User::from_uid(getuid()).ok().flatten().map(|user| user.name);
    let mut name = user.unwrap_or_else(|| format!("uid {}", getuid()));
    name.retain(|c| !c.is_control());
    name.chars().take(128).collect()
}

/// The exit code that an error of the bus stands for, and what to do about it.
pub fn verdict(cause: &(dyn std::error::Error + 'static)) -> Option<(Exit, &'static str)> {
    const REACH: &str =
        "is a NATS server running there? Name it with --nats URL; `instance doctor` looks closer";
    const INIT: &str = "run `instance bus init`";
    if let Some(error) = cause.downcast_ref::<BusError>() {
        return Some(match error {
            BusError::Connect { .. } | BusError::ServerTooOld { .. } => (Exit::BusUnreachable, REACH),
            error if error.is_unreachable() => (Exit::BusUnreachable, REACH),
            BusError::TopologyMissing { .. } => {
                (Exit::Failure, "it makes what is missing and changes nothing else")
            }
            BusError::TopologyMismatch { .. } => {
                (Exit::Failure, "`instance bus check` shows every difference")
            }
            BusError::NoDeadLetter { .. } => {
                (Exit::NotFound, "`instance dead-letter list` shows what there is")
            }
            BusError::NotReplayable { .. } | BusError::ShardsFixed { .. } => {
                (Exit::Refused, "nothing was changed")
            }
            _ => return None,
        });
    }
    if let Some(error) = cause.downcast_ref::<PublishError>() {
        return Some(match error {
            PublishError::Unavailable { .. } => (Exit::Failure, INIT),
            PublishError::Unknown { .. } => {
                (Exit::BusUnreachable, "it may have been stored; look before sending it again")
            }
            error if error.is_unreachable() => (Exit::BusUnreachable, REACH),
            _ => return None,
        });
    }
    if let Some(error) = cause.downcast_ref::<RequestError>() {
        return Some(match error {
            RequestError::NobodyThere { .. } => {
                (Exit::NotFound, "is that service running? `instance doctor` tells")
            }
            RequestError::TimedOut { .. } => (Exit::TimedOut, "--timeout waits longer"),
            RequestError::Answered { .. } => (Exit::Refused, "nothing was done"),
            RequestError::Send { .. } => (Exit::BusUnreachable, REACH),
        });
    }
    cause.is::<InvalidSettings>().then_some((Exit::BadConfiguration, "nothing was tried"))
}
