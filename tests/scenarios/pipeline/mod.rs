//! A whole pipeline in one temporary folder: NATS, one stand-in instance, every service as its own process.

mod asked;
mod gate;
mod guard;
mod iris;
mod process;
mod programs;
mod roles;
pub mod settings;
pub mod wish;
pub mod world;

use std::{fs, net::SocketAddr, path::PathBuf, process::Command, sync::Arc, time::Duration};

use instance_bus::Bus;
use instance_clock::SystemClock;
use instance_testkit::NatsServer;
use tempfile::TempDir;

pub use asked::Ran;
pub use gate::Gate;
pub use guard::{kill9, processes_of};
pub use iris::{Iris, PANIC, is_backup};
pub use process::Process;
pub use programs::{clean, command, program, source_tree};
pub use roles::Roles;

use guard::Guard;
use settings::Common;

/// The one instance of a pipeline.
pub const INSTANCE: &str = "PROD";
/// The machine that all services believe to be on.
pub const HOST: &str = "db1.example.com";
pub const AGENTS: [&str; 3] = ["config-agent", "os-agent", "restart-agent"];

/// Everything that runs, and the means to look at it. Dropping it ends all of it.
pub struct Pipeline {
    services: Vec<Process>,
    pub iris: Iris,
    pub bus: Bus,
    /// A plain connection, as any NATS user has it.
    pub client: async_nats::Client,
    pub server: NatsServer,
    environment: Vec<(String, String)>,
    flags: Vec<String>,
    policy: String,
    iris_command: PathBuf,
    /// Where each service has a role of its own on the bus.
    roles: Option<Roles>,
    _guard: Guard,
    folder: TempDir,
}

impl Pipeline {
    /// NATS with its streams, and a stopped instance. No service runs yet.
    pub async fn new(sim_words: &[&str]) -> Self {
        let server = NatsServer::start();
        let bus = instance_testkit::bus(&server).await;
        let client = async_nats::connect(server.url()).await.unwrap();
        Self::around(made_folder(), server, bus, client, sim_words)
    }

    /// The same on a server with the shipped roles: each service has the key of its own, and `instance` that of the operator.
    pub async fn with_roles(sim_words: &[&str]) -> Self {
        let folder = made_folder();
        let roles = Roles::watched(&folder.path().join("keys"));
        let server = roles.server();
        let (ours, plain) = Roles::watcher(&server);
        let bus = Bus::connect(&ours, "test", Arc::new(SystemClock)).await.unwrap();
        let client = plain.connect(server.url()).await.unwrap();
        let mut pipeline = Self::around(folder, server, bus, client, sim_words);
        pipeline.roles = Some(roles);
        pipeline
    }

    fn around(
        folder: TempDir,
        server: NatsServer,
        bus: Bus,
        client: async_nats::Client,
        sim_words: &[&str],
    ) -> Self {
        let guard = Guard::over(folder.path());
        let iris = Iris::create(&folder.path().join("iris"), sim_words);
        let iris_command = iris.program();
        Self {
            services: Vec::new(),
            iris,
            bus,
            client,
            server,
            environment: Vec::new(),
            flags: Vec::new(),
            policy: settings::POLICY.to_owned(),
            iris_command,
            roles: None,
            _guard: guard,
            folder,
        }
    }

    /// The usual one: generator, a router "a" and the three agents beside a running instance.
    pub async fn running(sim_words: &[&str]) -> Self {
        let mut pipeline = Self::new(sim_words).await;
        pipeline.iris.start();
        pipeline.everything().await;
        pipeline
    }

    pub async fn everything(&mut self) {
        self.generator();
        self.router("a");
        self.agents();
        self.ready(&["generator", "router", "config-agent", "os-agent", "restart-agent"]).await;
    }

    /// The table `[router.policy]` of routers that start from now on.
    pub fn policy(&mut self, text: &str) {
        text.clone_into(&mut self.policy);
    }

    /// A variable for services that start from now on.
    pub fn variable(&mut self, name: &str, value: &str) {
        self.environment.push((name.to_owned(), value.to_owned()));
    }

    /// The flags of services that start from now on.
    pub fn flags(&mut self, flags: &[&str]) {
        self.flags = flags.iter().map(|flag| (*flag).to_owned()).collect();
    }

    /// A closed gate before a word of `iris`, for agents that start from now on.
    pub fn gate(&mut self, word: &str) -> Gate {
        let gate = Gate::before(word, &self.iris.program(), self.folder.path());
        self.iris_command.clone_from(&gate.program);
        gate
    }

    pub fn path(&self, inside: &str) -> PathBuf {
        self.folder.path().join(inside)
    }

    pub fn generator(&mut self) {
        let text = self.common(&self.server.url()).generator();
        self.start("generator", "generator", &text);
    }

