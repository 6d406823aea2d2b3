//! `POST /v1/alerts/alertmanager`: what Alertmanager tells (webhook, version 4), each alert for its own instance.

mod payload; // What came in.

mod judge; // What to make of one alert: a pure function.
mod table;

mod person; // What is for one.
mod told;
mod unsolved; // What became of a command, when its alert goes on.

use std::sync::Arc;

use axum::{Extension, Json, body::Bytes, extract::State};
use instance_bus::{Headers, topology};
use instance_contract::{InstanceName, RemediationId, subject};
use instance_signals::metrics::ALERTS;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub use self::table::Row;
use self::{
    judge::{Judgement, Order, Situation, judge},
    payload::Alert,
    person::Call,
};
pub(crate) use self::{
    payload::{AlertmanagerWebhook, LARGEST},
    table::Table,
    told::Told,
};
use crate::{Gateway, commands, guard::Asker, problem::Problem};

/// Why people are called: part of the ids of those calls, so never change them.
const UNREADABLE: &str = "unreadable";
const NOTHING_DONE: &str = "nothing done";
const UNSOLVED: &str = "unsolved";
/// What the audit trail has of the name of an alert, in characters.
const LONGEST_NAME: usize = 100;

/// What was made of each alert, in the order in which they came.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub(crate) struct AlertsTaken {
    pub(crate) alerts: Vec<AlertTaken>,
}

/// What was made of one alert.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub(crate) struct AlertTaken {
    pub(crate) outcome: AlertOutcome,
    /// Why, for people.
    pub(crate) reason: String,
    /// The remediation that its command has begun, now or before; null where there is none.
    pub(crate) remediation_id: Option<RemediationId>,
}

/// In one word.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum AlertOutcome {
    /// The bus has a command for it.
    Commanded,
    /// It was told before; nothing is done twice.
    Repeated,
    /// It is over.
    Resolved,
    /// Nothing is done, and a person is called.
    Escalated,
    /// Nothing is done.
    Ignored,
}

impl AlertOutcome {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Commanded => "commanded",
            Self::Repeated => "repeated",
            Self::Resolved => "resolved",
            Self::Escalated => "escalated",
            Self::Ignored => "ignored",
        }
    }
}

/// 200 when everything is on the bus that has to be there. 503 when not: Alertmanager sends all of it again, and what was
/// done is found done.
pub(crate) async fn take(
    State(gateway): State<Arc<Gateway>>,
    Extension(Asker(asker)): Extension<Asker>,
    body: Bytes,
) -> Result<Json<AlertsTaken>, Problem> {
    let group = payload::read(&body)
        .map_err(|faults| Problem::faulty("this is no webhook of Alertmanager, version 4", faults))?;
    if group.truncated > 0 {
        tracing::warn!(
            left_out = group.truncated,
            "Alertmanager has left alerts out of its message (max_alerts)"
        );
    }
    let mut alerts = Vec::with_capacity(group.alerts.len());
    for alert in group.alerts {
        let episode = alert.as_ref().ok().map(|alert| Episode::of(alert, &gateway, &asker));
        let taken = one(&gateway, &asker, alert).await?;
        if let Some(episode) = episode {
            episode.tell(&gateway, &taken);
        }
        ALERTS.add(1, &[taken.outcome.as_str()]);
        alerts.push(taken);
    }
    Ok(Json(AlertsTaken { alerts }))
}

/// What the audit trail is told of an episode of an alert.
struct Episode {
    key: String,
    text: String,
    instance: Option<InstanceName>,
}

impl Episode {
    fn of(alert: &Alert, gateway: &Gateway, asker: &str) -> Self {
        let label = alert.labels.get(&gateway.config.alerts.instance_label);
        let name: String = instance_redaction::redact(alert.name()).chars().take(LONGEST_NAME).collect();
        Self {
            key: format!("{} {}", alert.fingerprint, alert.starts_at),
            text: format!("alert {name} since {}, told by {asker}", alert.starts_at),
            instance: label.and_then(|name| name.parse().ok()),
        }
    }

