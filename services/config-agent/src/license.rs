//! What an instance's license key file and its own metrics say. Read only, and never the authorization key.

use std::{
    path::PathBuf,
    time::{Duration, Instant},
};

use instance_agent::{
    InstanceSettings,
    evidence::{Metrics, StateWord},
};
use instance_contract::LicenseAction;
use instance_iris::cpf::Document;
use jiff::{Timestamp, civil::Date, fmt::strtime, tz::TimeZone};

use crate::host::Host;

const QLIST_LIMIT: Duration = Duration::from_secs(10);
const METRICS_LIMIT: Duration = Duration::from_secs(5);

/// What may be shown of `[License]`; everything else in the file stays there.
const SHOWN: [&str; 4] = ["LicenseCapacity", "CustomerName", "OrderNumber", "ExpirationDate"];

/// The key file, in the manager directory.
pub fn key_file(instance: &InstanceSettings) -> PathBuf {
    instance.manager_dir().join("iris.key")
}

/// What is known of the license of an instance: its key file, and what it tells of itself while it runs.
#[derive(Debug)]
pub struct Known {
    /// The bytes of `iris.key`; in words why there are none.
    pub key: Result<Vec<u8>, String>,
    /// `/api/monitor/metrics`; in words why there are none.
    pub metrics: Result<Metrics, String>,
}

impl Known {
    /// Asks the host, at most for `limit`.
    pub fn read(host: &dyn Host, instance: &InstanceSettings, limit: Duration) -> Self {
        let began = Instant::now();
        let left = || limit.saturating_sub(began.elapsed());
        let metrics = host
            .state(instance, QLIST_LIMIT.min(limit))
            .map_err(|failure| failure.cause().message.clone())
            .and_then(|found| match &found.state {
                StateWord::Running => {
                    host.metrics(instance, found.web_server_port, METRICS_LIMIT.min(left()))
                }
                state => Err(format!("the instance is {state}")),
            });
        Self { key: host.license_key(instance), metrics }
    }
}

/// Answers a license question, one line a fact; what could not be read says so.
pub fn answer(action: LicenseAction, known: &Known, now: Timestamp) -> Vec<String> {
    let mut lines = match &known.key {
        Err(reason) => vec![format!("license key could not be read: {reason}"), license_server_hint()],
        Ok(bytes) => {
            let document = Document::parse(bytes);
            match action {
                LicenseAction::CheckExpiry => vec![expiry(&document, now)],
                LicenseAction::ValidateKey => validate(&document, now),
                LicenseAction::ReportUsage => shown(&document),
            }
        }
    };
    match action {
        LicenseAction::CheckExpiry | LicenseAction::ValidateKey => lines.extend(days_remaining(known)),
        LicenseAction::ReportUsage => lines.extend(usage(known)),
    }
    lines
}

/// The instance knows its license even when a license server gave it.
fn days_remaining(known: &Known) -> Option<String> {
    let days = known.metrics.as_ref().ok()?.value("iris_license_days_remaining")?;
    Some(format!(
        "the running instance counts {days} days until its license ends (iris_license_days_remaining)"
    ))
}

/// Units in use, as the instance itself tells them.
fn usage(known: &Known) -> Vec<String> {
    let metrics = match &known.metrics {
        Ok(metrics) => metrics,
        Err(reason) => return vec![format!("usage: not known: {reason}")],
    };
    let told = ["iris_license_consumed", "iris_license_available", "iris_license_percent_used"];
    let mut lines: Vec<String> = told
        .iter()
        .map(|name| match metrics.value(name) {
            Some(value) => format!("usage: {name} {value}"),
            None => format!("usage: the instance does not tell {name}"),
        })
        .collect();
    lines.extend(days_remaining(known));
    lines
}

fn license_server_hint() -> String {
    "without a key file the license may still come from a license server ([Startup] LicenseID); that is not looked at here"
        .to_owned()
}

fn validate(document: &Document, now: Timestamp) -> Vec<String> {
    let mut lines = Vec::new();
    match document.get("ConfigFile", "FileType") {
        Some(kind) => lines.push(format!("file type: {kind}")),
        None => {
            lines.push("[ConfigFile] FileType is missing: this does not look like a license key".to_owned());
        }
    }
    lines.extend(shown(document));
    let authorized = document.get("License", "AuthorizationKey").is_some_and(|key| !key.is_empty());
    lines.push(format!("authorization key: {}", if authorized { "present (not shown)" } else { "missing" }));
    lines.push(expiry(document, now));
    lines.push("whether the authorization key is genuine only IRIS can tell".to_owned());
    lines
}

