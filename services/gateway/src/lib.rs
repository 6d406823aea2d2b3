//! gateway: HTTP for people and other systems: alerts and commands in, what became of them out.
//!
//! Invariant: nobody is heard without a credential but who asks for health and for the OpenAPI document; a missing and a
//! wrong credential take the same way and get the same answer.
//! Invariant: who asks is who the credential says; a body cannot speak in another name.
//! Invariant: what is acknowledged stands on the bus. Nothing is kept here that would be missed after a death.
//! Invariant: an alert becomes at most one command, however often, and through however many gateways, it comes; and none
//! at all when it is about what carries Instance. One that nothing is done about, or that goes on when its remediation has
//! ended, calls a person, once.
//! Invariant: text of an alert is data. It chooses a row of the table, and is never a value of a command.
//! Invariant: everything that comes in is bounded: connections, requests, bytes, time.
//!
//! Imported by tests only.

mod config;
mod error;

mod routes; // Read this first: what can be asked.

mod auth;
mod guard;
mod limit;
mod problem;
mod serve;
mod strangers; // Who has no credential that is known. // Connections, and who may come in.

mod alerts; // Alertmanager.
mod commands;

mod approvals;
mod events;
mod remediations; // What became of them.

mod assert; // For chaos tools.
mod health;

mod decisions; // For the audit trail.

mod openapi;

use std::{collections::HashMap, sync::Arc};

use instance_chassis::Context;
use tokio::{net::TcpListener, sync::Semaphore};

pub use crate::{
    config::{AlertSettings, CallerSettings, Config, Limits, Right},
    error::Error,
    openapi::document as openapi,
};

/// So many alerts become calls of a person, on and on; nobody reads more.
const CALLS_PER_HOUR: u16 = 60;
/// So many at once: a bad day of a large site.
const CALLS_AT_ONCE: u16 = 100;
/// How many lists are read from the log at a time.
const READINGS: usize = 2;

/// What every request shares.
struct Gateway {
    bus: instance_bus::Bus,
    clock: Arc<dyn instance_clock::Clock>,
    drain: instance_chassis::Drain,
    readiness: instance_chassis::Readiness,
    /// Let nothing pass that would change something.
    dry_run: bool,
    config: Config,
    carriers: instance_contract::Carriers,
    /// The machine that this runs on.
    host: instance_contract::HostName,
    callers: auth::Callers,
    table: alerts::Table,
    told: alerts::Told,
    /// Of which alerts the audit trail has heard.
    told_of: alerts::Told,
    /// For what needs no credential.
    open: limit::Limit,
    /// How often a person is called about an alert.
    calls: limit::Limit,
    /// How often a refused credential is told in the log.
    refusals: limit::Limit,
    /// How often a peer may be wrong about who it is.
    strangers: strangers::Strangers,
    /// What the audit trail has to hear.
    decisions: decisions::Decisions,
    answered: health::Answered,
    readings: Arc<Semaphore>,
    event_streams: Arc<Semaphore>,
}

/// Serves until drained.
pub async fn run(ctx: Context<Config>) -> Result<(), Error> {
    let address = ctx.config.listen_plain.unwrap_or(ctx.config.listen.0);
    let listener = TcpListener::bind(address).await.map_err(|source| Error::Listen { address, source })?;
    run_on(ctx, listener).await
}

/// As [`run`], on a socket that is bound already.
pub async fn run_on(ctx: Context<Config>, listener: TcpListener) -> Result<(), Error> {
    let mut config = ctx.config.clone();
    config.alerts.dry_run |= ctx.dry_run;
    let limits = config.limits;
    let callers = auth::Callers::read(&config.callers, limits)?;
    if callers.is_empty() {
        tracing::warn!("the setting \"callers\" is empty, so every alert, command and question is refused");
    }
    let gateway = Arc::new(Gateway {
        bus: ctx.bus.clone(),
        clock: Arc::clone(&ctx.clock),
        drain: ctx.drain.clone(),
        readiness: ctx.readiness.clone(),
        dry_run: ctx.dry_run,
        carriers: ctx.carriers.clone(),
        host: ctx.host.clone(),
        callers,
        table: alerts::Table::new(&config.alerts.rows)?,
        told: alerts::Told::default(),
        told_of: alerts::Told::default(),
        open: limit::Limit::new(limits.requests_per_second, limits.burst),
        calls: limit::Limit::hourly(CALLS_PER_HOUR, CALLS_AT_ONCE),
        refusals: limit::Limit::new(1, 1),
        strangers: strangers::Strangers::new(limits),
        decisions: decisions::Decisions::default(),
        answered: health::Answered::default(),
        readings: Arc::new(Semaphore::new(READINGS)),
        event_streams: Arc::new(Semaphore::new(limits.event_streams.into())),
        config,
    });
    if let Ok(address) = listener.local_addr() {
        tracing::info!(%address, "serving HTTP");
    }
    let router = routes::router(&gateway);
    let serving = serve::serve(listener, router, limits, &ctx.drain, &ctx.tasks);
    let (served, discovered, ()) = tokio::join!(serving, discover(&ctx), Box::pin(decisions::keep(&gateway)));
    Box::pin(decisions::last_words(&gateway)).await;
    served?;
    discovered
}

/// Answers `$SRV` questions until drained.
async fn discover(ctx: &Context<Config>) -> Result<(), Error> {
    let description = "HTTP for people and other systems.";
    let version = env!("CARGO_PKG_VERSION");
    let mut service = ctx.bus.service("gateway", version, description, HashMap::new()).start().await?;
    let serving = async {
        // No endpoint of its own: requests come by HTTP. Polled so that PING, INFO and STATS are answered.
        while service.next().await.is_some() {}
    };
    ctx.drain.unless_draining(serving).await;
    ctx.drain.requested().await;
    Ok(())
}
