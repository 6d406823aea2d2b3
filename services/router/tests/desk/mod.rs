//! Routers in this process on a real NATS server, with agents that answer as each test wants and count their effects.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use instance_bus::{Bus, Headers, Inbox, LogMessage, OpenHint};
use instance_chassis::{Context, Drain, Readiness};
use instance_clock::SystemClock;
use instance_contract::{
    AgentInfo, AgentKind, ApprovalAnswered, ApprovalAsked, AskKind, Attempt, Carriers, CommandAnswer,
    Failure, Forecast, ForecastReply, HostName, InstanceName, PlanQuestion, RemediationId, Shard,
    StepCommand, StepStatus, ToolResult, Verdict, WorkflowTrace,
    subject::{self, RecordKind},
};
use instance_planner::Policy;
use instance_router::Config;
use instance_testkit::{NatsServer, eventually};
use tokio_util::task::TaskTracker;
use uuid::Uuid;

/// What an agent does with a step: the status of its answer, or silence.
pub type Behaviour = fn(&StepCommand) -> Option<StepStatus>;

pub struct Desk {
    pub server: NatsServer,
    pub bus: Bus,
    tasks: TaskTracker,
    pub sent: Arc<Mutex<Vec<String>>>,
    /// The agent that says no to every question.
    refusing: Arc<Mutex<Option<AgentKind>>>,
    /// Agents that take questions and never answer.
    asleep: Arc<AtomicBool>,
}

/// A router on threads of its own, so that it can be killed with everything that it has spawned.
pub struct Router {
    drain: Drain,
    runtime: Option<tokio::runtime::Runtime>,
    ended: tokio::sync::oneshot::Receiver<Result<(), instance_router::Error>>,
}

impl Router {
    /// As `kill -9`: nothing is given back.
    pub fn kill(self) {
        drop(self);
    }

    pub fn request_drain(&self) {
        self.drain.request();
    }

    pub async fn drained(mut self) {
        self.request_drain();
        let ended = tokio::time::timeout(Duration::from_secs(10), &mut self.ended).await;
        ended.expect("drained within ten seconds").unwrap().unwrap();
    }
}

impl Drop for Router {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

impl Desk {
    pub async fn new() -> Self {
        Self::at(NatsServer::start()).await
    }

    pub async fn at(server: NatsServer) -> Self {
        let bus = instance_testkit::bus(&server).await;
        Self {
            server,
            bus,
            tasks: TaskTracker::new(),
            sent: Arc::default(),
            refusing: Arc::default(),
            asleep: Arc::default(),
        }
    }

    pub fn router(&self, name: &str) -> Router {
        self.router_with(name, Policy { approve_restarts: false, ..often() })
    }

    pub fn router_with(&self, name: &str, policy: Policy) -> Router {
        self.router_sparing(name, policy, Carriers::default())
    }

    pub fn router_sparing(&self, name: &str, policy: Policy, carriers: Carriers) -> Router {
        Self::start(&self.bus, name, (policy, carriers), false)
    }

    /// One with a connection of its own.
    pub fn router_through(bus: &Bus, name: &str) -> Router {
        Self::start(bus, name, (often(), Carriers::default()), false)
    }

    /// One that was started with `--dry-run`.
    pub fn dry_router(&self, name: &str) -> Router {
        Self::start(&self.bus, name, (often(), Carriers::default()), true)
    }

    fn start(bus: &Bus, name: &str, (policy, carriers): (Policy, Carriers), dry_run: bool) -> Router {
        let drain = Drain::new();
        let context = Context {
            config: Config { name: Some(name.to_owned()), policy: Some(policy), ..Config::default() },
            bus: bus.clone(),
            clock: Arc::new(SystemClock),
            drain: drain.clone(),
            readiness: Readiness::of(&drain, bus),
            tasks: TaskTracker::new(),
            name: "router",
            process_id: Uuid::new_v4(),
            host: host(),
            carriers,
            dry_run,
        };
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let (tell, ended) = tokio::sync::oneshot::channel();
        runtime.spawn(async move {
            let tracker = context.tasks.clone();
            let outcome = instance_router::run(context).await;
            tracker.close();
            tracker.wait().await;
            let _ = tell.send(outcome);
        });
        Router { drain, runtime: Some(runtime), ended }
    }

    /// All three agents of one instance on one host.
    pub async fn agents(&self, instance: &str, behaviour: Behaviour) {
        let instance: InstanceName = instance.parse().unwrap();
        for agent in AgentKind::ALL {
            self.bus.register_host(&instance, *agent, &host()).await.unwrap();
            self.answer_questions(*agent).await;
            self.take_steps(*agent, behaviour).await;
        }
    }