fn shown(document: &Document) -> Vec<String> {
    SHOWN
        .iter()
        .map(|name| match document.get("License", name) {
            Some(value) => format!("[License] {name}: {value}"),
            None => format!("[License] {name}: not in the file"),
        })
        .collect()
}

fn expiry(document: &Document, now: Timestamp) -> String {
    let Some(text) = document.get("License", "ExpirationDate").filter(|text| !text.is_empty()) else {
        return "expiry: the file names no ExpirationDate".to_owned();
    };
    let Some(date) = date(text) else {
        return format!("expiry: ExpirationDate \"{text}\" is not a date that is understood");
    };
    let today = now.to_zoned(TimeZone::UTC).date();
    let days = today.until(date).map_or(0, |span| span.get_days());
    match days {
        ..0 => format!("expiry: expired on {date}, {} days ago", -days),
        _ => format!("expiry: {date}, in {days} days"),
    }
}

/// Key files write the month first; ISO is taken too.
fn date(text: &str) -> Option<Date> {
    let by = |format| strtime::parse(format, text).ok()?.to_date().ok();
    by("%m/%d/%Y").or_else(|| by("%Y-%m-%d"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: Option<&str>, action: LicenseAction, expected: &[&str]) {
        let key = text.map(|text| text.as_bytes().to_vec()).ok_or("No such file".to_owned());
        let known = Known { key, metrics: Err("the instance is down".to_owned()) };
        look(&known, action, expected);
    }

    fn look(known: &Known, action: LicenseAction, expected: &[&str]) {
        let lines = answer(action, known, "2026-03-01T12:00:00Z".parse().unwrap()).join("\n");
        for part in expected {
            assert!(lines.contains(part), "no \"{part}\" in:\n{lines}");
        }
        assert!(!lines.contains("SECRET"), "{lines}");
    }

    const KEY: &str = "[ConfigFile]\r\nFileType=InterSystems License\r\nLicenseID=201406\r\n\r\n[License]\r\n\
        LicenseCapacity=InterSystems IRIS 2024.1 Server for x86-64\r\nCustomerName=Example\r\nOrderNumber=1\r\n\
        ExpirationDate=3/31/2026\r\nAuthorizationKey=SECRETSECRET\r\nMachineID=\r\n";

    #[test]
    fn the_expiry_is_counted_in_days() {
        check(Some(KEY), LicenseAction::CheckExpiry, &["expiry: 2026-03-31, in 30 days"]);
        let past = KEY.replace("3/31/2026", "02/27/2026");
        check(Some(&past), LicenseAction::CheckExpiry, &["expired on 2026-02-27, 2 days ago"]);
        let odd = KEY.replace("3/31/2026", "soon");
        check(Some(&odd), LicenseAction::CheckExpiry, &["\"soon\" is not a date"]);
    }

    #[test]
    fn the_authorization_key_is_never_shown() {
        let lines =
            ["present (not shown)", "InterSystems License", "Server for x86-64", "only IRIS can tell"];
        check(Some(KEY), LicenseAction::ValidateKey, &lines);
    }

    #[test]
    fn what_could_not_be_read_is_said() {
        check(None, LicenseAction::CheckExpiry, &["could not be read", "No such file", "license server"]);
        check(Some(KEY), LicenseAction::ReportUsage, &["usage: not known: the instance is down", "Example"]);
        check(Some("nonsense"), LicenseAction::ValidateKey, &["does not look like", "missing"]);
    }

    #[test]
    fn the_instance_itself_tells_what_is_in_use() {
        let text = "iris_license_available 12\niris_license_consumed 13\niris_license_days_remaining 30\n";
        let known = Known { key: Ok(KEY.as_bytes().to_vec()), metrics: Ok(Metrics::parse(text)) };
        let told =
            ["iris_license_consumed 13", "iris_license_available 12", "does not tell iris_license_percent"];
        look(&known, LicenseAction::ReportUsage, &told);
        look(&known, LicenseAction::CheckExpiry, &["in 30 days", "counts 30 days"]);
        let served = Known { key: Err("No such file".to_owned()), ..known };
        look(&served, LicenseAction::ReportUsage, &["could not be read", "iris_license_consumed 13"]);
    }
}
