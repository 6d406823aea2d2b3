//! A gateway that runs, and somebody who asks it.

use std::{
    fs,
    net::SocketAddr,
    path::{Path, PathBuf},
    sync::{Arc, Mutex},
    time::Duration,
};

use instance_bus::{Bus, Headers, Resolved};
use instance_chassis::{Context, Drain, Readiness, TaskTracker};
use instance_clock::SystemClock;
use instance_contract::{Carriers, CommandAnswer, subject::Subject};
use instance_gateway::{CallerSettings, Config, Limits, Right};
use instance_testkit::{NatsServer, eventually};
use serde_json::Value;
use tokio::net::TcpListener;
use uuid::Uuid;

pub const TOKEN: &str = "token-of-the-tests-1";
/// May look, and nothing else.
pub const LOOKER: &str = "token-of-a-looker-1";
pub const PATIENCE: Duration = Duration::from_secs(30);

pub struct Desk {
    server: Arc<Mutex<NatsServer>>,
    pub bus: Bus,
    pub address: SocketAddr,
    pub drain: Drain,
    pub client: reqwest::Client,
    _folder: tempfile::TempDir,
    ended: Option<tokio::sync::oneshot::Receiver<()>>,
}

/// What an answer was.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub headers: reqwest::header::HeaderMap,
    pub text: String,
}

impl Answer {
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }
}

pub async fn desk() -> Desk {
    desk_with(Limits { burst: 1_000, requests_per_second: 1_000, ..Limits::default() }).await
}

/// A gateway whose router is the test itself.
pub async fn desk_with(limits: Limits) -> Desk {
    let server = NatsServer::start();
    let bus = instance_testkit::bus(&server).await;
    Desk::over(Arc::new(Mutex::new(server)), bus, limits, false).await
}

fn config(folder: &Path, limits: Limits) -> Config {
    let secret = |name: &str, text: &str| -> Option<PathBuf> {
        let path = folder.join(name);
        fs::write(&path, text).unwrap();
        Some(path)
    };
    let caller = |name: &str, token: &str, may: &[Right]| CallerSettings {
        name: name.to_owned(),
        token_file: secret(name, token),
        key_file: None,
        may: may.to_vec(),
    };
    let all = [Right::Alert, Right::Command, Right::Read, Right::Approve];
    Config {
        callers: vec![caller("tests", TOKEN, &all), caller("looker", LOOKER, &[Right::Read])],
        limits,
        answer_seconds: 5,
        ..Config::default()
    }
}

impl Desk {
    async fn over(server: Arc<Mutex<NatsServer>>, bus: Bus, limits: Limits, dry_run: bool) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let drain = Drain::new();
        let url = server.lock().unwrap().url();
        let clock = Arc::new(SystemClock);
        let own = Bus::connect(&Resolved::at(&url), "gateway", clock.clone()).await.unwrap();
        let context = Context {
            config: config(folder.path(), limits),
            clock,
            drain: drain.clone(),
            readiness: Readiness::of(&drain, &own),
            bus: own,
            tasks: TaskTracker::new(),
            name: "gateway",
            process_id: Uuid::new_v4(),
            host: "db1".parse().unwrap(),
            carriers: Carriers(vec!["OPS".to_owned()]),
            dry_run,
        };
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (tell, ended) = tokio::sync::oneshot::channel();
        // As the chassis does it: run, then wait for what was spawned.
        let tracker = context.tasks.clone();
        TaskTracker::new().spawn(async move {
            instance_gateway::run_on(context, listener).await.unwrap();
            tracker.close();
            tracker.wait().await;
            let _ = tell.send(());
        });
        let client = reqwest::Client::new();
        Self { server, bus, address, drain, client, _folder: folder, ended: Some(ended) }
    }

    /// A second gateway on the same bus, with a memory of its own.
    pub async fn another_gateway(&self) -> Self {
        Self::over(Arc::clone(&self.server), self.bus.clone(), Limits::default(), false).await
    }

    /// The same, that lets nothing pass that would change something.
    pub async fn dry_gateway(&self) -> Self {
        Self::over(Arc::clone(&self.server), self.bus.clone(), Limits::default(), true).await
    }

    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    pub async fn get(&self, path: &str) -> Answer {
        self.send(self.client.get(self.url(path)).bearer_auth(TOKEN)).await
    }

    pub async fn post(&self, path: &str, body: &Value) -> Answer {
        self.post_text(path, body.to_string()).await
    }

    pub async fn post_text(&self, path: &str, body: impl Into<reqwest::Body>) -> Answer {
        let request = self.client.post(self.url(path)).bearer_auth(TOKEN).body(body);
        self.send(request.header("content-type", "application/json")).await
    }

    pub async fn send(&self, request: reqwest::RequestBuilder) -> Answer {
        let response = tokio::time::timeout(PATIENCE, request.send()).await.unwrap().unwrap();
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        let text = tokio::time::timeout(PATIENCE, response.text()).await.unwrap().unwrap();
        Answer { status, headers, text }
    }

    /// The newest command to an instance, with its place among all commands.
    pub async fn newest_command(&self, instance: &str) -> Option<(u64, Value)> {
        let subject = format!("instance.v1.command.*.{instance}");
        let message = self.bus.last_in("INSTANCE_COMMANDS", &subject).await.unwrap()?;
        Some((message.sequence, message.json().unwrap()))
    }

    /// Waits for a command to the instance, and answers it as a router would.
    pub async fn answer_as_router(&self, instance: &str, answer: impl FnOnce(&Value) -> CommandAnswer) {
        let subject = format!("instance.v1.command.*.{instance}");
        let message =
            eventually(PATIENCE, || async { self.bus.last_in("INSTANCE_COMMANDS", &subject).await.unwrap() })
                .await;
        let reply = Subject::foreign(message.headers.get(CommandAnswer::REPLY_HEADER).unwrap()).unwrap();
        let answer = serde_json::to_vec(&answer(&message.json().unwrap())).unwrap();
        self.bus.publish_core(&reply, answer.into(), Headers::new()).await.unwrap();
    }

    /// Kills the bus, as a power cut would.
    pub fn kill_bus(&self) {
        self.server.lock().unwrap().kill9();
    }

    pub fn restart_bus(&self) {
        self.server.lock().unwrap().restart();
    }

    /// Asks for the drain, and waits until the gateway has ended.
    pub async fn drained(&mut self) {
        self.drain.request();
        tokio::time::timeout(PATIENCE, self.ended.take().unwrap()).await.unwrap().unwrap();
    }
}