    /// The hint of a shard's owner, once it knows of so many open remediations.
    pub async fn hint_of(&self, shard: Shard, open: usize) -> OpenHint {
        eventually(Duration::from_secs(10), || async {
            let hint = self.bus.open_hint(shard).await.ok()?;
            (hint.accepted.len() == open && hint.read_to >= hint.accepted[open - 1]).then_some(hint)
        })
        .await
    }

    /// So many records of remediations that nobody has open.
    pub async fn ends_of_others(&self, shard: Shard, many: usize) {
        for _ in 0..many {
            let id = RemediationId::from_uuid(Uuid::new_v4());
            let subject = subject::record(shard, id, &RecordKind::Ended);
            self.bus.publish_once(&subject, &serde_json::json!({}), Headers::new()).await.unwrap();
        }
    }

    pub fn refuses(&self, agent: AgentKind) {
        *self.refusing.lock().unwrap() = Some(agent);
    }

    pub fn agents_fall_asleep(&self) {
        self.asleep.store(true, Ordering::Relaxed);
    }

    pub fn refuses_nothing(&self) {
        *self.refusing.lock().unwrap() = None;
    }

    /// The question to a person, once it is asked.
    pub async fn asked(&self, id: RemediationId) -> LogMessage {
        eventually(Duration::from_secs(10), || async move {
            let messages = self.bus.find_remediation(id).await.ok()?;
            messages.into_iter().find(|message| {
                matches!(subject::parse_record(&message.subject), Some((.., RecordKind::ApprovalAsked(1))))
            })
        })
        .await
    }

    /// Approve what a remediation asks for, once it asks.
    pub async fn approve(&self, id: RemediationId) {
        let asked = self.asked(id).await;
        let (shard, ..) = subject::parse_record(&asked.subject).unwrap();
        let question: ApprovalAsked = asked.json().unwrap();
        let answer = ApprovalAnswered {
            schema: ApprovalAnswered::SCHEMA.to_owned(),
            trace_id: question.trace_id,
            remediation_id: id,
            digest: question.digest,
            verdict: Verdict::Granted,
            by: "test".to_owned(),
            at: question.because.now,
            note: None,
        };
        let subject = subject::record(shard, id, &RecordKind::ApprovalAnswered(1));
        self.bus.publish_once(&subject, &answer, Headers::new()).await.unwrap();
    }

    async fn answer_questions(&self, agent: AgentKind) {
        let subject = subject::ask(agent, &host(), AskKind::Plan);
        let service = self.bus.service(agent.as_str(), "0.1.0", "test", HashMap::new());
        let mut service = service.endpoint("plan", &subject, HashMap::new()).start().await.unwrap();
        let (refusing, asleep) = (Arc::clone(&self.refusing), Arc::clone(&self.asleep));
        self.tasks.spawn(async move {
            let mut held = Vec::new();
            while let Some(request) = service.next().await {
                if asleep.load(Ordering::Relaxed) {
                    held.push(request);
                    continue;
                }
                let question: PlanQuestion = serde_json::from_slice(request.payload()).unwrap();
                let reply = if *refusing.lock().unwrap() == Some(agent) {
                    ForecastReply::Wont(Failure::refused("current_value_differs", "it is another one"))
                } else {
                    would(agent)
                };
                let body = serde_json::to_vec(&vec![reply; question.actions.len()]).unwrap();
                request.respond(Ok(body.into())).await.unwrap();
            }
        });
    }

    async fn take_steps(&self, agent: AgentKind, behaviour: Behaviour) {
        let mut steps = self.bus.steps(agent, &host()).await.unwrap();
        let (bus, sent) = (self.bus.clone(), Arc::clone(&self.sent));
        self.tasks.spawn(async move {
            while let Some(delivery) = steps.next().await {
                let Ok(delivery) = delivery else { continue };
                let command: StepCommand = delivery.json().unwrap();
                let (shard, ..) = subject::parse_record(delivery.subject()).unwrap();
                sent.lock().unwrap().push(format!("{}.{}", command.step_id, command.attempt));
                if let Some(status) = behaviour(&command) {
                    let result = result(&command, status);
                    let kind = RecordKind::Result { step: command.step_id.clone(), attempt: command.attempt };
                    let subject = subject::record(shard, command.remediation_id, &kind);
                    let _ = bus.publish_once(&subject, &result, Headers::new()).await;
                }
                let _ = delivery.done().await;
            }
        });
    }

    /// Publish a command as a plain client does, and read the answer.
    pub async fn ask(&self, payload: &str, instance: &str) -> CommandAnswer {
        answer(self.tell(payload, instance).await).await
    }

