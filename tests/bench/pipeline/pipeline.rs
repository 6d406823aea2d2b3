//! A running pipeline, ours or the bare chain: server, router and agent as processes, and a client.

use std::{
    path::{Path, PathBuf},
    process::Command,
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail, ensure};
use async_nats::jetstream;
use instance_bus::{Bus, Resolved, TopologyOptions, topology};
use instance_clock::{Clock as _, SystemClock};
use instance_contract::{AgentKind, Shard, subject};
use tempfile::TempDir;

use crate::{
    chain,
    endings::Endings,
    orders::{Orders, instance},
    process::Process,
    server::{Server, Sync},
};

/// Longer than any workflow may take, thousands of others being in flight.
const PATIENCE: Duration = Duration::from_mins(4);

/// Nobody is asked for consent.
const FREE: &str = "approve_restarts = false\napprove_dangerous = false\nquiet_seconds = 0\n";
/// Every change waits for a person who never answers.
const ASKING: &str = "approve_os = true\napproval_seconds = 3600\n";

/// What the router's policy says about consent.
#[derive(Debug, Clone, Copy)]
pub enum Consent {
    Free,
    Asked,
}

/// The programs that are measured.
#[derive(Debug, Clone)]
pub struct Programs {
    pub router: PathBuf,
    pub agent: PathBuf,
    /// This program, which also is router and agent of the bare chain.
    pub ourselves: PathBuf,
    /// Log filter of router and agent.
    pub log: String,
    /// Where router and agent export everything, if anywhere.
    pub collector: Option<String>,
}

impl Programs {
    /// What router and agent are told on their command lines.
    fn words(&self) -> Vec<String> {
        let mut words = vec!["--log".to_owned(), self.log.clone()];
        if let Some(endpoint) = &self.collector {
            let set =
                [format!("telemetry.otlp_endpoint={endpoint}"), "telemetry.listen=127.0.0.1:0".to_owned()];
            words.extend(set.into_iter().flat_map(|set| ["--set".to_owned(), set]));
        }
        words
    }
}

/// One run of a pipeline. Dropping it ends its processes.
pub struct Pipeline {
    pub router: Process,
    pub agent: Process,
    pub server: Server,
    pub orders: Orders,
    pub js: jetstream::Context,
    /// Streams of the log, by shard.
    pub logs: Vec<String>,
    pub commands: &'static str,
    pub ledger: PathBuf,
    /// Names of the two connections, as the server knows them.
    pub connections: [&'static str; 2],
    /// `None` for the bare chain.
    pub bus: Option<Bus>,
    endings: Endings,
    folder: TempDir,
}

/// One finished workflow.
pub struct Finished {
    pub id: String,
    pub took: Duration,
    /// Unix nanoseconds.
    pub sent_at: i128,
    pub seen_at: i128,
}

impl Pipeline {
    /// Starts everything, and returns when a command can be taken.
    pub async fn start(
        programs: &Programs,
        orders: Orders,
        sync: Sync,
        shards: u16,
        lanes: usize,
    ) -> Result<Self> {
        match orders {
            Orders::Product { .. } => {
                Self::product(programs, orders, sync, shards, (lanes, Consent::Free)).await
            }
            Orders::Chain { .. } => Self::chain(programs, orders, sync, shards).await,
        }
    }

    /// Ours, with as many instances as there are lanes.
    pub async fn product(
        programs: &Programs,
        orders: Orders,
        sync: Sync,
        shards: u16,
        (lanes, consent): (usize, Consent),
    ) -> Result<Self> {
        let folder = folder()?;
        let server = Server::start(sync)?;
        let bus = Bus::connect(&Resolved::at(&server.url()), "bench", Arc::new(SystemClock)).await?;
        bus.init(&TopologyOptions { shards: Some(shards), replicas: 1 }).await?;
        let head = format!("host = \"bench\"\n\n[nats]\nurl = \"{}\"\n", server.url());
        let policy = match consent {
            Consent::Free => FREE,
            Consent::Asked => ASKING,
        };
        let settings = format!("{head}\n[router]\nname = \"bench\"\n\n[router.policy]\n{policy}");
        let mut agent =
            service(&programs.agent, folder.path(), "agent", &agent_settings(&head, folder.path(), lanes))?;
        let mut router = service(&programs.router, folder.path(), "router", &settings)?;
        let agent = Process::start("agent", folder.path(), agent.args(programs.words()))?;
        let router = Process::start("router", folder.path(), router.args(programs.words()))?;
        let logs: Vec<String> = (0..shards).map(|shard| topology::remediations(Shard(shard))).collect();
        let ends = (0..shards).map(|shard| subject::records_of(Shard(shard), "ended").to_string());
        let watched: Vec<_> = logs.iter().cloned().zip(ends).collect();
        let js = client(&server).await?;
        let endings = Endings::watch(&js, &watched).await?;
        let ledger = folder.path().join("state/ledger");
        let connections = ["router", "noop-agent"];
        let commands = topology::COMMANDS;
        let mut pipeline = Self {
            router,
            agent,
            server,
            orders,
            js,
            logs,
            commands,
            ledger,
            connections,
            bus: None,
            endings,
            folder,
        };
        pipeline.await_hosts(&bus, lanes).await?;
        pipeline.bus = Some(bus);
        Ok(pipeline)
    }

