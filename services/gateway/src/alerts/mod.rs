//! `POST /v1/alerts/alertmanager`: what Alertmanager tells (webhook, version 4), each alert for its own instance.

mod payload; // What came in.

mod judge; // What to make of one alert: a pure function.
mod table;

mod told;

use std::sync::Arc;

use axum::{Extension, Json, body::Bytes, extract::State};
use instance_bus::{DeadLetterReason, Headers, topology};
use instance_contract::{RemediationId, subject};
use instance_signals::metrics::ALERTS;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub use self::table::Row;
use self::{
    judge::{Judgement, Order, Situation, judge},
    payload::Alert,
};
pub(crate) use self::{
    payload::{AlertmanagerWebhook, LARGEST},
    table::Table,
    told::Told,
};
use crate::{Gateway, commands, guard::Asker, problem::Problem};

/// What the dead letters say where an alert came from.
const SENDER: &str = "ALERTS";

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
        let taken = one(&gateway, &asker, alert).await?;
        ALERTS.add(1, &[taken.outcome.as_str()]);
        alerts.push(taken);
    }
    Ok(Json(AlertsTaken { alerts }))
}

async fn one(
    gateway: &Gateway,
    asker: &str,
    alert: Result<Alert, payload::BadAlert>,
) -> Result<AlertTaken, Problem> {
    let alert = match alert {
        Ok(alert) => alert,
        Err(bad) => return escalate(gateway, &bad.text, &format!("it cannot be read: {}", bad.faults)).await,
    };
    let situation = Situation {
        settings: &gateway.config.alerts,
        carriers: &gateway.carriers,
        table: &gateway.table,
        asker,
    };
    match judge(&alert, &situation) {
        Judgement::Order(order) => command(gateway, &alert, *order).await,
        Judgement::Over { id, reason } => {
            let begun = match id {
                Some(id) if knows(gateway, id).await? => Some(id),
                _ => None,
            };
            told_of_the_end(&alert, begun);
            Ok(AlertTaken { outcome: AlertOutcome::Resolved, reason, remediation_id: begun })
        }
        Judgement::Escalate(reason) => escalate(gateway, &alert.text, &reason).await,
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

/// Keeps the alert among the dead letters, where a person finds it. Told once by this process; after a restart once more
/// rather than never.
async fn escalate(gateway: &Gateway, text: &str, reason: &str) -> Result<AlertTaken, Problem> {
    let key = judge::key_of(&[text, reason]).to_string();
    let taken =
        |outcome, reason: &str| Ok(AlertTaken { outcome, reason: reason.to_owned(), remediation_id: None });
    if gateway.told.holds(&key) {
        return taken(AlertOutcome::Repeated, reason);
    }
    let why = DeadLetterReason::Refused(format!("an alert that nothing is done about: {reason}"));
    gateway.bus.bury(SENDER, "", &key, text.to_owned().into(), &why).await?;
    gateway.told.note(&key);
    tracing::warn!(reason, "an alert is for a person: instance dead-letter list");
    taken(AlertOutcome::Escalated, reason)
}