    /// Publish a command; where the answer will come.
    pub async fn tell(&self, payload: &str, instance: &str) -> Inbox {
        let inbox = self.bus.inbox().await.unwrap();
        let headers = Headers::new().with(CommandAnswer::REPLY_HEADER, inbox.subject());
        let subject = subject::command(&instance.parse().unwrap());
        self.bus.publish_bytes(&subject, payload.to_owned().into(), None, headers).await.unwrap();
        inbox
    }

    /// Answer the restart of a remediation in the agent's place.
    pub async fn answer_restart(&self, id: RemediationId) {
        let messages = self.bus.find_remediation(id).await.unwrap();
        let step = messages.iter().find(|message| message.subject.contains(".restart.1")).unwrap();
        let (shard, ..) = subject::parse_record(&step.subject).unwrap();
        let command: StepCommand = step.json().unwrap();
        let kind = RecordKind::Result { step: command.step_id.clone(), attempt: command.attempt };
        let subject = subject::record(shard, id, &kind);
        self.bus
            .publish_once(&subject, &result(&command, StepStatus::Success), Headers::new())
            .await
            .unwrap();
    }

    /// The end of a remediation, once it stands in the log.
    pub async fn ended(&self, id: RemediationId) -> WorkflowTrace {
        eventually(Duration::from_secs(20), || async move {
            let messages = self.bus.find_remediation(id).await.ok()?;
            messages.iter().find(|message| is_end(message))?.json().ok()
        })
        .await
    }

    /// So many are kept in the end; the sender is told before.
    pub async fn dead_letters(&self, many: usize) {
        eventually(Duration::from_secs(10), || async move {
            (self.bus.dead_letters().await.ok()?.len() == many).then_some(())
        })
        .await;
    }

    pub fn sent(&self) -> Vec<String> {
        self.sent.lock().unwrap().clone()
    }
}

/// What the sender of a command hears.
pub async fn answer(mut inbox: Inbox) -> CommandAnswer {
    let reply = tokio::time::timeout(Duration::from_mins(1), inbox.next()).await;
    serde_json::from_slice(&reply.expect("an answer within a minute").unwrap().payload).unwrap()
}

pub fn is_end(message: &instance_bus::LogMessage) -> bool {
    matches!(subject::parse_record(&message.subject), Some((.., RecordKind::Ended)))
}

fn would(agent: AgentKind) -> ForecastReply {
    ForecastReply::Would(Forecast {
        unknown_version: None,
        target: agent.as_str().to_owned(),
        before: "old".to_owned(),
        after: "new".to_owned(),
        needs_restart: true,
        may_be_live: false,
        restart_reason: "read at start".to_owned(),
        dangerous: false,
        warnings: Vec::new(),
    })
}

/// The default policy, for instances that are restarted again and again.
pub fn often() -> Policy {
    Policy { quiet_seconds: 0, restarts_per_hour: 60, minutes_between_restarts: 0, ..Policy::default() }
}

pub fn host() -> HostName {
    "db1.example.com".parse().unwrap()
}

pub fn command(number: u128, instance: &str) -> String {
    serde_json::json!({
        "schema": "instance.v1.remediation_command",
        "command_id": Uuid::from_u128(number).to_string(),
        "trace_id": "0123456789abcdef0123456789abcdef",
        "instance": instance,
        "error_type": "config",
        "severity": 3,
        "recommended_action": "double the database cache",
        "execution_order": ["iris_config", "iris_restart"],
        "parameters": {"cpf_section": "config", "parameter": "globals", "new_value": "0,0,512,0,0,0"},
        "requires_restart": true,
        "requested_by": "test",
        "issued_at": jiff::Timestamp::UNIX_EPOCH.max(instance_clock::Clock::now(&SystemClock)).to_string(),
    })
    .to_string()
}

fn result(command: &StepCommand, status: StepStatus) -> ToolResult {
    let failed = status != StepStatus::Success && status != StepStatus::Undone;
    ToolResult {
        schema: ToolResult::SCHEMA.to_owned(),
        trace_id: command.trace_id.clone(),
        tool_name: command.tool.as_str().to_owned(),
        command_id: command.command_id,
        remediation_id: command.remediation_id,
        step_id: command.step_id.clone(),
        attempt: Attempt(command.attempt.0),
        status,
        execution_time_ms: 1,
        changes_applied: BTreeMap::new(),
        error_code: failed.then(|| "test".to_owned()),
        error_message: failed.then(|| "as the test wants".to_owned()),
        retryable: false,
        requires_user_action: false,
        rollback_available: true,
        warnings: Vec::new(),
        agent: AgentInfo {
            name: command.agent.as_str().into(),
            version: "0.1.0".into(),
            host: command.host.clone(),
        },
    }
}
