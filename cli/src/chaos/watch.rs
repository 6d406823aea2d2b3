//! What is seen of a run on the bus, while it goes on.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::{Duration, Instant},
};

use anyhow::Result;
use futures::{
    StreamExt as _,
    stream::{BoxStream, SelectAll, select_all, unfold},
};
use instance_bus::{Bus, BusError, Deliveries, Durability, LogFollow, LogMessage, StartAt};
use instance_contract::{
    Action, CommandId, Decision, Finding, IncidentId, IrisMessage, MessageId, RemediationCommand,
    RemediationId, StepStatus,
    subject::{self, IncidentRecord},
};
use instance_diagnosis::targets;
use instance_engine::Record;
use instance_scenario::Handled;

type Records = SelectAll<BoxStream<'static, Result<LogMessage, BusError>>>;

fn endless(follow: LogFollow) -> BoxStream<'static, Result<LogMessage, BusError>> {
    unfold(follow, |mut follow| async move { Some((follow.next().await, follow)) }).boxed()
}

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
    /// Parts of texts that stand for a condition, each with it.
    told_as: Vec<(String, String)>,
    of_message: BTreeMap<MessageId, String>,
    /// What the findings name that asked for a command.
    of_command: BTreeMap<CommandId, Vec<String>>,
    /// Incidents without a finding.
    undecided: BTreeSet<IncidentId>,
    /// A finding came, or something was asked for.
    has_thought: bool,
}

/// A remediation of the run.
pub struct Remediation {
    command: RemediationCommand,
    ended: Option<String>,
    calls_a_person: bool,
}

impl Watch {
    /// From the beginning of everything on that bus. A message that holds the first of a pair tells of the second, a condition,
    /// where nobody has given it one.
    pub async fn begin(bus: &Bus, told_as: Vec<(String, String)>) -> Result<Self> {
        let shards = bus.topology().await?.shards();
        let follows = shards.map(|shard| {
            let follow = bus.follow(shard, &[subject::shard_log(shard)], 1);
            endless(follow)
        });
        let incidents = endless(bus.follow_incidents(&[subject::incidents()], 1));
        Ok(Self {
            messages: bus.errors(Durability::Ephemeral, StartAt::First).await?,
            records: select_all(follows.chain([incidents])),
            since: Instant::now(),
            active_at: Instant::now(),
            detected: BTreeMap::new(),
            left_to_a_person: Vec::new(),
            published: Vec::new(),
            remediations: BTreeMap::new(),
            commands: Vec::new(),
            ended_at: None,
            told_as,
            of_message: BTreeMap::new(),
            of_command: BTreeMap::new(),
            undecided: BTreeSet::new(),
            has_thought: false,
        })
    }

    /// The fault begins: times count from now on.
    pub fn fault_begins(&mut self) {
        self.since = Instant::now();
        self.active_at = self.since;
    }

    /// Is a remediation under way, or something being thought about?
    pub fn is_busy(&self) -> bool {
        !self.undecided.is_empty()
            || self.remediations.values().any(|remediation| remediation.ended.is_none())
    }

    /// Has anything been concluded at all, be it that nothing is to be done?
    pub fn has_thought(&self) -> bool {
        self.has_thought
    }

    /// Takes in what happens within that time.
    pub async fn go_on(&mut self, time: Duration) -> Result<()> {
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
        Ok(())
    }

    /// As the score wants it.
    pub fn handled(&self) -> Vec<Handled> {
        self.remediations
            .values()
            .map(|remediation| {
                let command = &remediation.command;
                let targets = targets(command);
                let caused_by = command.caused_by.first().and_then(|id| self.of_message.get(id));
                let named = self.of_command.get(&command.command_id).cloned();
                Handled {
                    targets: targets
                        .iter()
                        .filter_map(|target| target.parse().ok())
                        .filter(|it| *it != instance_scenario::Target::Instance)
                        .collect(),
                    restart: command.steps().iter().any(|step| matches!(step.action, Action::Restart(_))),
                    condition: caused_by.cloned(),
                    named: named.unwrap_or_default(),
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
        let condition =
            message.condition.as_ref().map(|id| id.as_str().to_owned()).or_else(|| self.told_by(&message));
        self.published.push(payload);
        self.of_message.insert(message.message_id, condition.clone().unwrap_or_default());
        if let Some(condition) = condition
            && !self.detected.contains_key(&condition)
        {
            self.detected.insert(condition, self.since.elapsed());
            self.active_at = Instant::now();
        }
    }

    /// The condition that words of the scenario's own stand for.
    fn told_by(&self, message: &IrisMessage) -> Option<String> {
        let text = message.message_text.as_str();
        let told = self.told_as.iter().find(|(part, _)| text.contains(part.as_str()));
        told.map(|(_, condition)| condition.clone())
    }

    fn record(&mut self, message: &LogMessage) -> Result<()> {
        if let Some((id, kind)) = subject::parse_incident(&message.subject) {
            return self.incident(id, kind, message);
        }
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
        self.has_thought = true;
        // A dry run asks for nothing.
        if !command.dry_run && !self.remediations.contains_key(&id) {
            self.commands.push(command.clone());
            self.remediations.insert(id, Remediation { command, ended: None, calls_a_person: false });
        }
    }

    fn incident(&mut self, id: IncidentId, kind: IncidentRecord, message: &LogMessage) -> Result<()> {
        self.active_at = Instant::now();
        match kind {
            IncidentRecord::Opened => drop(self.undecided.insert(id)),
            IncidentRecord::Finding(_) => {
                self.undecided.remove(&id);
                self.finding(&message.json()?);
            }
            IncidentRecord::Closed => drop(self.undecided.remove(&id)),
            IncidentRecord::Outcome(_) | IncidentRecord::Acknowledged => {}
        }
        Ok(())
    }

    /// What is left to people, and what a command was asked for.
    fn finding(&mut self, finding: &Finding) {
        self.has_thought = true;
        // Who is told of the whole is told of its parts: the entries are in the finding.
        let parts =
            finding.evidence.iter().filter_map(|entry| self.of_message.get(&entry.message_id).cloned());
        let whole = finding.condition.iter().map(|condition| condition.as_str().to_owned());
        let named = parts.filter(|condition| !condition.is_empty()).chain(whole);
        match &finding.decision {
            Decision::Person { .. } => self.left_to_a_person.extend(named),
            Decision::Remediation { command_id, .. } => {
                self.of_command.entry(*command_id).or_default().extend(named);
            }
            _ => {}
        }
    }
}
