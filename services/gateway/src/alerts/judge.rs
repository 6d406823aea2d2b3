//! What to make of one alert: no async, no clock, no bus. The same alert gives the same command, byte for byte, in every
//! gateway and for ever, so that the bus makes it once.

use instance_contract::{Carriers, CommandId, InstanceName, TraceId};
use uuid::Uuid;

use super::{
    payload::Alert,
    table::{Answer, Asked, Table},
};
use crate::config::AlertSettings;

/// Namespace of command ids; never change it, or an alert that is told again would be done again.
const ALERTS: Uuid = Uuid::from_u128(0x0e2f_91d7_6c3a_4f0e_9b7d_51c4_8a26_e3b0);

/// Labels that say what an alert is about when it is about no IRIS instance.
const ABOUT: [&str; 3] = ["job", "service", "namespace"];

/// What is known beside the alert.
pub(super) struct Situation<'a> {
    pub(super) settings: &'a AlertSettings,
    pub(super) carriers: &'a Carriers,
    pub(super) table: &'a Table,
    /// Who has told it.
    pub(super) asker: &'a str,
}

#[derive(Debug)]
pub(super) enum Judgement {
    Order(Box<Order>),
    /// It is over; the remediation that its beginning would have had.
    Over {
        id: Option<instance_contract::RemediationId>,
        reason: String,
    },
    Escalate(String),
    Ignore(String),
}

/// A command to publish.
#[derive(Debug)]
pub(super) struct Order {
    pub(super) command_id: CommandId,
    pub(super) trace_id: TraceId,
    pub(super) instance: InstanceName,
    pub(super) bytes: Vec<u8>,
    /// For people.
    pub(super) reason: String,
}

/// The first thing that holds: it carries Instance; it has no row; its row says so; it names no instance; it is over.
pub(super) fn judge(alert: &Alert, situation: &Situation<'_>) -> Judgement {
    if let Some(reason) = carries_instance(alert, situation) {
        return if alert.firing { Judgement::Escalate(reason) } else { over(None) };
    }
    let name = alert.name();
    let template = match situation.table.answer(name) {
        Some(Answer::Command(template)) => template,
        _ if !alert.firing => return over(None),
        Some(Answer::Escalate(why)) => return Judgement::Escalate(why.clone()),
        Some(Answer::Ignore(why)) => return Judgement::Ignore(why.clone()),
        None => return Judgement::Escalate("no row of the table is for this alert".to_owned()),
    };
    let label = &situation.settings.instance_label;
    let instance = match alert.labels.get(label).map(|value| value.parse::<InstanceName>()) {
        Some(Ok(instance)) => instance,
        _ if !alert.firing => return over(None),
        Some(Err(invalid)) => {
            return Judgement::Escalate(format!("label {label} is no instance: it must be {}", invalid.rule));
        }
        None => return Judgement::Escalate(format!("it has no label {label}, so it names no instance")),
    };
    let starts_at = alert.starts_at.to_string();
    let mut parts = vec![alert.fingerprint.as_str(), &starts_at, instance.as_str()];
    if situation.settings.dry_run {
        // Another command: what was only forecast may still be done.
        parts.push("dry run");
    }
    let key = key_of(&parts);
    let command_id = CommandId::from_uuid(key);
    if !alert.firing {
        return over(Some(command_id));
    }
    let asked = Asked {
        command_id,
        trace_id: TraceId::from_bytes(*key.as_bytes()),
        instance: &instance,
        // Its beginning, not now: what is told again must be the same. A day later the router refuses it as too old.
        issued_at: alert.starts_at,
        requested_by: situation.asker,
        alert: name,
        dry_run: situation.settings.dry_run,
    };
    let (trace_id, reason) = (asked.trace_id.clone(), template.why.clone());
    let bytes = template.command(&asked);
    Judgement::Order(Box::new(Order { command_id, trace_id, instance, bytes, reason }))
}

/// A UUID that follows from the parts, and from where one ends and the next begins.
pub(super) fn key_of(parts: &[&str]) -> Uuid {
    let parts: Vec<String> = parts.iter().map(|part| format!("{}:{part}", part.len())).collect();
    Uuid::new_v5(&ALERTS, parts.concat().as_bytes())
}

fn over(command_id: Option<CommandId>) -> Judgement {
    Judgement::Over { id: command_id.map(Into::into), reason: "it is over".to_owned() }
}

/// The self-guard of the door; planner, engine and agents have their own.
fn carries_instance(alert: &Alert, situation: &Situation<'_>) -> Option<String> {
    for (label, value) in &alert.labels {
        // A host may stand there with its port.
        let host = value.rsplit_once(':').map_or(value.as_str(), |(host, _)| host);
        if situation.carriers.0.iter().any(|carrier| carrier == value || carrier == host) {
            return Some(format!("label {label} names what carries Instance itself (setting \"carriers\")"));
        }
    }
    let own = |value: &String| situation.settings.own.iter().any(|pattern| fits(pattern, value));
    let about = ABOUT.into_iter().find(|label| alert.labels.get(*label).is_some_and(own))?;
    Some(format!("label {about} says that it is about Instance itself (setting \"alerts.own\")"))
}

fn fits(pattern: &str, value: &str) -> bool {
    match pattern.strip_suffix('*') {
        Some(begin) => value.starts_with(begin),
        None => value == pattern,
    }
}

#[cfg(test)]
mod tests;
