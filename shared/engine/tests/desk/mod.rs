//! A desk on which the core works: a log that is written once a subject, agents that answer, a clock that is turned.

mod agents;

use std::collections::{BTreeMap, VecDeque};

use instance_contract::{
    AgentKind, AnswerStatus, ApprovalAnswered, ApprovalAsked, Digest, Facts, Forecast, ForecastReply,
    HostName, Older, RemediationCommand, RemediationId, StepCommand, Token, ToolResult, TraceId, Verdict,
    WorkflowTrace, subject::RecordKind,
};
use instance_engine::{Arrival, Core, Earlier, Effect, Event, FactsAnswer, Logged, Record, Remediation};
use instance_planner::Policy;
use jiff::Timestamp;
use serde_json::json;

pub use agents::{asks_for_force, failed, refused, succeeded, transient, undone, unknown};

type Entry = (RemediationId, RecordKind, Timestamp, u64, Record);

pub struct Desk {
    core: Core,
    policy: Policy,
    now: Timestamp,
    log: Vec<Entry>,
    events: VecDeque<Event>,
    wake: Option<Timestamp>,
    silent: bool,
    dies_after: Option<usize>,
    /// Of the acceptance of this one, the owner hears later.
    unconfirmed: Option<RemediationId>,
    answers: Vec<(AnswerStatus, Option<u32>)>,
    dead: usize,
}

impl Desk {
    pub fn new() -> Self {
        Self::with(Policy { minutes_between_restarts: 0, restarts_per_hour: 60, ..Policy::default() })
    }

    pub fn without_approvals() -> Self {
        Self::with(Policy { approve_restarts: false, minutes_between_restarts: 0, ..Policy::default() })
    }

    pub fn with(policy: Policy) -> Self {
        // A planted fault is handed to the core with its policy.
        #[cfg(feature = "mutants")]
        let policy = Policy { mutant: std::env::var("MUTANT").ok(), ..policy };
        Self {
            core: Core::new(policy.clone(), 1),
            policy,
            now: "2026-11-21T08:00:00Z".parse().unwrap(),
            log: Vec::new(),
            events: VecDeque::new(),
            wake: None,
            silent: false,
            dies_after: None,
            unconfirmed: None,
            answers: Vec::new(),
            dead: 0,
        }
    }

    pub fn agents_are_silent(&mut self, silent: bool) {
        self.silent = silent;
    }

    /// The owner dies once so many records stand in the log; the next one begins with what the log holds.
    pub fn dies_after(&mut self, records: usize) {
        self.dies_after = Some(records);
    }

    /// The owner's settings, changed: those who own the shard after this one have them.
    pub fn later_owners_have(&mut self, policy: Policy) {
        self.policy = policy;
    }

    /// The acceptance of this one stands in the log, and the owner does not know it before `confirms`.
    pub fn loses_confirmation_of(&mut self, number: u128) {
        self.unconfirmed = Some(id(number));
    }

    pub fn confirms(&mut self) {
        let id = self.unconfirmed.take().expect("a confirmation was lost");
        self.events.push_back(Event::NotRecorded { id, kind: RecordKind::Accepted });
    }

    pub fn halts(&mut self) {
        self.events.push_back(Event::Halted(true));
    }

    /// Time passes while the owner is away: nothing wakes it.
    pub fn sleeps(&mut self, seconds: i64) {
        self.now += jiff::SignedDuration::from_secs(seconds);
    }

    /// A result comes that nobody has asked for.
    pub fn hears(&mut self, number: u128, result: ToolResult) {
        let kind = RecordKind::Result { step: result.step_id.clone(), attempt: result.attempt };
        self.write(id(number), kind, Record::Result(result));
    }

    pub fn arrives(&mut self, command: RemediationCommand) {
        let digest = Digest::of(&serde_json::to_vec(&command).unwrap());
        let hosts = AgentKind::ALL.iter().map(|agent| (*agent, host())).collect();
        let arrival = Arrival { command, digest, traceparent: None, hosts, earlier: None };
        self.events.push_back(Event::Arrived(Box::new(arrival)));
    }

    pub fn approves(&mut self, number: u128, verdict: Verdict) {
        let id = id(number);
        let asked = self.log.iter().find_map(|entry| match (&entry.4, entry.0 == id) {
            (Record::ApprovalAsked(asked), true) => Some(asked.clone()),
            _ => None,
        });
        self.answer(id, 1, asked.expect("an approval was asked").digest, verdict);
    }

