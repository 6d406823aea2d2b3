//! Calling a person about an alert: a finding in the log of incidents, as the analyst's are. So it waits in the inbox until
//! somebody has it in hand, the webhook is told of it, and the audit trail keeps it.

use std::collections::BTreeMap;

use instance_bus::{DeadLetterReason, Headers, PublishError};
use instance_contract::{
    Decision, DiagnosisPhase, Digest, ErrorType, Evidence, Finding, FindingSource, HostName, IncidentId,
    InstanceName, MessageId, Severity, TraceId,
    subject::{self, IncidentRecord},
};
use jiff::Timestamp;
use uuid::Uuid;

use super::{AlertOutcome, AlertTaken, judge::key_of, payload::Alert};
use crate::{Gateway, problem::Problem};

/// What the dead letters say where an alert came from.
const SENDER: &str = "ALERTS";

/// An alert that is for a person.
pub(super) struct Call<'a> {
    /// `None`: it cannot be read.
    pub(super) alert: Option<&'a Alert>,
    /// What came.
    pub(super) text: &'a str,
    /// Why nothing is done about it.
    pub(super) reason: String,
    /// Who has told it.
    pub(super) asker: &'a str,
    /// Tells this call from others about the same alert.
    pub(super) matter: &'static str,
}

/// Writes the finding. Each episode of an alert is told once, by whichever gateway: the subject is written once. Of a
/// flood more than a person reads goes to the dead letters.
pub(super) async fn call(gateway: &Gateway, call: Call<'_>) -> Result<AlertTaken, Problem> {
    let key = call.key();
    let memory = key.to_string();
    let taken = |outcome, reason: String| Ok(AlertTaken { outcome, reason, remediation_id: None });
    if gateway.told.holds(&memory) {
        return taken(AlertOutcome::Repeated, call.reason);
    }
    if !gateway.calls.allows() {
        let reason =
            format!("{}; so many alerts are for a person that this one is no call of its own", call.reason);
        let why = DeadLetterReason::Refused(format!("an alert that nothing is done about: {reason}"));
        gateway.bus.bury(SENDER, "", &memory, call.text.to_owned().into(), &why).await?;
        gateway.told.note(&memory);
        tracing::warn!(reason, "an alert is for a person: instance dead-letter list");
        return taken(AlertOutcome::Escalated, reason);
    }
    let finding = call.finding(key, gateway);
    let kind = IncidentRecord::Finding(1);
    let subject = subject::incident(&finding.instance, finding.incident_id, kind);
    let outcome = match gateway.bus.publish_once(&subject, &finding, Headers::new()).await {
        Ok(_) => {
            let incident = finding.incident_id;
            tracing::warn!(%incident, reason = call.reason, "an alert is for a person: instance inbox list");
            AlertOutcome::Escalated
        }
        Err(PublishError::Exists { .. }) => AlertOutcome::Repeated,
        // Told again by the sender; should this one be there after all, it is found.
        Err(error) => return Err(error.into()),
    };
    gateway.told.note(&memory);
    taken(outcome, call.reason)
}

