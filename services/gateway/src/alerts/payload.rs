//! The webhook of Alertmanager, version 4, and Grafana's, which is the same with more in it.

use std::collections::BTreeMap;

use instance_contract::{
    Fault, Faults,
    decode::{self, Fields, Node},
};
use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// Largest message, in bytes.
pub(crate) const LARGEST: usize = 1024 * 1024;
const MOST_ALERTS: usize = 1_000;
const MOST_LABELS: usize = 64;
const LONGEST_LABEL: usize = 1_024;
/// What is kept of an alert for a person, in characters.
const LONGEST_TEXT: usize = 16 * 1024;

/// One message: the alerts of a group.
pub(super) struct Group {
    /// How many alerts of the group Alertmanager has left out.
    pub(super) truncated: u64,
    pub(super) alerts: Vec<Result<Alert, BadAlert>>,
}

/// One alert of it.
#[derive(Debug)]
pub(super) struct Alert {
    pub(super) firing: bool,
    /// Also the name of the alert, under `alertname`.
    pub(super) labels: BTreeMap<String, String>,
    /// Follows from the labels alone.
    pub(super) fingerprint: String,
    pub(super) starts_at: Timestamp,
    /// None while it fires.
    pub(super) ends_at: Option<Timestamp>,
    /// What came, without annotations: they may change from one message to the next.
    pub(super) text: String,
}

/// An alert that cannot be read. The others of its group can.
pub(super) struct BadAlert {
    pub(super) faults: Faults,
    pub(super) text: String,
}

impl Alert {
    pub(super) fn name(&self) -> &str {
        self.labels.get("alertname").map_or("", String::as_str)
    }
}

/// The fields that count; others are passed over.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct AlertmanagerWebhook {
    /// Always `4`.
    #[schemars(extend("const" = "4"))]
    version: String,
    #[serde(default)]
    truncated_alerts: u64,
    #[schemars(length(max = 1000))]
    alerts: Vec<WebhookAlert>,
}

#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
struct WebhookAlert {
    /// `firing` or `resolved`.
    #[schemars(extend("enum" = ["firing", "resolved"]))]
    status: String,
    /// At most 64, of 1024 bytes each.
    labels: BTreeMap<String, String>,
    #[schemars(extend("format" = "date-time"))]
    starts_at: String,
    #[schemars(extend("format" = "date-time"))]
    ends_at: String,
    fingerprint: String,
}

/// The message, or everything that is wrong with it as a whole.
pub(super) fn read(bytes: &[u8]) -> Result<Group, Faults> {
    let node = decode::tree(bytes, LARGEST)?;
    let fields = Fields::root(&node)?;
    fields.constant("version", "4");
    let alerts = fields.array("alerts", fields.required("alerts")).unwrap_or_default();
    if alerts.len() > MOST_ALERTS {
        let rule = format!("must hold {MOST_ALERTS} at most: set max_alerts of the receiver");
        fields.note(Fault::new("alerts", format!("{} alerts", alerts.len()), rule));
    }
    let truncated = match fields.optional("truncatedAlerts") {
        Some(Node::Integer(number)) => u64::try_from(*number).unwrap_or_default(),
        _ => 0,
    };
    fields.verdict()?;
    let written: Value = serde_json::from_slice(bytes).unwrap_or_default();
    let alert = |(index, node)| {
        let text = text_of(&written["alerts"][index]);
        parse(node, text.clone()).map_err(|faults| BadAlert { faults, text })
    };
    Ok(Group { truncated, alerts: alerts.iter().enumerate().map(alert).collect() })
}

fn parse(node: &Node, text: String) -> Result<Alert, Faults> {
    let fields = Fields::root(node)?;
    let firing = fields.required("status").and_then(|node| match node.as_str() {
        Some("firing") => Some(true),
        Some("resolved") => Some(false),
        _ => {
            fields.note(Fault::new("status", node, "must be firing or resolved"));
            None
        }
    });
    let labels = fields.required("labels").and_then(|node| labels(&fields, node));
    let fingerprint = fields.string("fingerprint", fields.required("fingerprint"), 1, 64);
    let starts_at = fields.instant("startsAt", fields.required("startsAt"));
    let ends_at = fields.instant("endsAt", fields.optional("endsAt"));
    fields.verdict()?;
    let complete = "every fault was noted above";
    let firing = firing.expect(complete);
    let starts_at = starts_at.expect(complete);
    Ok(Alert {
        firing,
        labels: labels.expect(complete),
        fingerprint: fingerprint.expect(complete),
        starts_at,
        // While it fires, this is the year 1.
        ends_at: ends_at.filter(|ends_at| !firing && *ends_at >= starts_at),
        text,
    })
}

