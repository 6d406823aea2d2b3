//! A desk on which the core works: a log that is written once a subject, agents that answer, a clock that is turned.

mod agents;
mod commands;
mod look;

use std::collections::{BTreeMap, VecDeque};

use instance_contract::{
    AgentKind, AnswerStatus, ApprovalAnswered, Digest, Facts, Forecast, ForecastReply, HostName,
    RemediationCommand, RemediationId, StepCommand, ToolResult, TraceId, Verdict, subject::RecordKind,
};
use instance_engine::{Arrival, Core, Earlier, Effect, Event, FactsAnswer, Record, Remediation};
use instance_planner::Policy;
use jiff::Timestamp;

pub use agents::{asks_for_force, but_for, failed, refused, succeeded, transient, undone, unknown};
pub use commands::{command, dry, forcing, graph, priority};

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

    /// The first command for PROD has come, and whoever must agree to it is asked.
    pub fn asked(mut self) -> Self {
        self.arrives(command(1, "PROD"));
        self.run(succeeded);
        self
    }

    /// A person agrees, and all that follows goes well.
    pub fn approves_and_runs(&mut self, number: u128) {
        self.approves(number, Verdict::Granted);
        self.run(succeeded);
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