    /// What no other record tells: that nothing is done, or nothing again, or that it is over. Each once.
    fn tell(self, gateway: &Gateway, taken: &AlertTaken) {
        let outcome = match taken.outcome {
            // Command and finding are records of their own.
            AlertOutcome::Commanded | AlertOutcome::Escalated => return,
            AlertOutcome::Repeated => "repeated",
            AlertOutcome::Resolved => "resolved",
            AlertOutcome::Ignored => "ignored",
        };
        let key = format!("{outcome} {}", self.key);
        if gateway.told_of.holds(&key) {
            return;
        }
        gateway.told_of.note(&key);
        let text = format!("{}: {outcome}", self.text);
        gateway.decisions.alert(gateway, text, self.instance, taken.reason.clone());
    }
}

async fn one(
    gateway: &Gateway,
    asker: &str,
    alert: Result<Alert, payload::BadAlert>,
) -> Result<AlertTaken, Problem> {
    let alert = match alert {
        Ok(alert) => alert,
        Err(bad) => {
            let reason = format!("it cannot be read: {}", bad.faults);
            let call = Call { alert: None, text: &bad.text, reason, asker, matter: UNREADABLE };
            return person::call(gateway, call).await;
        }
    };
    let for_a_person =
        |reason, matter| Call { alert: Some(&alert), text: &alert.text, reason, asker, matter };
    let situation = Situation {
        settings: &gateway.config.alerts,
        carriers: &gateway.carriers,
        table: &gateway.table,
        asker,
    };
    match judge(&alert, &situation) {
        Judgement::Order(order) => {
            let id = RemediationId::from(order.command_id);
            let (trace_id, command_id) = (order.trace_id.clone(), order.command_id);
            let work = command(gateway, &alert, *order);
            let taken = commands::in_its_trace(&trace_id, command_id, work).await?;
            match taken.outcome {
                AlertOutcome::Repeated => match unsolved::why(gateway, id).await? {
                    Some(reason) => {
                        let call = person::call(gateway, for_a_person(reason, UNSOLVED)).await?;
                        Ok(AlertTaken { remediation_id: Some(id), ..call })
                    }
                    None => Ok(taken),
                },
                _ => Ok(taken),
            }
        }
        Judgement::Over { id, reason } => {
            let begun = match id {
                Some(id) if knows(gateway, id).await? => Some(id),
                _ => None,
            };
            told_of_the_end(&alert, begun);
            Ok(AlertTaken { outcome: AlertOutcome::Resolved, reason, remediation_id: begun })
        }
        Judgement::Escalate(reason) => person::call(gateway, for_a_person(reason, NOTHING_DONE)).await,
        Judgement::Ignore(reason) => {
            Ok(AlertTaken { outcome: AlertOutcome::Ignored, reason, remediation_id: None })
        }
    }
}

/// Publishes the command, unless it was published before: its id follows from the alert, so the log knows.
async fn command(gateway: &Gateway, alert: &Alert, order: Order) -> Result<AlertTaken, Problem> {
    let id = RemediationId::from(order.command_id);
    let taken = |outcome, reason| Ok(AlertTaken { outcome, reason, remediation_id: Some(id) });
    let key = order.command_id.to_string();
    if gateway.told.holds(&key) || knows(gateway, id).await? {
        gateway.told.note(&key);
        return taken(AlertOutcome::Repeated, "its remediation was asked for before".to_owned());
    }
    let headers = Headers::new().with("traceparent", &commands::traceparent(&order.trace_id));
    let subject = subject::command(&order.instance);
    gateway.bus.publish_bytes(&subject, order.bytes.into(), Some(&key), headers).await?;
    gateway.told.note(&key);
    let seconds = gateway.clock.now().duration_since(alert.starts_at).as_secs_f64();
    tracing::info!(
        alert = alert.name(),
        instance = %order.instance,
        remediation_id = %id,
        trace_id = %order.trace_id,
        after_seconds = seconds,
        "an alert has become a command"
    );
    taken(AlertOutcome::Commanded, order.reason)
}

/// Does any shard's log hold something of it?
async fn knows(gateway: &Gateway, id: RemediationId) -> Result<bool, Problem> {
    for shard in gateway.bus.topology().await?.shards() {
        let any = subject::remediation_of(shard, id);
        if gateway.bus.last_in(&topology::remediations(shard), any.as_str()).await?.is_some() {
            return Ok(true);
        }
    }
    Ok(false)
}

fn told_of_the_end(alert: &Alert, begun: Option<RemediationId>) {
    let seconds = alert.ends_at.map(|at| at.duration_since(alert.starts_at).as_secs_f64());
    tracing::info!(
        alert = alert.name(),
        remediation_id = begun.map(tracing::field::display),
        lasted_seconds = seconds,
        "an alert is over"
    );
}
