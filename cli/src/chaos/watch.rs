//! What is seen of a run on the bus and in what the rules say, while it goes on.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use anyhow::Result;
use futures::{
    StreamExt as _,
    stream::{BoxStream, SelectAll, select_all, unfold},
};
use instance_bus::{Bus, BusError, Deliveries, Durability, LogMessage, StartAt};
use instance_contract::{
    Action, IrisMessage, MessageId, RemediationCommand, RemediationId, StepStatus, subject,
};
use instance_engine::Record;
use instance_scenario::Handled;
use serde_json::Value;

use super::pipeline::Pipeline;
use crate::{respond::judge, up::pipeline::RESPOND};

type Records = SelectAll<BoxStream<'static, Result<LogMessage, BusError>>>;

/// Everything that is known of a run.
pub struct Watch {
    messages: Deliveries,
    records: Records,
    /// When the fault began; times count from here.
    pub since: Instant,
    /// When something was seen last.
    pub active_at: Instant,
    /// Conditions by the time of their first message.
    pub detected: BTreeMap<String, Duration>,
    pub left_to_a_person: Vec<String>,
    /// Every message, as published, in order.
    pub published: Vec<Vec<u8>>,
    pub remediations: BTreeMap<RemediationId, Remediation>,
    /// In the order in which they were accepted or refused.
    pub commands: Vec<RemediationCommand>,
    pub ended_at: Option<Duration>,
    of_message: BTreeMap<MessageId, String>,
    words_read: usize,
}

/// A remediation of the run.
pub struct Remediation {
    command: RemediationCommand,
    ended: Option<String>,
    calls_a_person: bool,
}

impl Watch {
    /// From the beginning of everything on that bus.
    pub async fn begin(bus: &Bus) -> Result<Self> {
        let shards = bus.topology().await?.shards();
        let follows = shards.map(|shard| {
            let follow = bus.follow(shard, &[subject::shard_log(shard)], 1);
            unfold(follow, |mut follow| async move { Some((follow.next().await, follow)) }).boxed()
        });
        Ok(Self {
            messages: bus.errors(Durability::Ephemeral, StartAt::First).await?,
            records: select_all(follows),
            since: Instant::now(),
            active_at: Instant::now(),
            detected: BTreeMap::new(),
            left_to_a_person: Vec::new(),
            published: Vec::new(),
            remediations: BTreeMap::new(),
            commands: Vec::new(),
            ended_at: None,
            of_message: BTreeMap::new(),
            words_read: 0,
        })
    }

    /// The fault begins: times count from now on.
    pub fn fault_begins(&mut self) {
        self.since = Instant::now();
        self.active_at = self.since;
    }

    /// Is a remediation under way?
    pub fn is_busy(&self) -> bool {
        self.remediations.values().any(|remediation| remediation.ended.is_none())
    }

    /// Takes in what happens within that time.
    pub async fn go_on(&mut self, pipeline: &Pipeline, time: Duration) -> Result<()> {
        let until = tokio::time::sleep(time);
        tokio::pin!(until);
        loop {
            tokio::select! {
                () = &mut until => break,
                // Trouble with the bus of this very machine passes, or the run ends by its limits.
                delivery = self.messages.next() => if let Some(Ok(delivery)) = delivery {
                    let payload = delivery.payload().to_vec();
                    // A reading that nobody else shares; one that is not confirmed comes again and is known then.
                    let _ = delivery.done_unconfirmed().await;
                    self.message(payload);
                },
                Some(record) = self.records.next() => if let Ok(record) = record {
                    self.record(&record)?;
                },
            }
        }
        self.listen_to_the_rules(pipeline);
        Ok(())
    }

    /// As the score wants it.
    pub fn handled(&self) -> Vec<Handled> {
        self.remediations
            .values()
            .map(|remediation| {
                let command = &remediation.command;
                let targets = judge::targets(command);
                let caused_by = command.caused_by.first().and_then(|id| self.of_message.get(id));
                Handled {
                    targets: targets
                        .iter()
                        .filter_map(|target| target.parse().ok())
                        .filter(|it| *it != instance_scenario::Target::Instance)
                        .collect(),
                    restart: command.steps().iter().any(|step| matches!(step.action, Action::Restart(_))),
                    condition: caused_by.cloned(),
                    ended: remediation.ended.clone(),
                    calls_a_person: remediation.calls_a_person,
                }
            })
            .collect()
    }

    fn message(&mut self, payload: Vec<u8>) {
        let Ok(message) = IrisMessage::decode(&payload) else { return };
        if self.of_message.contains_key(&message.message_id) {
            return;
        }
        let condition = message.condition.as_ref().map(|id| id.as_str().to_owned());
        self.published.push(payload);
        self.of_message.insert(message.message_id, condition.clone().unwrap_or_default());
        if let Some(condition) = condition
            && !self.detected.contains_key(&condition)
        {
            self.detected.insert(condition, self.since.elapsed());
            self.active_at = Instant::now();
        }
    }

    fn record(&mut self, message: &LogMessage) -> Result<()> {
        let Some((_, id, kind)) = subject::parse_record(&message.subject) else { return Ok(()) };
        self.active_at = Instant::now();
        match Record::decode(&kind, &message.payload)? {
            Record::Accepted(accepted) => self.asked(id, accepted.command),
            Record::Result(result) => {
                if let Some(remediation) = self.remediations.get_mut(&id) {
                    let gone_wrong = !matches!(result.status, StepStatus::Success | StepStatus::Skipped);
                    remediation.calls_a_person |= result.requires_user_action && gone_wrong;
                }
            }
            Record::Ended(ended) => {
                if let Some(command) = ended.trace.command_received.clone() {
                    self.asked(id, command);
                }
                if let Some(remediation) = self.remediations.get_mut(&id) {
                    remediation.ended = Some(ended.trace.overall_status.as_str().to_owned());
                    self.ended_at = Some(self.since.elapsed());
                }
            }
            _ => {}
        }
        Ok(())
    }

    fn asked(&mut self, id: RemediationId, command: RemediationCommand) {
        if !self.remediations.contains_key(&id) {
            self.commands.push(command.clone());
            self.remediations.insert(id, Remediation { command, ended: None, calls_a_person: false });
        }
    }

    /// What the rules leave to people stands in their log, and nowhere else yet.
    fn listen_to_the_rules(&mut self, pipeline: &Pipeline) {
        let said = pipeline.logs.since(RESPOND, self.words_read);
        self.words_read += said.len();
        for line in said.iter().filter(|line| line.contains("left to a person")) {
            let Ok(line) = serde_json::from_str::<Value>(line) else { continue };
            if let Some(condition) = line["fields"]["condition"].as_str() {
                self.left_to_a_person.push(condition.to_owned());
                self.active_at = Instant::now();
            }
        }
    }
}
