//! One remediation as its records tell it: for whoever shows remediations (command line, gateway). What the records come
//! to is the engine's fold.
//!
//! Invariant: nothing is kept here; each call reads the remediation log, and of it what was asked for, not the whole.
//! Invariant: a record that cannot be read is told beside the others, and hides none of them.
//!
//! Invariant: what an asker wrote in words leaves without what looks like a secret; the records themselves stay as they are.
//!
//! May be imported by cli, gateway and tests. Imports contract, engine, redaction and bus.

use std::collections::BTreeMap;

use instance_bus::{Bus, BusError, LogMessage};
use instance_contract::{
    CommandId, Ended, OverallStatus, RemediationCommand, RemediationId, Risk, Shard, StepId, StepOutline,
    StepStatus, ToolResult, WorkflowTrace,
    subject::{RecordKind, parse_record},
};
use instance_engine::{Record, Remediation};
use jiff::Timestamp;
use serde_json::{Value, json};
use uuid::Uuid;

mod newest;
mod open;

pub use newest::{Newest, NoPlace, Place};
pub use open::{Open, open};

pub use instance_engine::Phase;

/// The records of one remediation, oldest first.
pub struct Story {
    pub id: RemediationId,
    pub shard: Shard,
    /// Where its oldest record stands in the shard's log.
    sequence: u64,
    records: Vec<(RecordKind, Timestamp, u64, Record)>,
    /// Why records of it cannot be read.
    unread: Vec<String>,
}

/// One step as far as it has come.
pub struct StepRow {
    pub id: StepId,
    pub agent: String,
    pub host: String,
    /// 0 before it was sent.
    pub attempt: u32,
    /// `None` while it waits or runs.
    pub status: Option<StepStatus>,
    /// What the plan says of it; `None` for what takes a step back.
    pub outline: Option<StepOutline>,
}

/// Finds a remediation by its id or by that of its command. `None` when the bus knows neither.
pub async fn find(bus: &Bus, id: Uuid) -> Result<Option<Story>, BusError> {
    let as_command = RemediationId::from(CommandId::from_uuid(id));
    for id in [RemediationId::from_uuid(id), as_command] {
        let messages = bus.find_remediation(id).await?;
        if let Some(story) = stories(&messages).into_iter().next() {
            return Ok(Some(story));
        }
    }
    Ok(None)
}

/// The stories that some messages tell. A record that cannot be read is noted in its story: one of them must not hide
/// all the others.
fn stories(messages: &[LogMessage]) -> Vec<Story> {
    let mut by_id: BTreeMap<RemediationId, Story> = BTreeMap::new();
    for message in messages {
        let Some((shard, id, kind)) = parse_record(&message.subject) else { continue };
        let sequence = message.sequence;
        let begun = || Story { id, shard, sequence, records: Vec::new(), unread: Vec::new() };
        let story = by_id.entry(id).or_insert_with(begun);
        match Record::decode(&kind, &message.payload) {
            Ok(record) => story.records.push((kind, message.published_at, message.sequence, record)),
            Err(error) => story.unread.push(error.to_string()),
        }
    }
    by_id.into_values().collect()
}

impl Story {
    pub fn records(&self) -> &[(RecordKind, Timestamp, u64, Record)] {
        &self.records
    }

    /// The fold; `None` for a command that was refused before it was accepted.
    pub fn remediation(&self) -> Option<Remediation> {
        Remediation::replay(self.records.iter().cloned())
    }

    pub fn ended(&self) -> Option<&Ended> {
        self.records.iter().find_map(|(_, _, _, record)| match record {
            Record::Ended(ended) => Some(ended),
            _ => None,
        })
    }

    /// The command as it was understood, for whoever looks: its words hold no secret. `None` where it could not be understood.
    pub fn command(&self) -> Option<RemediationCommand> {
        let accepted = self.remediation().map(|remediation| remediation.accepted.command);
        let mut command = accepted.or_else(|| self.ended()?.trace.command_received.clone())?;
        for words in [&mut command.recommended_action, &mut command.requested_by] {
            *words = instance_redaction::redact(words).into_owned();
        }
        Some(command)
    }