    /// The gateway, for one caller; where it listens.
    pub async fn gateway(&mut self, token: &str, may: &[&str]) -> SocketAddr {
        let text = self.common(&self.server.url()).gateway(token, may);
        self.start("gateway", "gateway", &text);
        self.ready(&["gateway"]).await;
        let lines = self.service("gateway").log_lines();
        // Where /metrics is answered is told by another line.
        let serving = lines.iter().find(|line| line["message"] == "serving HTTP");
        let told = serving.and_then(|line| line["fields"]["address"].as_str());
        told.unwrap_or_else(|| panic!("the gateway does not say where it listens: {lines:#?}"))
            .parse()
            .unwrap()
    }

    /// A program that is none of ours, under the guard of this pipeline: its arguments must name its folder.
    pub fn program(&mut self, name: &str, command: Command) {
        self.run(name, command);
    }

    /// A router under a name of its own; the process is `router-<name>`.
    pub fn router(&mut self, name: &str) {
        let text = self.common(&self.server.url()).router(name, &self.policy);
        self.start("router", &format!("router-{name}"), &text);
    }

    pub fn agents(&mut self) {
        for service in AGENTS {
            self.agent(service);
        }
    }

    pub fn agent(&mut self, service: &str) {
        let text = self.common(&self.server.url()).agent(service);
        self.start(service, service, &text);
    }

    /// Who decides what entries call for.
    pub fn analyst(&mut self) {
        let text = self.common(&self.server.url()).analyst();
        self.start("analyst", "analyst", &text);
    }

    /// Starts a service with a settings file of its own; replaces an ended process of that name.
    pub fn start(&mut self, service: &str, name: &str, settings: &str) {
        self.services.retain(|process| process.name() != name);
        let file = self.path(&format!("{name}.toml"));
        fs::write(&file, settings).unwrap();
        let mut command = programs::command(&format!("instance-{service}"));
        command.arg("--config").arg(&file).args(&self.flags);
        if let Some(roles) = &self.roles {
            roles.hand_to(&mut command, service);
        }
        self.run(name, command);
    }

    fn run(&mut self, name: &str, mut command: Command) {
        command.env("HOME", self.path("home"));
        command.envs(self.environment.iter().map(|(name, value)| (name, value)));
        self.services.push(Process::start(name, &self.path("logs"), &mut command));
    }

    /// Asks everything that runs to drain; each must end well.
    pub async fn drained(&mut self) {
        self.drained_but("").await;
    }

    /// The same without one, which has ended before.
    pub async fn drained_but(&mut self, ended: &str) {
        for process in &mut self.services {
            if process.name() != ended {
                assert!(process.is_running(), "{} has ended:\n{}", process.name(), process.log());
                process.terminate();
            }
        }
        for process in &mut self.services {
            let status = process.ended(Duration::from_secs(15)).await;
            assert!(status.success(), "{} ended with {status}:\n{}", process.name(), process.log());
        }
    }

    /// Waits until each of the services answers on the bus. One that has ended instead fails the test.
    pub async fn ready(&mut self, services: &[&str]) {
        for service in services {
            let bus = self.bus.clone();
            let found = async {
                loop {
                    let wait = Duration::from_millis(100);
                    if bus.find_services(Some(service), wait).await.is_ok_and(|found| !found.is_empty()) {
                        break;
                    }
                }
            };
            let found = tokio::time::timeout(Duration::from_secs(15), found).await;
            assert!(found.is_ok(), "{service} does not answer:\n{}", self.logs());
        }
    }

    pub fn service(&mut self, name: &str) -> &mut Process {
        let found = self.services.iter_mut().find(|process| process.name() == name);
        found.unwrap_or_else(|| panic!("no process {name} was started"))
    }

    /// What all services have written, for the message of a failed test.
    pub fn logs(&self) -> String {
        let log = |process: &Process| format!("--- {}\n{}", process.name(), process.log());
        self.services.iter().map(log).collect()
    }

    /// For somebody who must find out why a test failed: what the services wrote, and how the instance is.
    pub fn account(&self) -> String {
        format!("{}--- {}", self.logs(), self.iris.account())
    }

    fn common<'a>(&'a self, url: &'a str) -> Common<'a> {
        Common { folder: self.folder.path(), url, iris: &self.iris, iris_command: &self.iris_command }
    }
}

fn made_folder() -> TempDir {
    let folder = tempfile::Builder::new().prefix("instance-pipeline-").tempdir().unwrap();
    for name in ["logs", "state", "home"] {
        fs::create_dir(folder.path().join(name)).unwrap();
    }
    folder
}

impl Drop for Pipeline {
    fn drop(&mut self) {
        self.services.clear();
        self.iris.force();
        let left = guard::processes_of(self.folder.path());
        for (pid, _) in &left {
            guard::kill9(*pid);
        }
        // A second panic would hide the first.
        assert!(left.is_empty() || std::thread::panicking(), "processes are left: {left:?}");
    }
}
