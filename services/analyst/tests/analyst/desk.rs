//! A bus, agents that answer, a router that grants everything, and the real process of the analyst.

use std::{
    collections::{BTreeMap, HashMap},
    fs,
    path::PathBuf,
    process::{Child, Command, Stdio},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use instance_bus::{Bus, Headers};
use instance_contract::{
    Accepted, AgentKind, AskKind, Because, Digest, Ended, HostName, InstanceName, Older, OverallStatus,
    RemediationCommand, RemediationId, Totals, TraceId, WorkflowTrace,
    subject::{self, IncidentRecord, RecordKind},
};
use instance_testkit::{NatsServer, eventually};
use jiff::Timestamp;
use serde_json::{Value, json};
use tokio::task::JoinSet;

pub const DIED: &str = "Daemon WRTDMN (pid 4411) died. Freezing system";
pub const PANIC: &str = "Insufficient global buffers - WRTDMN in panic mode";
pub const PATIENCE: Duration = Duration::from_mins(2);
const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";

pub struct Desk {
    pub server: NatsServer,
    pub bus: Bus,
    folder: tempfile::TempDir,
    /// Commands as they came, by id.
    pub commands: Arc<Mutex<BTreeMap<String, Vec<Vec<u8>>>>>,
    /// Says the router yes?
    pub router_works: Arc<AtomicBool>,
    work: JoinSet<()>,
}

/// The analyst; ended with its test.
pub struct Analyst(pub Child);

impl Desk {
    pub async fn new() -> Self {
        let server = NatsServer::start();
        let bus = instance_testkit::bus(&server).await;
        let folder = tempfile::tempdir().unwrap();
        let (commands, router_works) = (Arc::default(), Arc::new(AtomicBool::new(true)));
        let mut desk = Self { server, bus, folder, commands, router_works, work: JoinSet::new() };
        desk.agents().await;
        desk.router().await;
        desk
    }

    /// The process, with these variables.
    pub fn analyst(&self, variables: &[(&str, &str)]) -> Analyst {
        let file = self.folder.path().join("analyst.toml");
        let text = format!(
            "host = \"h\"\ngrace_seconds = 5\n[nats]\nurl = \"{}\"\n[analyst]\ntriage_seconds = 1\n",
            self.server.url()
        );
        fs::write(&file, text).unwrap();
        let log = fs::File::options().create(true).append(true).open(self.folder.path().join("log")).unwrap();
        let mut command = Command::new(program());
        command.arg("--config").arg(file).envs(variables.iter().copied());
        Analyst(command.stdout(Stdio::null()).stderr(log).spawn().unwrap())
    }

    pub fn log(&self) -> String {
        fs::read_to_string(self.folder.path().join("log")).unwrap_or_default()
    }

    pub async fn says(&self, number: u128, text: &str, severity: u8) {
        let message = message(number, text, severity);
        let subject = message_subject(severity);
        self.bus.publish_bytes(&subject, message.to_string().into(), None, Headers::new()).await.unwrap();
    }

    /// Every record of every incident, by the kind that its subject names.
    pub async fn records(&self) -> Vec<(IncidentRecord, Value)> {
        let all = self.bus.read_incidents(&subject::incidents()).await.unwrap();
        let record = |message: instance_bus::LogMessage| {
            let (_, kind) = subject::parse_incident(&message.subject).unwrap();
            (kind, message.json().unwrap())
        };
        all.into_iter().map(record).collect()
    }

    /// Waits until the records are as they should be.
    pub async fn until(
        &self,
        what: &str,
        holds: impl Fn(&[(IncidentRecord, Value)]) -> bool,
    ) -> Vec<(IncidentRecord, Value)> {
        let found = tokio::time::timeout(
            PATIENCE,
            eventually(PATIENCE * 2, || async {
                let records = self.records().await;
                holds(&records).then_some(records)
            }),
        );
        if let Ok(records) = found.await {
            return records;
        }
        panic!("{what} never was: {:#?}\n{}", self.records().await, self.log());
    }

    /// Commands that were no dry runs, by id; each with all the bytes that came under it.
    pub fn real_commands(&self) -> BTreeMap<String, Vec<Vec<u8>>> {
        let all = self.commands.lock().unwrap().clone();
        let real = |bytes: &Vec<Vec<u8>>| !command(&bytes[0]).dry_run;
        all.into_iter().filter(|(_, bytes)| real(bytes)).collect()
    }

    /// Agents of PROD on host h that answer what they are asked.
    async fn agents(&mut self) {
        let instance: InstanceName = "PROD".parse().unwrap();
        let host: HostName = "h".parse().unwrap();
        for agent in AgentKind::ALL {
            self.bus.register_host(&instance, *agent, &host).await.unwrap();
            let facts = match agent {
                AgentKind::Os => json!({"memory": {"total_kb": 16_777_216, "huge_page_kb": 2048},
                    "parameters": {"vm.nr_hugepages": {"value": "0"}}}),
                AgentKind::Config => json!({"globals": "0,0,256,0,0,0",
                    "values": {"config": {"globals": "0,0,256,0,0,0"}}}),
                AgentKind::Restart => json!({"state": "running", "health": "hung"}),
            };
            let subject = subject::ask(*agent, &host, AskKind::Facts);
            let service = self.bus.service(agent.as_str(), "0.1.0", "test", HashMap::new());
            let mut service = service.endpoint("facts", &subject, HashMap::new()).start().await.unwrap();
            self.work.spawn(async move {
                while let Some(question) = service.next().await {
                    question.respond(Ok(facts.to_string().into())).await.unwrap();
                }
            });
        }
    }

    /// Accepts every command, and ends it at once.
    async fn router(&mut self) {
        for shard in self.bus.topology().await.unwrap().shards() {
            let (bus, commands, works) = (self.bus.clone(), self.commands.clone(), self.router_works.clone());
            let mut deliveries = bus.commands(shard).await.unwrap();
            self.work.spawn(async move {
                while let Some(Ok(delivery)) = deliveries.next().await {
                    if !works.load(Ordering::SeqCst) {
                        delivery.retry_after(Duration::from_millis(200)).await.unwrap();
                        continue;
                    }
                    let bytes = delivery.payload().to_vec();
                    let read = command(&bytes);
                    let known = {
                        let mut commands = commands.lock().unwrap();
                        let seen = commands.entry(read.command_id.to_string()).or_default();
                        seen.push(bytes.clone());
                        seen.len() > 1
                    };
                    if !known {
                        let id = RemediationId::from(read.command_id);
                        let (accepted, ended) = (accepted(&read, &bytes), ended(&read));
                        let first = subject::record(shard, id, &RecordKind::Accepted);
                        bus.publish_once(&first, &accepted, Headers::new()).await.unwrap();
                        let last = subject::record(shard, id, &RecordKind::Ended);
                        bus.publish_once(&last, &ended, Headers::new()).await.unwrap();
                    }
                    delivery.done().await.unwrap();
                }
            });
        }
    }
}

impl Analyst {
    /// As `kill -9`.
    pub fn kill(&mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }
}

impl Drop for Analyst {
    fn drop(&mut self) {
        // It may have died before, as the test wanted.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Of the package's own tests cargo says where it is; a benchmark finds it beside itself.
fn program() -> PathBuf {
    let beside = || std::env::current_exe().unwrap().parent().unwrap().with_file_name("instance-analyst");
    option_env!("CARGO_BIN_EXE_instance-analyst").map_or_else(beside, PathBuf::from)
}

pub fn message(number: u128, text: &str, severity: u8) -> Value {
    json!({
        "schema": "instance.v1.iris_message", "message_id": uuid::Uuid::from_u128(number).to_string(),
        "trace_id": TRACE, "host": "h", "instance": "PROD", "origin": "observed", "timestamp": null,
        "occurred_at": null, "generated_at": "2026-11-21T08:00:00Z", "process_id": 4711, "severity": severity,
        "category": "Generic.Event", "message_text": text, "raw": text, "error_type": "other",
        "condition": null,
    })
}

pub fn message_subject(severity: u8) -> subject::Subject {
    subject::error(&"h".parse().unwrap(), &"PROD".parse().unwrap(), severity.try_into().unwrap())
}

pub fn command(bytes: &[u8]) -> RemediationCommand {
    let older = Older::nothing(TraceId::from_bytes([1; 16]), Timestamp::UNIX_EPOCH);
    RemediationCommand::decode(bytes, &older).unwrap()
}

pub fn accepted(command: &RemediationCommand, bytes: &[u8]) -> Accepted {
    Accepted {
        schema: Accepted::SCHEMA.to_owned(),
        trace_id: command.trace_id.clone(),
        remediation_id: command.command_id.into(),
        command: command.clone(),
        command_digest: Digest::of(bytes),
        accepted_at: command.issued_at,
        deadline: command.issued_at,
        policy: String::new(),
        plan: None,
        facts: None,
        traceparent: None,
    }
}

fn ended(command: &RemediationCommand) -> Ended {
    let status = if command.dry_run { OverallStatus::DryRun } else { OverallStatus::Success };
    let trace = WorkflowTrace {
        schema: WorkflowTrace::SCHEMA.to_owned(),
        trace_id: command.trace_id.clone(),
        remediation_id: command.command_id.into(),
        command_received: Some(command.clone()),
        initiated_at: command.issued_at,
        steps_executed: Vec::new(),
        overall_status: status,
        failed_at_step: None,
        verification: None,
        completion_time_ms: 1,
        totals: Totals::default(),
        plan_digest: command.dry_run.then(|| Digest::of(b"plan")),
        planned: Vec::new(),
        warnings: Vec::new(),
        reason: None,
        faults: Vec::new(),
    };
    let because = Because {
        now: command.issued_at,
        event: "accepted".to_owned(),
        delay_ms: 0,
        epoch: 1,
        halted: false,
    };
    Ended { trace, because, facts: None }
}