    pub fn ended_at(&self) -> Option<Timestamp> {
        let ended = self.records.iter().find(|(_, _, _, record)| matches!(record, Record::Ended(_)));
        ended.map(|(_, at, _, _)| *at)
    }

    pub fn began_at(&self) -> Timestamp {
        self.records.first().map_or(Timestamp::UNIX_EPOCH, |(_, at, _, _)| *at)
    }

    pub fn phase(&self) -> Phase {
        match self.remediation() {
            _ if self.ended().is_some() => Phase::Ended,
            Some(remediation) => remediation.phase(),
            None => Phase::Queued,
        }
    }

    /// Steps in the order of the plan, then those that take steps back.
    pub fn steps(&self) -> Vec<StepRow> {
        let remediation = self.remediation();
        let plan = remediation.as_ref().and_then(|remediation| remediation.plan.as_ref());
        let mut rows: Vec<StepRow> = Vec::new();
        let mut outlines = plan.map(instance_contract::Plan::outline).unwrap_or_default();
        for outline in &mut outlines {
            outline.reason = instance_redaction::redacted(std::mem::take(&mut outline.reason));
        }
        let steps = plan.into_iter().flat_map(|plan| &plan.steps);
        for (planned, outline) in steps.zip(outlines) {
            rows.push(StepRow {
                id: planned.id.clone(),
                agent: planned.agent.to_string(),
                host: planned.host.to_string(),
                attempt: 0,
                status: None,
                outline: Some(outline),
            });
        }
        for (kind, _, sequence, record) in &self.records {
            match record {
                Record::Result(result)
                    if self.not_counted(remediation.as_ref(), kind, *sequence, result).is_some() => {}
                Record::Step(sent) => {
                    let row = row(&mut rows, &sent.step_id, sent.agent.as_str(), sent.host.as_str());
                    (row.attempt, row.status) =
                        (sent.attempt.0, row.status.filter(|_| row.attempt == sent.attempt.0));
                }
                Record::Result(result) => {
                    let row = row(&mut rows, &result.step_id, &result.agent.name, result.agent.host.as_str());
                    row.attempt = row.attempt.max(result.attempt.0);
                    row.status = Some(result.status);
                }
                _ => {}
            }
        }
        rows
    }

    /// The highest risk of its steps; `None` where nothing was planned.
    pub fn risk(&self) -> Option<Risk> {
        self.steps().iter().filter_map(|row| row.outline.as_ref()).map(|outline| outline.risk).max()
    }

    /// Why each of its steps was there, in one line.
    pub fn reasons(&self) -> String {
        let steps = self.steps();
        let outlines = steps.iter().filter_map(|row| row.outline.as_ref());
        let reasons = outlines.map(|outline| format!("{}: {}", outline.step_id, outline.reason));
        reasons.collect::<Vec<_>>().join("; ")
    }

    /// What stands in the log and moves nothing: records that cannot be read, and results that nobody asked for.
    pub fn oddities(&self) -> Vec<String> {
        let remediation = self.remediation();
        let results = self.records.iter().filter_map(|(kind, _, sequence, record)| match record {
            Record::Result(result) => {
                let why = self.not_counted(remediation.as_ref(), kind, *sequence, result)?;
                Some(format!("{kind} does not count: {why}"))
            }
            _ => None,
        });
        self.unread.iter().cloned().chain(results).map(instance_redaction::redacted).collect()
    }

    fn not_counted(
        &self,
        remediation: Option<&Remediation>,
        kind: &RecordKind,
        sequence: u64,
        result: &ToolResult,
    ) -> Option<String> {
        let RecordKind::Result { step, attempt } = kind else { return None };
        let end = self.records.iter().find(|(kind, ..)| *kind == RecordKind::Ended);
        if end.is_some_and(|(_, _, end, _)| *end < sequence) {
            return Some("it came after the end".to_owned());
        }
        match remediation {
            None => Some("nothing was accepted under this id".to_owned()),
            Some(remediation) => {
                remediation.disbelieves(step, *attempt, result).map(|fault| fault.to_string())
            }
        }
    }