fn labels(fields: &Fields<'_>, node: &Node) -> Option<BTreeMap<String, String>> {
    let Node::Object(entries) = node else {
        fields.note(Fault::new("labels", node.type_name(), "must be an object"));
        return None;
    };
    if entries.len() > MOST_LABELS {
        fields.note(Fault::new("labels", entries.len(), format!("must hold {MOST_LABELS} at most")));
        return None;
    }
    let mut labels = BTreeMap::new();
    for (name, value) in entries {
        let short = |text: &str| text.len() <= LONGEST_LABEL && !text.chars().any(char::is_control);
        match value.as_str() {
            Some(value) if short(name) && short(value) => {
                labels.insert(name.clone(), value.to_owned());
            }
            _ => {
                let rule = "must be strings of 1024 bytes at most, without control characters";
                fields.note(Fault::new("labels", name, rule));
                return None;
            }
        }
    }
    Some(labels)
}

/// What identifies it, as one line of JSON for people.
fn text_of(alert: &Value) -> String {
    let part = |name: &str| alert.get(name).map(|value| (name.to_owned(), value.clone()));
    let parts = ["status", "labels", "startsAt", "fingerprint"].into_iter().filter_map(part);
    let kept: Map<String, Value> = parts.collect();
    Value::Object(kept).to_string().chars().take(LONGEST_TEXT).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const GROUP: &str = r#"{"version": "4", "groupKey": "{}:{}", "truncatedAlerts": 2, "status": "firing",
        "receiver": "instance", "orgId": 1, "alerts": [
        {"status": "firing", "labels": {"alertname": "IrisDown", "iris_instance": "PROD"}, "annotations": {},
         "startsAt": "2026-11-21T08:00:00.5Z", "endsAt": "0001-01-01T00:00:00Z", "fingerprint": "a1", "values": null},
        {"status": "over", "labels": {"n": 7}, "startsAt": "yesterday"},
        {"status": "resolved", "labels": {"alertname": "IrisDown"}, "startsAt": "2026-11-21T09:00:00+01:00",
         "endsAt": "2026-11-21T08:01:00Z", "fingerprint": "a2"}]}"#;

    #[test]
    fn each_alert_is_read_for_itself() {
        let group = read(GROUP.as_bytes()).unwrap();
        assert_eq!(group.truncated, 2);
        let [down, bad, over] = group.alerts.try_into().ok().unwrap();
        let (down, over) = (down.ok().unwrap(), over.ok().unwrap());
        assert_eq!((down.firing, down.name(), down.ends_at), (true, "IrisDown", None));
        assert_eq!(over.ends_at.unwrap().duration_since(over.starts_at).as_secs(), 60);
        let faults = bad.err().unwrap().faults;
        let fields: Vec<&str> = faults.0.iter().map(|fault| fault.field.as_str()).collect();
        assert_eq!(fields, ["status", "labels", "fingerprint", "startsAt"]);
    }

    #[test]
    fn what_is_no_such_message_is_told_whole() {
        let told = |text: &str| read(text.as_bytes()).err().unwrap().to_string();
        assert!(told("[]").contains("must be an object"));
        assert!(told(r#"{"version": "3", "alerts": {}}"#).contains("must be 4"));
        assert!(told(r#"{"version": "3", "alerts": {}}"#).contains("must be an array"));
        assert!(told("{\"version\": \"4\"").contains("one JSON document"));
        let many = format!(r#"{{"version": "4", "alerts": [{}]}}"#, vec!["1"; 1_001].join(","));
        assert!(told(&many).contains("max_alerts"));
        let deep = format!(r#"{{"version": "4", "alerts": {}{}}}"#, "[".repeat(60), "]".repeat(60));
        assert!(told(&deep).contains("nested"));
    }
}