    /// The answer to the second question, which must have been asked.
    pub fn agrees_to_force(&mut self, number: u128, verdict: Verdict) {
        let (_, asked) = self.questions(number).pop().filter(|(k, _)| *k == 2).expect("a second question");
        self.answer(id(number), 2, asked.digest, verdict);
    }

    /// What was asked of people, by number.
    pub fn questions(&self, number: u128) -> Vec<(u32, ApprovalAsked)> {
        let of_it = self.log.iter().filter(|entry| entry.0 == id(number));
        of_it
            .filter_map(|entry| match (&entry.1, &entry.4) {
                (RecordKind::ApprovalAsked(k), Record::ApprovalAsked(asked)) => Some((*k, asked.clone())),
                _ => None,
            })
            .collect()
    }

    pub fn approves_other_digest(&mut self, number: u128, verdict: Verdict) {
        self.answer(id(number), 1, Digest::of(b"other changes"), verdict);
    }

    pub fn answers_with_noise(&mut self, number: u128) {
        let kind = RecordKind::ApprovalAnswered(1);
        let noise = Record::decode(&kind, b"yes please").unwrap();
        self.write(id(number), kind, noise);
    }

    fn answer(&mut self, id: RemediationId, k: u32, digest: Digest, verdict: Verdict) {
        let answered = ApprovalAnswered {
            schema: ApprovalAnswered::SCHEMA.to_owned(),
            trace_id: trace_id(),
            remediation_id: id,
            digest,
            verdict,
            by: "operator".to_owned(),
            at: self.now,
            note: None,
        };
        self.write(id, RecordKind::ApprovalAnswered(k), Record::ApprovalAnswered(answered));
    }

    /// Works until only time could move anything.
    pub fn run(&mut self, mut agent: impl FnMut(&StepCommand) -> ToolResult) {
        while let Some(event) = self.events.pop_front() {
            let effects = self.core.on(event, self.now);
            self.perform(effects, &mut agent);
        }
    }

    /// The tokens of all step commands, in the order of the log.
    pub fn tokens(&self) -> Vec<Token> {
        let of = |entry: &Entry| match &entry.4 {
            Record::Step(command) => Some(command.token),
            _ => None,
        };
        self.log.iter().filter_map(of).collect()
    }

    /// As `run`, and turns the clock to each wake-up until there is none.
    pub fn run_to_the_end(&mut self, mut agent: impl FnMut(&StepCommand) -> ToolResult) {
        for _ in 0..100 {
            self.run(&mut agent);
            let Some(wake) = self.wake.take() else { return };
            self.now = self.now.max(wake) + jiff::SignedDuration::from_millis(1);
            self.events.push_back(Event::Tick);
        }
        panic!("no end after 100 wake-ups");
    }

    fn perform(&mut self, effects: Vec<Effect>, agent: &mut impl FnMut(&StepCommand) -> ToolResult) {
        self.wake = None;
        for effect in effects {
            match effect {
                Effect::Ask { id, questions, .. } => {
                    let answer = if self.silent {
                        FactsAnswer::Silent { why: "nobody is there".to_owned() }
                    } else {
                        let forecasts =
                            questions.iter().map(|q| (q.step.clone(), forecast(q.step.as_str()))).collect();
                        let hosts: BTreeMap<AgentKind, HostName> =
                            AgentKind::ALL.iter().map(|agent| (*agent, host())).collect();
                        FactsAnswer::Facts(Facts { forecasts, hosts, ..Facts::default() })
                    };
                    self.events.push_back(Event::Answered { id, answer: Box::new(answer) });
                }
                Effect::Begin { id, kind, record } => match self.earlier(id) {
                    Some(earlier) => self.events.push_back(Event::Used { id, earlier }),
                    None => self.write(id, kind, *record),
                },
                Effect::Write { id, kind, record } => {
                    if let Record::Step(command) = &*record
                        && !self.log.iter().any(|entry| entry.0 == id && entry.1 == kind)
                    {
                        let result = agent(command);
                        self.write(id, kind, *record.clone());
                        let kind =
                            RecordKind::Result { step: result.step_id.clone(), attempt: result.attempt };
                        self.write(id, kind, Record::Result(result));
                    } else {
                        self.write(id, kind, *record);
                    }
                }
                Effect::Answer { answer, dead_letter, .. } => {
                    self.answers.push((answer.status, answer.place));
                    self.dead += usize::from(dead_letter.is_some());
                }
                Effect::Find { id } => {
                    let own = self.log.iter().filter(|entry| entry.0 == id);
                    let records =
                        own.map(|(_, kind, at, seq, record)| (kind.clone(), *at, *seq, record.clone()));
                    self.events.push_back(Event::Found { id, records: records.collect() });
                }
                Effect::WakeAt(at) => self.wake = Some(self.wake.map_or(at, |earlier| earlier.min(at))),
            }
        }
    }

