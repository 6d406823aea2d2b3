//! The router: takes RemediationCommands in, plans, drives each remediation to its end.
//!
//! A thin shell around `instance-engine`: it takes deliveries and records from the bus, hands them to the core as
//! events, and does what the core wants done. Everything that could be decided is decided there.
//!
//! Invariant: nothing is kept here that is not in the remediation log. A router that dies is nobody's problem.
//! Invariant: a shard is driven only while its lease is fresh; two owners cannot write the same record twice.
//! Invariant: a command is settled only when its acceptance, or its refusal, stands in the log.
//!
//! Imported by tests only.

mod config;
mod error;
mod own; // Who may drive a shard.
mod share; // How many of them.

mod drive; // Events in, effects out.
mod takeover; // What a new owner reads.

mod count; // What is told of it in numbers.

mod audit; // Beside the plans: what was decided and done, told on.
mod claims; // An id is begun in one shard.
mod facts;
mod hint;
mod intake;
mod lookup;
mod notices; // Halts and dead letters, told too.
mod perform;
mod switch;

use std::{collections::HashMap, sync::Arc};

use instance_chassis::Context;
use instance_contract::Shard;
use instance_planner::Policy;

pub use config::Config;
pub use error::Error;

/// What every shard's driver shares.
struct Router {
    bus: instance_bus::Bus,
    clock: Arc<dyn instance_clock::Clock>,
    drain: instance_chassis::Drain,
    /// Configured name; a router that comes back under its name takes its shards back at once.
    name: String,
    /// Tells two processes of the same name apart.
    process: String,
    policy: Policy,
    default_instance: Option<instance_contract::InstanceName>,
    /// Every command is a dry run, whatever it says, and what was open before is driven as under a halt.
    dry_run: bool,
    /// All shards, ours or not: a command id must be new in each of them.
    shards: Vec<Shard>,
    /// Which of them are ours, and which we are to give away.
    shares: share::Shares,
    lookups: lookup::Lookups,
    claims: claims::Claims,
    hosts: instance_bus::Hosts,
    /// Is the kill switch thrown?
    halted: tokio::sync::watch::Receiver<bool>,
}

impl Router {
    /// Nothing may be sent to an agent: everybody has been halted, or this router changes nothing.
    fn is_halted(&self) -> bool {
        self.dry_run || *self.halted.borrow()
    }
}

/// Drives every shard that can be had until drained.
pub async fn run(ctx: Context<Config>) -> Result<(), Error> {
    let policy = ctx.config.policy(&ctx.carriers)?;
    // N is read from the streams, never from a setting.
    let Some(topology) = ctx.topology().await? else { return Ok(()) };
    let name = ctx.config.name.clone().unwrap_or_else(|| format!("router-{}", ctx.host.token()));
    let shards: Vec<Shard> = topology.shards().collect();
    let (lookups, looking) = lookup::Lookups::new(ctx.bus.clone(), shards.clone());
    // It ends when the last driver is gone, so it is waited for like them.
    ctx.tasks.spawn(looking);
    let (tell, halted) = tokio::sync::watch::channel(switch::is_thrown(&ctx.bus).await);
    ctx.tasks.spawn(switch::watch(ctx.bus.clone(), ctx.drain.clone(), tell));
    let router = Arc::new(Router {
        bus: ctx.bus.clone(),
        clock: Arc::clone(&ctx.clock),
        drain: ctx.drain.clone(),
        name,
        process: ctx.process_id.to_string(),
        policy,
        default_instance: ctx.config.default_instance.clone(),
        dry_run: ctx.dry_run,
        hosts: ctx.bus.hosts_by_instance().await?,
        shares: share::Shares::of(&shards),
        shards: shards.clone(),
        lookups,
        claims: claims::Claims::default(),
        halted,
    });
    for shard in shards {
        let router = Arc::clone(&router);
        ctx.tasks.spawn(async move { own::hold(&router, shard).await });
    }
    ctx.tasks.spawn(async move { share::keep(&router).await });
    discover(&ctx).await
}

/// Answers `$SRV` questions until drained.
async fn discover(ctx: &Context<Config>) -> Result<(), Error> {
    let description = "Takes RemediationCommands in, plans, drives each remediation to its end.";
    let mut service =
        ctx.bus.service("router", env!("CARGO_PKG_VERSION"), description, HashMap::new()).start().await?;
    let serving = async {
        // No endpoint: commands come through the stream. Polled so that PING, INFO and STATS are answered.
        while service.next().await.is_some() {}
    };
    ctx.drain.unless_draining(serving).await;
    ctx.drain.requested().await;
    Ok(())
}
