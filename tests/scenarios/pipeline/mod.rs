//! A whole pipeline in one temporary folder: NATS, one stand-in instance, every service as its own process.

mod gate;
mod guard;
mod iris;
mod process;
mod programs;
pub mod settings;
pub mod wish;
pub mod world;

use std::{
    fs,
    net::SocketAddr,
    path::PathBuf,
    process::{Command, Stdio},
    time::Duration,
};

use async_nats::jetstream::message::StreamMessage;
use instance_bus::{Bus, Headers, LogMessage};
use instance_contract::{
    CommandAnswer, IrisMessage, OverallStatus, RemediationId, WorkflowTrace,
    subject::{self, RecordKind},
};
use instance_testkit::NatsServer;
use serde_json::Value;
use tempfile::TempDir;

pub use gate::Gate;
pub use guard::{kill9, processes_of};
pub use iris::{Iris, PANIC, is_backup};
pub use process::Process;
pub use programs::{clean, command, program, source_tree};

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
    _guard: Guard,
    folder: TempDir,
}

/// How a run of the command `instance` ended.
#[derive(Debug)]
pub struct Ran {
    pub code: i32,
    pub stdout: String,
    pub stderr: String,
}

impl Pipeline {
    /// NATS with its streams, and a stopped instance. No service runs yet.
    pub async fn new(sim_words: &[&str]) -> Self {
        let folder = tempfile::Builder::new().prefix("instance-pipeline-").tempdir().unwrap();
        let guard = Guard::over(folder.path());
        for name in ["logs", "state", "home"] {
            fs::create_dir(folder.path().join(name)).unwrap();
        }
        let server = NatsServer::start();
        let bus = instance_testkit::bus(&server).await;
        let client = async_nats::connect(server.url()).await.unwrap();
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

    /// Runs the command `instance` on this pipeline.
    pub async fn instance(&self, words: &[&str]) -> Ran {
        let mut command = tokio::process::Command::from(programs::command("instance"));
        command.env("HOME", self.path("home")).env("USER", "tester").arg("--nats").arg(self.server.url());
        command.args(words).stdin(Stdio::null()).kill_on_drop(true);
        let output = tokio::time::timeout(Duration::from_mins(3), command.output()).await;
        let output =
            output.unwrap_or_else(|_| panic!("instance {words:?} has not ended:\n{}", self.logs())).unwrap();
        Ran {
            code: output.status.code().unwrap_or(-1),
            stdout: String::from_utf8(output.stdout).unwrap(),
            stderr: String::from_utf8(output.stderr).unwrap(),
        }
    }

    /// Writes a command to a file, as an operator would; its path.
    pub fn command_file(&self, wish: &Value) -> PathBuf {
        let path = self.path(&format!("{}.json", wish::id_of(wish)));
        fs::write(&path, serde_json::to_vec_pretty(wish).unwrap()).unwrap();
        path
    }

    /// Publishes a command and reads the answer.
    pub async fn ask(&self, wish: &Value) -> CommandAnswer {
        self.ask_bytes(INSTANCE, wish.to_string().into_bytes(), Headers::new()).await
    }

    /// The same for anything that may be published as a command, to an instance.
    pub async fn ask_bytes(&self, instance: &str, payload: Vec<u8>, headers: Headers) -> CommandAnswer {
        let mut inbox = self.bus.inbox().await.unwrap();
        let headers = headers.with(CommandAnswer::REPLY_HEADER, inbox.subject());
        let subject = subject::command(&instance.parse().unwrap());
        self.bus.publish_bytes(&subject, payload.into(), None, headers).await.unwrap();
        let Ok(reply) = tokio::time::timeout(Duration::from_secs(15), inbox.next()).await else {
            panic!("no answer to a command:\n{}", self.logs());
        };
        serde_json::from_slice(&reply.unwrap().payload).unwrap()
    }

    /// The remediation log of one remediation, so far.
    pub async fn records(&self, id: RemediationId) -> Vec<LogMessage> {
        self.bus.find_remediation(id).await.unwrap_or_default()
    }

    /// Waits for a record whose subject ends so; `step.restart-agent`, `result.config.1`.
    pub async fn recorded(&self, id: RemediationId, part: &str) -> LogMessage {
        let dotted = format!(".{part}");
        let look = async {
            loop {
                let records = self.records(id).await;
                if let Some(found) = records.into_iter().find(|record| record.subject.contains(&dotted)) {
                    break found;
                }
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        let found = tokio::time::timeout(Duration::from_secs(45), look).await;
        found.unwrap_or_else(|_| panic!("no record {part} of {id}:\n{}", self.logs()))
    }

    /// Waits for the end of a remediation.
    pub async fn ended(&self, id: RemediationId) -> WorkflowTrace {
        let record = self.recorded(id, "ended").await;
        assert!(matches!(subject::parse_record(&record.subject), Some((.., RecordKind::Ended))));
        record.json().unwrap()
    }

    /// Waits for the end, which must be a success.
    pub async fn succeeded(&self, id: RemediationId) -> WorkflowTrace {
        let trace = self.ended(id).await;
        assert_eq!(trace.overall_status, OverallStatus::Success, "{trace:#?}\n{}", self.logs());
        trace
    }

    /// Everything in a stream, in order, read message by message as any client may.
    pub async fn stored(&self, stream: &str) -> Vec<StreamMessage> {
        let jetstream = async_nats::jetstream::new(self.client.clone());
        let mut stream = jetstream.get_stream(stream).await.unwrap();
        let state = stream.info().await.unwrap().state.clone();
        let mut found = Vec::new();
        for sequence in state.first_sequence..=state.last_sequence {
            // What was taken from a work queue leaves a gap.
            found.extend(stream.get_raw_message(sequence).await.ok());
        }
        found
    }

    /// How many messages a stream holds.
    pub async fn stream_length(&self, stream: &str) -> u64 {
        let jetstream = async_nats::jetstream::new(self.client.clone());
        jetstream.get_stream(stream).await.unwrap().info().await.unwrap().state.messages
    }

    /// Every IrisMessage on the bus so far, in order.
    pub async fn messages(&self) -> Vec<(StreamMessage, IrisMessage)> {
        let stored = self.stored("INSTANCE_ERRORS").await.into_iter();
        stored.map(|message| (message.clone(), IrisMessage::decode(&message.payload).unwrap())).collect()
    }

    /// Waits for a message of that condition.
    pub async fn told(&self, condition: &str) -> (StreamMessage, IrisMessage) {
        let logs = || self.logs();
        let look = async {
            loop {
                let messages = self.messages().await;
                let is_it = |message: &IrisMessage| {
                    message.condition.as_ref().is_some_and(|found| found.as_str() == condition)
                };
                if let Some(found) = messages.into_iter().find(|(_, message)| is_it(message)) {
                    break found;
                }
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        let found = tokio::time::timeout(Duration::from_secs(15), look).await;
        found.unwrap_or_else(|_| panic!("no message of {condition}:\n{}", logs()))
    }

    fn common<'a>(&'a self, url: &'a str) -> Common<'a> {
        Common { folder: self.folder.path(), url, iris: &self.iris, iris_command: &self.iris_command }
    }
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