    /// How many remediations of its instance go first, while nothing of it has begun: also while a person is asked, for a
    /// more urgent one may have come.
    pub fn place(&self, among: &[Self]) -> Option<usize> {
        let own = self.remediation();
        let own = own.filter(|_| matches!(self.phase(), Phase::Queued | Phase::WaitingApproval))?;
        let before = among.iter().filter(|other| other.id != self.id && other.ended().is_none());
        let before = before.filter_map(Self::remediation).filter(|other| {
            let first = (other.priority(), other.sequence) < (own.priority(), own.sequence);
            other.instance() == own.instance() && (other.is_begun() || first)
        });
        Some(before.count())
    }

    /// The newest question to a person that nobody has answered, with its number.
    pub fn open_question(&self) -> Option<(u32, instance_contract::ApprovalAsked)> {
        let mut remediation = self.remediation()?;
        let (k, asked) = remediation.asked.pop_last()?;
        (remediation.ended.is_none() && !remediation.answered.contains_key(&k)).then_some((k, asked))
    }

    /// The newest answer of a person, or of time.
    pub fn newest_answer(&self) -> Option<instance_engine::Answer> {
        self.remediation()?.answered.pop_last().map(|(_, answer)| answer)
    }

    /// One document for programs.
    pub fn document(&self) -> Value {
        let remediation = self.remediation();
        let accepted = remediation.as_ref().map(|remediation| &remediation.accepted);
        let ended = self.ended().map(|ended| &ended.trace);
        let steps: Vec<Value> = self.steps().iter().map(StepRow::document).collect();
        let question = self.open_question().map(|(k, asked)| {
            json!({"number": k, "digest": asked.digest, "changes": asked.changes, "expires_at": asked.expires_at})
        });
        let command = self.command();
        let command = command.as_ref();
        json!({
            "remediation_id": self.id, "shard": self.shard,
            "command_id": command.map(|command| command.command_id),
            "trace_id": accepted.map(|accepted| &accepted.trace_id).or(ended.map(|trace| &trace.trace_id)),
            "instance": command.map(|command| &command.instance),
            "phase": self.phase().as_str(), "state": state(self.phase(), ended),
            "overall_status": ended.map(|trace| trace.overall_status),
            "priority": command.map(|command| command.priority),
            "requested_by": command.map(|command| &command.requested_by),
            "recommended_action": command.map(|command| &command.recommended_action),
            "accepted_at": accepted.map(|accepted| accepted.accepted_at),
            "deadline": accepted.map(|accepted| accepted.deadline),
            "ended_at": self.ended_at(), "approval": question, "steps": steps, "oddities": self.oddities(),
        })
    }
}

fn row<'a>(rows: &'a mut Vec<StepRow>, id: &StepId, agent: &str, host: &str) -> &'a mut StepRow {
    let at = rows.iter().position(|row| &row.id == id).unwrap_or_else(|| {
        let (agent, host) = (agent.to_owned(), host.to_owned());
        rows.push(StepRow { id: id.clone(), agent, host, attempt: 0, status: None, outline: None });
        rows.len() - 1
    });
    &mut rows[at]
}

impl StepRow {
    pub fn word(&self) -> &'static str {
        match self.status {
            Some(status) => status.as_str(),
            None if self.attempt == 0 => "waiting",
            None => "running",
        }
    }

    fn document(&self) -> Value {
        json!({
            "id": self.id, "agent": self.agent, "host": self.host, "attempt": self.attempt, "status": self.word(),
            "risk": self.outline.as_ref().map(|outline| outline.risk),
            "reason": self.outline.as_ref().map(|outline| &outline.reason),
        })
    }
}

/// The same in five coarser words, for dashboards that know no others.
fn state(phase: Phase, ended: Option<&WorkflowTrace>) -> &'static str {
    match (phase, ended.map(|trace| trace.overall_status)) {
        (_, Some(OverallStatus::Success | OverallStatus::DryRun | OverallStatus::Undone)) => "completed",
        (_, Some(_)) => "failed",
        (Phase::Queued, None) => "pending",
        (Phase::WaitingApproval, None) => "validating",
        (Phase::Running | Phase::Unwinding | Phase::Ended, None) => "executing",
    }
}

#[cfg(test)]
mod tests;
