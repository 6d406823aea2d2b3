//! Where a part happens: servers, two routers, two agents on hosts of their own, their instances, and the load.

use std::{
    path::Path,
    process::{Command, Stdio},
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, ensure};
use async_nats::{ConnectOptions, jetstream, jetstream::context::ContextBuilder};
use instance_bus::{Bus, Resolved, Settings};
use instance_clock::SystemClock;
use instance_contract::{AgentKind, Shard};
use instance_testkit::IrisFolder;
use tempfile::TempDir;
use tokio::{sync::Mutex, task::JoinSet};

use crate::{
    acks::Acks,
    feed::Feed,
    load::Load,
    options::{Dose, Part},
    plan,
    processes::{Guard, command, kill9, processes_of},
    servers::{self, Servers},
    services::Services,
    witness::Witness,
};

pub const SHARDS: u16 = 4;
/// The routers; each begins with half of the shards.
pub const ROUTERS: [&str; 2] = ["router-a", "router-b"];
pub const AGENTS: [&str; 2] = ["agent-1", "agent-2"];
/// Plans of one instance run one after the other.
pub const INSTANCES: usize = 16;
/// For an election, or for everything to come up.
const PATIENCE: Duration = Duration::from_secs(40);
const POLICY: &str = "approve_restarts = false\napprove_dangerous = false\nquiet_seconds = 0\n";

/// Everything that runs. Dropping it ends all of it.
pub struct Site {
    pub servers: Mutex<Servers>,
    pub services: Arc<Services>,
    pub client: async_nats::Client,
    pub feed: Arc<Feed>,
    pub acks: Arc<Acks>,
    pub load: Arc<Load>,
    pub witness: Witness,
    pub copies: usize,
    /// What looks on, drives and supervises.
    tasks: JoinSet<()>,
    instances: Vec<IrisFolder>,
    _guard: Guard,
    folder: TempDir,
}

impl Site {
    /// Everything runs, the shards are shared, and the load has begun.
    pub async fn start(part: Part, dose: Dose) -> Result<Self> {
        let folder = tempfile::Builder::new().prefix("instance-broker-").tempdir()?;
        let guard = Guard::over(folder.path());
        let servers = tokio::task::block_in_place(|| Servers::start(part.servers()));
        let urls = servers.urls();
        let instances: Vec<IrisFolder> = (0..INSTANCES).map(|_| IrisFolder::inside(folder.path())).collect();
        let client = connect(&urls, "proof").await?;
        init(&urls, servers.len(), folder.path())?;
        servers::whole(&client, servers.len(), PATIENCE).await?;
        let site = Self {
            copies: servers.len(),
            servers: Mutex::new(servers),
            services: Arc::new(Services::new(folder.path())),
            feed: Arc::new(Feed::new()),
            acks: Arc::new(Acks::new()),
            load: Arc::new(Load::default()),
            witness: Witness::over(instances.iter().map(|instance| instance.path().to_owned()).collect()),
            client,
            tasks: JoinSet::new(),
            instances,
            _guard: guard,
            folder,
        };
        site.begin(&urls, dose).await
    }

    async fn begin(mut self, urls: &str, dose: Dose) -> Result<Self> {
        let settings = Settings { url: Some(urls.to_owned()), ..Settings::default() };
        let resolved: Resolved = settings.resolve(&|_| None)?;
        let bus = Bus::connect(&resolved, "proof", Arc::new(SystemClock)).await?;
        self.look_on(&bus, urls).await?;
        for router in ROUTERS {
            let text = format!(
                "{}\n[router]\nname = \"{router}\"\n\n[router.policy]\n{POLICY}",
                head("host-0", urls)
            );
            self.services.add(router, "instance-router", &text);
        }
        for (index, agent) in AGENTS.into_iter().enumerate() {
            self.services.add(agent, "instance-config-agent", &self.agent(index, urls));
        }
        // A router takes what stands under its name, so each begins with its half.
        for shard in 0..SHARDS {
            let router = ROUTERS[usize::from(shard) % ROUTERS.len()];
            let taken = bus.lease(Shard(shard), router, "proof").try_acquire().await?;
            ensure!(taken, "somebody else has shard {shard}");
        }
        let services = Arc::clone(&self.services);
        self.tasks.spawn(async move { services.tend().await });
        self.up(&bus).await?;
        self.push(urls, dose).await?;
        Ok(self)
    }