    /// What the log holds under an id.
    fn earlier(&self, id: RemediationId) -> Option<Earlier> {
        let mut own = self.log.iter().filter(|entry| entry.0 == id).map(|entry| &entry.4).peekable();
        own.peek()?;
        Some(
            own.find_map(|record| match record {
                Record::Accepted(accepted) => Some(Earlier::Accepted(accepted.command_digest.clone())),
                _ => None,
            })
            .unwrap_or(Earlier::Refused),
        )
    }

    /// Each subject is written once; who comes second reads what stands there.
    #[expect(clippy::needless_pass_by_value, reason = "a record is given away when it is written")]
    fn write(&mut self, id: RemediationId, kind: RecordKind, record: Record) {
        let standing = self.log.iter().find(|entry| entry.0 == id && entry.1 == kind).cloned();
        let entry = standing.unwrap_or_else(|| {
            let bytes = record.encode();
            let record = Record::decode(&kind, &bytes).expect("a record reads as it was written");
            let sequence = self.log.len() as u64 + 1;
            self.log.push((id, kind.clone(), self.now, sequence, record));
            self.log.last().cloned().unwrap()
        });
        if self.dies_after == Some(self.log.len()) {
            self.dies_after = None;
            self.taken_over();
            return;
        }
        let (id, kind, at, sequence, record) = entry;
        if self.unconfirmed == Some(id) {
            return;
        }
        self.events.push_back(Event::Recorded { id, kind, at, sequence, record: Box::new(record) });
    }

    fn taken_over(&mut self) {
        self.events.clear();
        self.core = Core::new(self.policy.clone(), 2);
        let ids: std::collections::BTreeSet<RemediationId> = self.log.iter().map(|entry| entry.0).collect();
        let log = &self.log;
        let adopted: Vec<Remediation> = ids
            .into_iter()
            .filter_map(|id| {
                let own = log.iter().filter(|entry| entry.0 == id);
                Remediation::replay(
                    own.map(|(_, kind, at, seq, record)| (kind.clone(), *at, *seq, record.clone())),
                )
            })
            .collect();
        // The new owner's first look; what it wants done is done by the loop that runs.
        self.events.push_back(Event::Tick);
        for effect in self.core.adopt(adopted, self.now) {
            if let Effect::Write { id, kind, record } = effect {
                self.after_takeover(id, kind, *record);
            }
        }
    }

    fn after_takeover(&mut self, id: RemediationId, kind: RecordKind, record: Record) {
        let result = match &record {
            Record::Step(command) => Some(if command.step_id.as_str().ends_with("-undo") {
                undone(command)
            } else {
                succeeded(command)
            }),
            _ => None,
        };
        self.write(id, kind, record);
        if let Some(result) = result {
            let kind = RecordKind::Result { step: result.step_id.clone(), attempt: result.attempt };
            self.write(id, kind, Record::Result(result));
        }
    }

    /// Step commands in the log, as `step.attempt`.
    pub fn sent(&self) -> Vec<String> {
        self.log
            .iter()
            .filter_map(|entry| match &entry.4 {
                Record::Step(command) => Some(format!("{}.{}", command.step_id, command.attempt)),
                _ => None,
            })
            .collect()
    }

    /// The most step commands that one event has led to.
    pub fn side_by_side(&self) -> usize {
        let mut by_event: BTreeMap<&str, usize> = BTreeMap::new();
        for entry in &self.log {
            if let Record::Step(command) = &entry.4 {
                *by_event.entry(&command.because.event).or_default() += 1;
            }
        }
        by_event.into_values().max().unwrap_or_default()
    }

    /// The log of one remediation.
    pub fn records(&self, number: u128) -> Vec<Logged> {
        let own = self.log.iter().filter(|entry| entry.0 == id(number));
        own.map(|(_, kind, at, seq, record)| (kind.clone(), *at, *seq, record.clone())).collect()
    }