    /// Kills the router and starts it anew on what stands there.
    pub fn start_router_anew(&mut self, programs: &Programs) -> Result<()> {
        self.router.end();
        let mut command = Command::new(&programs.router);
        command.arg("--config").arg(self.folder.path().join("router.toml")).args(programs.words());
        self.router = Process::start("router", self.folder.path(), &mut command)?;
        Ok(())
    }

    async fn chain(programs: &Programs, orders: Orders, sync: Sync, shards: u16) -> Result<Self> {
        let folder = folder()?;
        let server = Server::start(sync)?;
        let js = client(&server).await?;
        let shards = u32::from(shards);
        chain::set_up(&js, shards).await?;
        let ledger = folder.path().join("ledger");
        let role = |name: &str| {
            let mut command = Command::new(&programs.ourselves);
            command.args([name, &server.url(), &shards.to_string()]).arg(&ledger);
            command
        };
        let agent = Process::start("agent", folder.path(), &mut role("bare-agent"))?;
        let router = Process::start("router", folder.path(), &mut role("bare-router"))?;
        let logs: Vec<String> = (0..shards).map(chain::log_stream).collect();
        let ends = (0..shards).map(|shard| format!("bare.log.{shard}.*.ended"));
        let watched: Vec<_> = logs.iter().cloned().zip(ends).collect();
        let endings = Endings::watch(&js, &watched).await?;
        let connections = ["router", "agent"];
        let commands = chain::COMMANDS;
        Ok(Self {
            router,
            agent,
            server,
            orders,
            js,
            logs,
            commands,
            ledger,
            connections,
            bus: None,
            endings,
            folder,
        })
    }

    /// A command for an instance that nobody serves would be refused.
    async fn await_hosts(&mut self, bus: &Bus, lanes: usize) -> Result<()> {
        let deadline = Instant::now() + PATIENCE;
        // The agent registers them in this order.
        let last = instance(lanes - 1);
        while bus.host_of(&last, AgentKind::Os).await?.is_none() {
            if let Some(status) = self.agent.ended() {
                bail!("the agent has ended ({status}): {}", self.said("agent"));
            }
            ensure!(Instant::now() < deadline, "the agent serves nobody: {}", self.said("agent"));
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        Ok(())
    }

    /// One workflow, from the publish of its command until its end is stored and seen.
    pub async fn one(&self, lane: usize) -> Result<Finished> {
        let now = SystemClock.now();
        let order = self.orders.next(lane, &now.to_string());
        let ended = self.endings.expect(&order.id);
        let started = Instant::now();
        self.js.publish(order.subject, order.payload).await?.await.context("a command was not stored")?;
        let Ok(ended) = tokio::time::timeout(PATIENCE, ended).await else {
            bail!(
                "workflow {} has not ended\nrouter: {}\nagent: {}",
                order.id,
                self.said("router"),
                self.said("agent")
            );
        };
        let took = started.elapsed();
        let seen_at = SystemClock.now().as_nanosecond();
        let ended = ended.context("the reader of ends has ended")?;
        ensure!(self.orders.is_success(&ended), "a workflow failed: {}", String::from_utf8_lossy(&ended));
        Ok(Finished { id: order.id, took, sent_at: now.as_nanosecond(), seen_at })
    }

    /// Messages stored so far: commands, and records of the log.
    pub async fn stored(&self) -> Result<(u64, u64)> {
        let last = async |stream: &str| -> Result<u64> {
            Ok(self.js.get_stream(stream).await?.cached_info().state.last_sequence)
        };
        let commands = last(self.commands).await?;
        let mut records = 0;
        for log in &self.logs {
            records += last(log).await?;
        }
        Ok((commands, records))
    }

    fn said(&self, name: &str) -> String {
        let log = std::fs::read_to_string(self.folder.path().join(format!("{name}.log"))).unwrap_or_default();
        let from = log.lines().count().saturating_sub(5);
        log.lines().skip(from).collect::<Vec<_>>().join("\n")
    }
}

fn folder() -> Result<TempDir> {
    tempfile::Builder::new().prefix("instance-bench-").tempdir().context("no folder for the run")
}

async fn client(server: &Server) -> Result<jetstream::Context> {
    let client = async_nats::ConnectOptions::new().name("bench").connect(server.url()).await?;
    Ok(jetstream::new(client))
}

fn service(program: &Path, folder: &Path, name: &str, settings: &str) -> Result<Command> {
    let file = folder.join(format!("{name}.toml"));
    std::fs::write(&file, settings).context("could not write settings")?;
    let mut command = Command::new(program);
    command.arg("--config").arg(file);
    Ok(command)
}

fn agent_settings(head: &str, folder: &Path, lanes: usize) -> String {
    let names: Vec<String> = (0..lanes).map(|lane| format!("\"{}\"", instance(lane))).collect();
    format!(
        "{head}\n[noop-agent]\ninstances = [{}]\nstate_dir = \"{}\"\nfence_dir = \"{}\"\n",
        names.join(", "),
        folder.join("state").display(),
        folder.join("fence").display(),
    )
}