    /// Connections of our own, that only watch.
    async fn look_on(&mut self, bus: &Bus, urls: &str) -> Result<()> {
        let (acks, client) = (Arc::clone(&self.acks), connect(urls, "acks").await?);
        self.tasks.spawn(async move { acks.watch(&client).await });
        for shard in 0..SHARDS {
            let (feed, bus) = (Arc::clone(&self.feed), bus.clone());
            self.tasks.spawn(async move { feed.follow(&bus, shard).await });
        }
        Ok(())
    }

    /// Waits until every instance is served and every shard has an owner.
    async fn up(&self, bus: &Bus) -> Result<()> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let mut served = 0;
            for instance in 0..INSTANCES {
                let name = plan::name(instance).parse()?;
                served += usize::from(bus.host_of(&name, AgentKind::Config).await?.is_some());
            }
            let owned = self.feed.owners().len();
            if served == INSTANCES && owned == usize::from(SHARDS) {
                return Ok(());
            }
            ensure!(
                Instant::now() < deadline,
                "{served} instances served, {owned} shards owned\n{}",
                self.services.last_words()
            );
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    async fn push(&mut self, urls: &str, dose: Dose) -> Result<()> {
        let client = connect(urls, "asker").await?;
        let period = Duration::from_secs_f64(f64::from(u8::try_from(INSTANCES)?) / f64::from(dose.rate));
        for instance in 0..INSTANCES {
            let (load, feed) = (Arc::clone(&self.load), Arc::clone(&self.feed));
            let js = stored(&client);
            self.tasks.spawn(async move { load.lane(instance, period, &js, &feed).await });
        }
        Ok(())
    }

    fn agent(&self, index: usize, urls: &str) -> String {
        let state = self.folder.path().join(format!("state-{index}"));
        let mut lines = vec![
            head(&format!("host-{}", index + 1), urls),
            "[config-agent]".to_owned(),
            format!("state_dir = \"{}\"", state.join("ledger").display()),
            format!("fence_dir = \"{}\"", state.join("fence").display()),
        ];
        let ours = self.instances.iter().enumerate().filter(|(instance, _)| instance % AGENTS.len() == index);
        for (instance, folder) in ours {
            lines.extend([
                "[[config-agent.instances]]".to_owned(),
                format!("name = \"{}\"", plan::name(instance)),
                format!("cpf = \"{}\"", folder.cpf_file().display()),
                format!("messages_log = \"{}\"", folder.messages_log().display()),
            ]);
        }
        lines.join("\n")
    }

    /// A fresh connection that has not seen any of the faults.
    pub async fn fresh_client(&self) -> Result<async_nats::Client> {
        let urls = self.servers.lock().await.urls();
        connect(&urls, "judge").await
    }
}

impl Drop for Site {
    fn drop(&mut self) {
        for name in self.services.names() {
            self.services.hold(&name);
        }
        for (pid, _) in processes_of(self.folder.path()) {
            kill9(pid);
        }
    }
}

fn head(host: &str, urls: &str) -> String {
    format!("host = \"{host}\"\ngrace_seconds = 20\n\n[nats]\nurl = \"{urls}\"\n")
}

/// What is published there is stored, or it is said that nobody knows.
fn stored(client: &async_nats::Client) -> jetstream::Context {
    ContextBuilder::new().ack_timeout(Duration::from_secs(2)).build(client.clone())
}

async fn connect(urls: &str, name: &str) -> Result<async_nats::Client> {
    let servers: Vec<async_nats::ServerAddr> = urls.split(',').map(str::parse).collect::<Result<_, _>>()?;
    let options = ConnectOptions::new()
        .name(name)
        .ping_interval(Duration::from_secs(2))
        .reconnect_delay_callback(|_| Duration::from_millis(20));
    options.connect(servers).await.context("no server answers")
}

/// As an operator does it; a cluster that has just come up has no leader for a while.
fn init(urls: &str, copies: usize, home: &Path) -> Result<()> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let mut init = command("instance");
        init.env("HOME", home).args(["--nats", urls, "bus", "init"]);
        init.args(["--shards", &SHARDS.to_string(), "--replicas", &copies.to_string()]);
        let output = tokio::task::block_in_place(|| run(&mut init))?;
        if output.status.success() {
            return Ok(());
        }
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        ensure!(Instant::now() < deadline, "could not make the streams: {said}");
        tokio::task::block_in_place(|| std::thread::sleep(Duration::from_millis(500)));
    }
}

fn run(command: &mut Command) -> Result<std::process::Output> {
    command.stdin(Stdio::null()).output().context("could not start the command `instance`")
}
