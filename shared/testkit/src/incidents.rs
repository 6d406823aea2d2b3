//! Records of incidents, as the analyst writes them.

use std::collections::BTreeMap;

use instance_bus::{Bus, Headers};
use instance_contract::{
    Decision, DiagnosisPhase, Evidence, Finding, FindingSource, IncidentId, IncidentOpened, InstanceName,
    MessageId, TraceId,
    subject::{self, IncidentRecord},
};
use jiff::Timestamp;
use serde::{Serialize, de::DeserializeOwned};

/// An incident for a test: one entry, of whichever condition.
#[derive(Debug, Clone)]
pub struct TestIncident {
    pub id: IncidentId,
    pub instance: InstanceName,
    pub condition: Option<String>,
    pub entry: MessageId,
    pub text: String,
    pub at: Timestamp,
}

impl TestIncident {
    /// The `number` makes its ids; the same number, the same incident.
    pub fn new(instance: &str, condition: Option<&str>, number: u8, text: &str, at: Timestamp) -> Self {
        let instance: InstanceName = read(instance);
        let entry = read(&format!("6f1d2c0a-52b7-4c43-9a3e-0000000000{number:02x}"));
        let id = IncidentId::of(&instance, condition.unwrap_or("unknown"), entry);
        let condition = condition.map(str::to_owned);
        Self { id, instance, condition, entry, text: text.to_owned(), at }
    }

    pub fn trace_id(&self) -> TraceId {
        read(&self.entry.as_uuid().simple().to_string())
    }

    pub fn opened(&self) -> IncidentOpened {
        IncidentOpened {
            schema: IncidentOpened::SCHEMA.to_owned(),
            trace_id: self.trace_id(),
            incident_id: self.id,
            instance: self.instance.clone(),
            host: read("db1"),
            opened_at: self.at,
            condition: self.condition.as_deref().map(read),
            error_type: read("other"),
            severity: read("2"),
            fingerprint: read(&"ab".repeat(32)),
            entries: vec![self.entry],
        }
    }

    /// The finding of that number, counted from 1.
    pub fn finding(&self, number: u32, decision: Decision) -> Finding {
        Finding {
            schema: Finding::SCHEMA.to_owned(),
            finding_id: self.id.finding(number),
            incident_id: self.id,
            trace_id: self.trace_id(),
            instance: self.instance.clone(),
            host: read("db1"),
            found_at: self.at,
            title: "Trouble on an instance".to_owned(),
            phase: DiagnosisPhase::Triage,
            condition: self.condition.as_deref().map(read),
            error_type: read("other"),
            severity: read("2"),
            severity_raised_by: Vec::new(),
            confidence: 90,
            cause: "a cause of the catalogue".to_owned(),
            evidence: vec![Evidence {
                message_id: self.entry,
                process_id: Some(4711),
                severity: read("2"),
                occurred_at: Some(self.at),
                digest: read(&"cd".repeat(32)),
                excerpt: self.text.clone(),
            }],
            evidence_total: 1,
            facts: BTreeMap::new(),
            reasons: vec!["the text is that of the catalogue".to_owned()],
            success_signs: vec!["no such entry for a minute".to_owned()],
            next_steps: ["Look.", "Mend it.", "See that it is over."].map(str::to_owned).into(),
            source: FindingSource::Rules,
            decision,
        }
    }

    /// A decision that calls a person.
    pub fn person(&self) -> Decision {
        Decision::Person { why: "no runbook may do this".to_owned(), what_to_do: "Look at it.".to_owned() }
    }

    /// Writes one of its records.
    pub async fn write(&self, bus: &Bus, kind: IncidentRecord, record: &(impl Serialize + Sync)) {
        let subject = subject::incident(&self.instance, self.id, kind);
        let written = bus.publish_once_confirmed(&subject, record, Headers::new()).await;
        written.unwrap_or_else(|error| panic!("{}", crate::chain(&error)));
    }

    /// Writes that it was opened and that a person has to look.
    pub async fn call_a_person(&self, bus: &Bus) {
        self.write(bus, IncidentRecord::Opened, &self.opened()).await;
        self.write(bus, IncidentRecord::Finding(1), &self.finding(1, self.person())).await;
    }
}

/// A value of the contract, as JSON writes it: a number, or a text.
fn read<T: DeserializeOwned>(raw: &str) -> T {
    let number: serde_json::Result<T> = serde_json::from_str(raw);
    let text = || serde_json::from_value(serde_json::Value::String(raw.to_owned()));
    number.or_else(|_| text()).unwrap_or_else(|error| panic!("{raw:?} is no legal value: {error}"))
}
