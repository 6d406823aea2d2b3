//! One incident as its records tell it: their fold, oldest first.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::Result;
use instance_bus::{Bus, LogMessage};
use instance_contract::{
    CommandId, ConditionId, Decision, Finding, HostName, IncidentAcknowledged, IncidentClosed, IncidentId,
    IncidentOpened, IncidentOutcome, InstanceName, Severity,
    subject::{self, IncidentRecord, parse_incident},
};
use jiff::Timestamp;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::exit::{Exit, Stop};

/// The records of one incident.
#[derive(Debug)]
pub struct Case {
    pub id: IncidentId,
    /// When the log took its first record.
    pub began_at: Timestamp,
    pub opened: Option<IncidentOpened>,
    /// By their number, from 1.
    pub findings: BTreeMap<u32, Finding>,
    pub outcomes: Vec<IncidentOutcome>,
    pub acknowledged: Option<IncidentAcknowledged>,
    pub closed: Option<IncidentClosed>,
    /// Why records of it cannot be read: one of them must not hide all the others.
    pub unread: Vec<String>,
}

/// Every incident that the bus remembers, oldest first; of one IRIS instance, or of all.
pub async fn all(bus: &Bus, instance: Option<&InstanceName>) -> Result<Vec<Case>> {
    let filter = instance.map_or_else(subject::incidents, subject::incidents_of);
    Ok(cases(&bus.read_incidents(&filter).await?))
}

/// Finds an incident by its id, or by that of one of its findings, commands or remediations.
pub async fn find(bus: &Bus, id: Uuid) -> Result<Case> {
    let own = bus.read_incidents(&subject::incident_records(IncidentId::from_uuid(id))).await?;
    if let Some(case) = cases(&own).into_iter().next() {
        return Ok(case);
    }
    all(bus, None).await?.into_iter().find(|case| case.names(id)).ok_or_else(|| {
        let stop = Stop::new(Exit::NotFound, format_args!("no incident has the id {id}, and none led to it"));
        stop.next("`instance incident` lists what there is; incidents are kept for 30 days").into()
    })
}

/// The incidents that some messages tell of.
pub fn cases(messages: &[LogMessage]) -> Vec<Case> {
    let mut by_id: BTreeMap<IncidentId, Case> = BTreeMap::new();
    for message in messages {
        let Some((id, kind)) = parse_incident(&message.subject) else { continue };
        by_id.entry(id).or_insert_with(|| Case::new(id, message.published_at)).take(kind, message);
    }
    let mut cases: Vec<Case> = by_id.into_values().collect();
    cases.sort_by_key(|case| (case.began_at, case.id));
    cases
}

impl Case {
    const fn new(id: IncidentId, began_at: Timestamp) -> Self {
        Self {
            id,
            began_at,
            opened: None,
            findings: BTreeMap::new(),
            outcomes: Vec::new(),
            acknowledged: None,
            closed: None,
            unread: Vec::new(),
        }
    }

    fn take(&mut self, kind: IncidentRecord, message: &LogMessage) {
        let read = match kind {
            IncidentRecord::Opened => message.json().map(|record| self.opened = Some(record)),
            IncidentRecord::Finding(number) => {
                message.json().map(|record| drop(self.findings.insert(number, record)))
            }
            IncidentRecord::Outcome(_) => message.json().map(|record| self.outcomes.push(record)),
            IncidentRecord::Acknowledged => message.json().map(|record| self.acknowledged = Some(record)),
            IncidentRecord::Closed => message.json().map(|record| self.closed = Some(record)),
        };
        if let Err(error) = read {
            self.unread.push(crate::exit::chain(&error));
        }
    }

    /// The newest finding, with its number.
    pub fn newest(&self) -> Option<(u32, &Finding)> {
        self.findings.last_key_value().map(|(number, finding)| (*number, finding))
    }

    /// The newest finding that asks for a person.
    pub fn question(&self) -> Option<(u32, &Finding)> {
        let asks = |finding: &Finding| matches!(finding.decision, Decision::Person { .. });
        let found = self.findings.iter().rev().find(|(_, finding)| asks(finding));
        found.map(|(number, finding)| (*number, finding))
    }

    /// Does it wait for a person? It does too when the newest question came while somebody acknowledged an older one; the analyst
    /// makes an incident of its own of that, and closes this one.
    pub fn waits(&self) -> bool {
        let Some((number, _)) = self.question() else { return false };
        self.acknowledged
            .as_ref()
            .is_none_or(|taken| self.closed.is_none() && taken.seen_finding.is_some_and(|seen| number > seen))
    }

    pub fn instance(&self) -> Option<&InstanceName> {
        let opened = self.opened.as_ref().map(|opened| &opened.instance);
        let outcome = self.outcomes.first().map(|outcome| &outcome.instance);
        opened.or_else(|| self.newest().map(|(_, finding)| &finding.instance)).or(outcome)
    }

    pub fn host(&self) -> Option<&HostName> {
        let opened = self.opened.as_ref().map(|opened| &opened.host);
        opened.or_else(|| self.newest().map(|(_, finding)| &finding.host))
    }

    /// The catalogue row, as far as it is known now.
    pub fn condition(&self) -> Option<&ConditionId> {
        let found = self.newest().and_then(|(_, finding)| finding.condition.as_ref());
        found.or_else(|| self.opened.as_ref()?.condition.as_ref())
    }

    pub fn severity(&self) -> Option<Severity> {
        let found = self.findings.values().map(|finding| finding.severity).max();
        found.max(self.opened.as_ref().map(|opened| opened.severity))
    }

    /// Commands that it led to, in the order of the findings.
    pub fn commands(&self) -> Vec<CommandId> {
        let asked = self.findings.values().filter_map(|finding| match finding.decision {
            Decision::Remediation { command_id, .. } => Some(command_id),
            _ => None,
        });
        let ended = self.outcomes.iter().map(|outcome| outcome.command_id);
        let mut seen = BTreeSet::new();
        asked.chain(ended).filter(|command| seen.insert(*command)).collect()
    }

    fn names(&self, id: Uuid) -> bool {
        self.findings.values().any(|finding| *finding.finding_id.as_uuid() == id)
            || self.commands().iter().any(|command| *command.as_uuid() == id)
            || self.outcomes.iter().any(|outcome| *outcome.remediation_id.as_uuid() == id)
    }

    /// Where it stands, in a few words.
    pub fn state(&self) -> String {
        match (&self.closed, &self.acknowledged) {
            _ if self.waits() => "waits for a person".to_owned(),
            (Some(closed), _) => format!("closed ({})", closed.why.as_str()),
            (None, Some(_)) => "acknowledged".to_owned(),
            (None, None) => "open".to_owned(),
        }
    }

    /// One document for programs.
    pub fn document(&self) -> Value {
        let findings: Vec<Value> = self
            .findings
            .iter()
            .map(|(number, finding)| json!({"number": number, "finding": finding}))
            .collect();
        json!({
            "incident_id": self.id, "instance": self.instance(), "host": self.host(),
            "condition": self.condition(), "severity": self.severity(), "began_at": self.began_at,
            "waits": self.waits(), "state": self.state(), "opened": self.opened, "findings": findings,
            "outcomes": self.outcomes, "acknowledged": self.acknowledged, "closed": self.closed,
            "oddities": self.unread,
        })
    }
}

#[cfg(test)]
pub mod tests;