impl Call<'_> {
    fn key(&self) -> Uuid {
        match self.alert {
            Some(alert) => key_of(&[self.matter, &alert.fingerprint, &alert.starts_at.to_string()]),
            None => key_of(&[self.matter, self.text, &self.reason]),
        }
    }

    fn finding(&self, key: Uuid, gateway: &Gateway) -> Finding {
        let incident_id = IncidentId::from_uuid(key);
        let label = |name: &str| self.alert.and_then(|alert| alert.labels.get(name));
        let instance: Option<InstanceName> =
            label(&gateway.config.alerts.instance_label).and_then(|name| name.parse().ok());
        let instance = instance.unwrap_or_else(InstanceName::none);
        Finding {
            schema: Finding::SCHEMA.to_owned(),
            finding_id: incident_id.finding(1),
            title: format!("Alert for a person about {instance}"),
            incident_id,
            trace_id: instance_bus::current_trace_id()
                .unwrap_or_else(|| TraceId::from_bytes(*key.as_bytes())),
            instance,
            host: label("instance").and_then(|address| host(address)).unwrap_or_else(|| gateway.host.clone()),
            found_at: gateway.clock.now(),
            phase: DiagnosisPhase::Triage,
            condition: None,
            error_type: ErrorType::Other,
            severity: severity(label("severity").map(String::as_str)),
            severity_raised_by: Vec::new(),
            // That it is told is certain; nothing more is claimed.
            confidence: 100,
            cause: String::new(),
            evidence: vec![self.evidence(key)],
            evidence_total: 1,
            facts: BTreeMap::new(),
            reasons: vec![format!("caller \"{}\" of the gateway has told it", self.asker)],
            success_signs: vec!["the alert ends".to_owned()],
            next_steps: vec![
                format!("Say that it is in hand: instance inbox ack {incident_id} --note TEXT"),
                "Look at what the alert is about, where it was raised.".to_owned(),
                "See that the alert ends there.".to_owned(),
            ],
            source: FindingSource::Alert,
            decision: Decision::Person {
                why: self.reason.clone(),
                what_to_do: "look at what the alert is about, where it was raised".to_owned(),
            },
        }
    }

    /// The alert itself stands where the analyst has entries of a log.
    fn evidence(&self, key: Uuid) -> Evidence {
        let at: Option<Timestamp> = self.alert.map(|alert| alert.starts_at);
        let level = self.alert.and_then(|alert| alert.labels.get("severity"));
        Evidence {
            message_id: MessageId::from_uuid(key),
            process_id: None,
            severity: severity(level.map(String::as_str)),
            occurred_at: at,
            digest: Digest::of(self.text.as_bytes()),
            excerpt: self.excerpt(),
        }
    }

    /// Its labels, the name first; what cannot be read, as it came.
    fn excerpt(&self) -> String {
        let text = match self.alert {
            Some(alert) => {
                let rest = alert.labels.iter().filter(|(name, _)| *name != "alertname");
                let rest: Vec<String> = rest.map(|(name, value)| format!("{name}={value}")).collect();
                format!("alert {}: {}", alert.name(), rest.join(" "))
            }
            None => self.text.to_owned(),
        };
        let plain = |c: char| if c.is_whitespace() { ' ' } else { c };
        text.chars().map(plain).filter(|c| !c.is_control()).take(Evidence::MAX_EXCERPT).collect()
    }
}

/// The host of an address, which may have a port.
fn host(address: &str) -> Option<HostName> {
    let host = address.rsplit_once(':').map_or(address, |(host, _)| host);
    host.parse().ok()
}

/// What rules by custom write into the label `severity`. Who says nothing is taken seriously.
fn severity(label: Option<&str>) -> Severity {
    match label {
        Some("info" | "none") => Severity::Info,
        Some("warning") => Severity::Warning,
        _ => Severity::Severe,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_told_of_an_alert_is_short_and_on_one_line() {
        let labels = [("alertname", "A"), ("job", "x\u{1b}[31m\ny")];
        let alert = Alert {
            firing: true,
            labels: labels.map(|(name, value)| (name.to_owned(), value.to_owned())).into(),
            fingerprint: "f".to_owned(),
            starts_at: Timestamp::UNIX_EPOCH,
            ends_at: None,
            text: String::new(),
        };
        let call = |alert, text| Call { alert, text, reason: String::new(), asker: "a", matter: "m" };
        assert_eq!(call(Some(&alert), "").excerpt(), "alert A: job=x[31m y");
        let long = "ä".repeat(1_000);
        assert_eq!(call(None, &long).excerpt().chars().count(), Evidence::MAX_EXCERPT);
    }

    #[test]
    fn a_host_is_one_without_its_port() {
        assert_eq!(host("db1:9100").unwrap().as_str(), "db1");
        assert_eq!(host("db1.example.com").unwrap().as_str(), "db1.example.com");
        assert_eq!(host(""), None);
    }
}
