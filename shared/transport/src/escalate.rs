//! Findings that ask for a person, told to a webhook: at least once each, until somebody has them.

use std::{collections::BTreeSet, time::Duration};

use bytes::Bytes;
use instance_bus::{Bus, BusError, DeadLetterReason, Deliveries, Delivery, StartAt};
use instance_contract::{
    Decision, Finding,
    subject::{self, IncidentRecord},
};
use serde_json::Value;

use crate::transport::SendError;
use crate::webhook::Webhook;

/// The name under which the bus remembers how far the webhook has come.
const CONSUMER: &str = "webhook";
/// The first pause after a try that did not get through; it doubles.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_mins(1);

/// Reads findings from the log of incidents. The log is the outbox: what was not told stays unsettled there, over
/// restarts of everything, for as long as incidents are kept.
pub struct Escalation {
    bus: Bus,
    deliveries: Deliveries,
    webhook: Webhook,
    /// What this process has told: a finding that was pulled long ago has come again meanwhile, and waits beside itself.
    told: BTreeSet<String>,
}

/// How many of them are remembered.
const REMEMBERED: usize = 10_000;

/// What became of one finding.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Told {
    /// The endpoint has it.
    Taken,
    /// It asks for nobody.
    NotAsked,
    /// A person has acknowledged the incident meanwhile.
    Acknowledged,
    /// The endpoint did not take it now; it comes again.
    Later,
    /// Nobody will take it: it lies among the dead letters, and in the inbox as before.
    Dead,
}

impl Escalation {
    /// Goes on where the last process stopped; the first one begins with the oldest finding that is kept.
    pub async fn open(bus: &Bus, webhook: Webhook) -> Result<Self, BusError> {
        let deliveries = bus.findings(CONSUMER, StartAt::First).await?;
        Ok(Self { bus: bus.clone(), deliveries, webhook, told: BTreeSet::new() })
    }

    /// The next finding. An error says that the bus is away; call again to go on waiting. Cancel-safe.
    pub async fn next(&mut self) -> Result<Delivery, BusError> {
        match self.deliveries.next().await {
            Some(delivery) => delivery,
            None => std::future::pending().await,
        }
    }

    /// Tells one finding, once, and settles it by what came of that.
    pub async fn tell(&mut self, delivery: Delivery) -> Result<Told, BusError> {
        let finding: Finding = match delivery.json() {
            Ok(finding) => finding,
            Err(error) => {
                let source = std::error::Error::source(&error).map(ToString::to_string);
                let reason = DeadLetterReason::Unreadable(source.unwrap_or_else(|| error.to_string()));
                delivery.dead_letter(reason).await?;
                return Ok(Told::Dead);
            }
        };
        if !matches!(finding.decision, Decision::Person { .. }) {
            delivery.done().await?;
            return Ok(Told::NotAsked);
        }
        if is_acknowledged(&self.bus, &finding).await? {
            delivery.done().await?;
            return Ok(Told::Acknowledged);
        }
        let key = finding.finding_id.to_string();
        if self.told.contains(&key) {
            delivery.done().await?;
            return Ok(Told::Taken);
        }
        // A finding may be read of what is no document as a whole: fields that nobody knows are passed over unread.
        let payload = match shown(delivery.payload()) {
            Ok(payload) => payload,
            Err(error) => {
                delivery.dead_letter(DeadLetterReason::Unreadable(error.to_string())).await?;
                return Ok(Told::Dead);
            }
        };
        match self.webhook.post(&key, Finding::SCHEMA, &finding.trace_id, payload).await {
            Ok(()) => {
                if self.told.len() >= REMEMBERED {
                    self.told.clear();
                }
                self.told.insert(key);
                delivery.done().await?;
                Ok(Told::Taken)
            }
            Err(SendError::Away { source, .. }) => {
                let pause = pause(delivery.delivered());
                tracing::warn!(
                    webhook = self.webhook.name(),
                    finding = key,
                    tried = delivery.delivered(),
                    error = %source,
                    "the webhook did not take a finding; it is told again"
                );
                delivery.retry_after(pause).await?;
                Ok(Told::Later)
            }
            Err(refused @ SendError::Refused { .. }) => {
                delivery.dead_letter(DeadLetterReason::Refused(refused.to_string())).await?;
                Ok(Told::Dead)
            }
        }
    }
}

/// The finding as others may see it: what its excerpts quote of a log may look like a secret.
fn shown(finding: &Bytes) -> Result<Bytes, serde_json::Error> {
    let mut document: Value = serde_json::from_slice(finding)?;
    instance_redaction::redact_document(&mut document);
    Ok(document.to_string().into())
}

async fn is_acknowledged(bus: &Bus, finding: &Finding) -> Result<bool, BusError> {
    let Finding { instance, incident_id, .. } = finding;
    let subject = subject::incident(instance, *incident_id, IncidentRecord::Acknowledged);
    Ok(!bus.read_incidents(&subject).await?.is_empty())
}

/// 1 s, 2 s, doubling to a minute.
fn pause(tried: u64) -> Duration {
    let doubled = u32::try_from(tried.saturating_sub(1)).unwrap_or(u32::MAX).min(16);
    FIRST_PAUSE.saturating_mul(1 << doubled).min(LONGEST_PAUSE)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_looks_like_a_secret_is_told_to_nobody_and_the_rest_is() {
        let trace = "0af7651916cd43dd8448eb211c80319c";
        let finding = serde_json::json!({
            "trace_id": trace, "evidence": [{"excerpt": "password=hunter2 \"a\"", "at": 1.5}], "none": null,
        });
        let told: Value = serde_json::from_slice(&shown(&finding.to_string().into()).unwrap()).unwrap();
        assert!(!told.to_string().contains("hunter2"), "{told}");
        assert_eq!((&told["trace_id"], &told["evidence"][0]["at"]), (&trace.into(), &1.5.into()));
    }

    #[test]
    fn a_field_that_nobody_knows_and_nobody_can_read_is_an_error() {
        // Half of a character: JSON by its grammar, and no text.
        shown(&Bytes::from_static(br#"{"x": "\ud800"}"#)).unwrap_err();
    }

    #[test]
    fn pauses_double_up_to_a_minute() {
        assert_eq!(
            [1, 2, 3, 5, 6, 60, u64::MAX].map(|tried| pause(tried).as_secs()),
            [1, 2, 4, 16, 32, 60, 60]
        );
    }
}