    /// The log of one remediation, folded again, gives the same records.
    pub fn replays(&self, number: u128) -> bool {
        let replayed = instance_engine::replay(&self.records(number));
        !replayed.is_empty() && replayed.iter().all(instance_engine::Replayed::is_same)
    }

    /// How long each step command had waited on purpose, in milliseconds.
    pub fn waits(&self) -> Vec<u64> {
        self.log
            .iter()
            .filter_map(|entry| match &entry.4 {
                Record::Step(command) => Some(command.because.delay_ms),
                _ => None,
            })
            .collect()
    }

    /// Its plan is not in its acceptance, but was made on facts of its turn.
    pub fn is_planned_at_its_turn(&self, number: u128) -> bool {
        self.log.iter().any(|entry| entry.0 == id(number) && matches!(entry.4, Record::Planned(_)))
    }

    pub fn ended(&self, number: u128) -> WorkflowTrace {
        let ended = self.log.iter().find_map(|entry| match (&entry.4, entry.0 == id(number)) {
            (Record::Ended(ended), true) => Some(ended.trace.clone()),
            _ => None,
        });
        ended.expect("the remediation has ended")
    }

    pub fn answers(&self) -> Vec<AnswerStatus> {
        self.answers.iter().map(|(status, _)| *status).collect()
    }

    pub fn places(&self) -> Vec<u32> {
        self.answers.iter().filter_map(|(_, place)| *place).collect()
    }

    pub fn dead_letters(&self) -> usize {
        self.dead
    }
}

fn host() -> HostName {
    "db1".parse().unwrap()
}

fn trace_id() -> TraceId {
    TraceId::from_bytes([7; 16])
}

fn id(number: u128) -> RemediationId {
    instance_contract::CommandId::from_uuid(uuid::Uuid::from_u128(number)).into()
}

fn forecast(step: &str) -> ForecastReply {
    ForecastReply::Would(Forecast {
        unknown_version: None,
        target: format!("target of {step}"),
        before: "before".to_owned(),
        after: "after".to_owned(),
        needs_restart: true,
        may_be_live: false,
        restart_reason: "read at start".to_owned(),
        dangerous: false,
        warnings: Vec::new(),
    })
}

pub fn command(number: u128, instance: &str) -> RemediationCommand {
    read(
        number,
        instance,
        &json!({
            "requires_restart": true,
            "execution_order": ["iris_config", "iris_restart"],
            "parameters": {"cpf_section": "config", "parameter": "globals", "new_value": "0,0,512,0,0,0"},
        }),
    )
}

/// A CPF change, then a restart that may end in force.
pub fn forcing(number: u128) -> RemediationCommand {
    let cpf = json!({"cpf_section": "config", "parameter": "globals", "new_value": "0,0,512,0,0,0"});
    let steps = json!([
        {"id": "config", "tool": "iris_config", "parameters": cpf},
        {"id": "restart", "tool": "iris_restart", "depends_on": ["config"], "parameters": {"force": true}},
    ]);
    read(number, "PROD", &json!({"requires_restart": true, "steps": steps}))
}

pub fn graph(number: u128, instance: &str, steps: &[(&str, &[&str])]) -> RemediationCommand {
    let steps: Vec<_> = steps
        .iter()
        .map(|(id, depends_on)| {
            json!({"id": id, "tool": "os_config", "depends_on": depends_on,
                "parameters": {"kernel_param": format!("vm.{id}"), "new_value": 1}})
        })
        .collect();
    read(number, instance, &json!({"requires_restart": false, "steps": steps}))
}

pub fn dry(mut command: RemediationCommand) -> RemediationCommand {
    command.dry_run = true;
    command
}

pub fn priority(mut command: RemediationCommand, priority: &str) -> RemediationCommand {
    command.priority = priority.parse().unwrap();
    command
}

fn read(number: u128, instance: &str, work: &serde_json::Value) -> RemediationCommand {
    let mut value = json!({
        "schema": RemediationCommand::SCHEMA,
        "command_id": uuid::Uuid::from_u128(number).to_string(),
        "trace_id": trace_id(),
        "instance": instance,
        "error_type": "config",
        "severity": 3,
        "recommended_action": "grow the database cache",
        "requested_by": "test",
        "issued_at": "2026-11-21T07:59:59Z",
    });
    value.as_object_mut().unwrap().extend(work.as_object().unwrap().clone());
    let older = Older::nothing(trace_id(), "2026-11-21T07:59:59Z".parse().unwrap());
    RemediationCommand::decode(value.to_string().as_bytes(), &older).unwrap()
}
