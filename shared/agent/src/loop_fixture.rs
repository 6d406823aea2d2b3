//! A server, a world and an agent process, for the tests of the loop.

use std::{path::Path, sync::Arc, time::Duration};

use instance_bus::{Bus, DeadLetter, Headers, Resolved};
use instance_chassis::{Context, Drain, Readiness, TaskTracker};
use instance_clock::{Clock, SystemClock};
use instance_contract::{
    AgentKind, AskKind, HostName, Shard, StepCommand, StepStatus, ToolResult,
    subject::{self, RecordKind},
};
use instance_testkit::{NatsServer, chain, eventually};
use tokio::task::JoinHandle;

use crate::{
    answer::FactsQuestion,
    counting_agent::CountingAgent,
    run::{AgentError, run},
    sample,
    settings::AgentSettings,
};

pub const SOON: Duration = Duration::from_secs(30);
pub const SHARD: Shard = Shard(2);
pub const DONE: [&str; 1] = ["256 -> 512"];

/// A server, a world, and an agent process that can be ended and started again.
pub struct Fixture {
    pub folder: tempfile::TempDir,
    pub agent: CountingAgent,
    pub bus: Bus,
    /// The agent's own connection.
    acting: Bus,
    pub process: Option<(Drain, JoinHandle<Result<(), AgentError>>)>,
    _server: NatsServer,
}

impl Fixture {
    pub async fn new() -> Self {
        let server = NatsServer::start();
        let login = Resolved::at(&server.url());
        Self::on(server, &login).await
    }

    /// `login` is the agent's.
    pub async fn on(server: NatsServer, login: &Resolved) -> Self {
        let bus = instance_testkit::bus(&server).await;
        let acting = Bus::connect(login, "agent", Arc::new(SystemClock)).await.unwrap();
        let folder = tempfile::tempdir().unwrap();
        let agent = CountingAgent::new(folder.path());
        let mut fixture = Self { folder, agent, bus, acting, process: None, _server: server };
        fixture.start().await;
        fixture
    }

    pub async fn start(&mut self) {
        let context = self.context("db1");
        let settings = settings(self.folder.path());
        let drain = context.drain.clone();
        let running = run(context, self.agent.clone(), settings);
        let process = TaskTracker::new().spawn(running);
        self.process = Some((drain, process));
        let facts = subject::ask(AgentKind::Config, &host(), AskKind::Facts);
        let question = FactsQuestion { instance: "PROD".parse().unwrap() };
        // The server may not know yet that the one before has left, and hand the question to nobody.
        let brief = Duration::from_secs(1);
        eventually(SOON, || async { self.bus.request(&facts, json(&question), brief).await.ok() }).await;
    }

    pub async fn stop(&mut self) {
        let (drain, process) = self.process.take().unwrap();
        drain.request();
        process.await.unwrap().unwrap_or_else(|error| panic!("{}", chain(&error)));
    }

    pub fn context(&self, host: &str) -> Context<()> {
        let drain = Drain::new();
        Context {
            config: (),
            bus: self.acting.clone(),
            clock: Arc::new(SystemClock),
            readiness: Readiness::of(&drain, &self.acting),
            drain,
            tasks: TaskTracker::new(),
            name: "config-agent",
            process_id: uuid::Uuid::new_v4(),
            host: host.parse().unwrap(),
            carriers: instance_contract::Carriers::default(),
            dry_run: false,
        }
    }

    pub async fn send(&self, order: &StepCommand) {
        self.send_on(SHARD, order).await;
    }

    pub async fn send_on(&self, shard: Shard, order: &StepCommand) {
        let (id, step) = (order.remediation_id, &order.step_id);
        let subject = subject::step(shard, id, order.agent, &host(), step, order.attempt);
        self.bus.publish_once(&subject, order, Headers::new()).await.unwrap();
    }

    pub async fn result(&self, order: &StepCommand) -> ToolResult {
        self.result_on(SHARD, order).await
    }

    pub async fn result_on(&self, shard: Shard, order: &StepCommand) -> ToolResult {
        let kind = RecordKind::Result { step: order.step_id.clone(), attempt: order.attempt };
        let subject = subject::record(shard, order.remediation_id, &kind);
        let stream = instance_bus::topology::remediations(shard);
        let stored =
            eventually(SOON, || async { self.bus.last_in(&stream, subject.as_str()).await.unwrap() }).await;
        ToolResult::decode(&stored.payload).unwrap()
    }

    pub async fn check(&self, order: &StepCommand, status: StepStatus, code: Option<&str>) -> ToolResult {
        self.send(order).await;
        let result = self.result(order).await;
        assert_eq!((result.status, result.error_code.as_deref()), (status, code), "{result:?}");
        assert_eq!((result.attempt, &result.step_id), (order.attempt, &order.step_id));
        result
    }

    /// The dead letters, once there are as many.
    pub async fn dead_letters(&self, many: usize) -> Vec<DeadLetter> {
        eventually(SOON, || async {
            let letters = self.bus.dead_letters().await.unwrap();
            (letters.len() == many).then_some(letters)
        })
        .await
    }

    pub async fn ask<T: serde::de::DeserializeOwned>(
        &self,
        kind: AskKind,
        question: &impl serde::Serialize,
    ) -> T {
        let subject = subject::ask(AgentKind::Config, &host(), kind);
        let reply = self.bus.request(&subject, json(question), SOON).await.unwrap();
        serde_json::from_slice(&reply.payload).unwrap()
    }
}

pub fn host() -> HostName {
    "db1".parse().unwrap()
}

pub fn settings(folder: &Path) -> AgentSettings {
    AgentSettings { state_dir: folder.join("state"), fence_dir: folder.join("fence") }
}

/// The sample, with a deadline by the real clock.
pub fn order(step: &str, attempt: u32) -> StepCommand {
    let not_after = SystemClock.now() + jiff::SignedDuration::from_mins(5);
    StepCommand { not_after, ..sample::order(step, attempt) }
}

/// JSON for a request.
fn json<B: From<Vec<u8>>>(value: &impl serde::Serialize) -> B {
    serde_json::to_vec(value).unwrap().into()
}
