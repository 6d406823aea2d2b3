//! What services call outside the bus, by the settings that lie on this machine: language models, the webhook, the collector.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

use toml::{Table, Value};

use super::{Check, reach};
use crate::session::Global;

/// Where services have their settings; who may not read them is told nothing of them.
const SYSTEM_FOLDER: &str = "/etc/instance";
/// Tables of profiles: only one of them is in force.
const PROFILES: [&str; 4] = ["development", "staging", "production", "testing"];

/// What is called.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Kind {
    Model,
    Webhook,
    Collector,
}

impl Kind {
    const fn name(self) -> &'static str {
        match self {
            Self::Model => "model",
            Self::Webhook => "webhook",
            Self::Collector => "collector",
        }
    }

    /// What it means that nobody is there, and what to do.
    const fn next(self) -> &'static str {
        match self {
            Self::Model => {
                "the rules go on without it; start it or correct base_url, then `instance model check`"
            }
            Self::Webhook => "nobody is called, `instance inbox list` keeps it; start it, or correct its url",
            Self::Collector => {
                "what is told is lost, nothing waits for it; start it, or correct otlp_endpoint"
            }
        }
    }
}

/// One line for each address that the settings name.
pub async fn checks(global: &Global) -> Vec<Check> {
    let profile = std::env::var("INSTANCE_PROFILE").ok();
    let named: BTreeSet<(Kind, String)> = files(global)
        .iter()
        .filter_map(|path| fs::read_to_string(path).ok()?.parse::<Table>().ok())
        .flat_map(|table| called(&table, profile.as_deref()))
        .collect();
    let mut checks = Vec::new();
    for (kind, url) in named {
        checks.push(check(kind, &url).await);
    }
    checks
}

fn files(global: &Global) -> Vec<PathBuf> {
    let system = fs::read_dir(Path::new(SYSTEM_FOLDER)).into_iter().flatten().flatten();
    let system =
        system.map(|entry| entry.path()).filter(|path| path.extension().is_some_and(|it| it == "toml"));
    let mut files: Vec<PathBuf> = system.chain(global.config.clone()).collect();
    files.sort();
    files
}

async fn check(kind: Kind, url: &str) -> Check {
    let Some(address) = reach::address(url) else {
        return Check::warn(kind.name(), "its address in the settings is none", kind.next());
    };
    match reach::connect(&address).await {
        Ok(()) => Check::ok(kind.name(), format!("somebody listens at {address}")),
        Err(why) => Check::warn(kind.name(), format!("{address}: {why}"), kind.next()),
    }
}

/// Every address that is called, of the profile in force.
fn called(settings: &Table, profile: Option<&str>) -> Vec<(Kind, String)> {
    let mut found = Vec::new();
    for (name, value) in settings {
        if !PROFILES.contains(&name.as_str()) || profile == Some(name) {
            look(name, value, &mut found);
        }
    }
    found
}

fn look(name: &str, value: &Value, found: &mut Vec<(Kind, String)>) {
    match value {
        Value::Table(table) => {
            for (inner, value) in table {
                let kind = match (name, inner.as_str()) {
                    (_, "base_url") => Some(Kind::Model),
                    ("webhook", "url") => Some(Kind::Webhook),
                    (_, "otlp_endpoint") => Some(Kind::Collector),
                    _ => None,
                };
                match (kind, value.as_str()) {
                    (Some(kind), Some(url)) if !url.is_empty() => found.push((kind, url.to_owned())),
                    _ => look(inner, value, found),
                }
            }
        }
        Value::Array(values) => values.iter().for_each(|value| look(name, value, found)),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SETTINGS: &str = r#"
        [telemetry]
        otlp_endpoint = "http://collector:4318"
        [analyst.webhook]
        url = "http://people/call"
        [[analyst.model.providers]]
        name = "main"
        base_url = "https://models.example/v1"
        [production.analyst.webhook]
        url = "http://production/call"
        [nats]
        url = "nats://bus:4222"
    "#;

    #[test]
    fn what_is_called_is_found_wherever_it_stands() {
        let settings: Table = SETTINGS.parse().unwrap();
        let mut plain = called(&settings, None);
        plain.sort();
        let expected = [
            (Kind::Model, "https://models.example/v1".to_owned()),
            (Kind::Webhook, "http://people/call".to_owned()),
            (Kind::Collector, "http://collector:4318".to_owned()),
        ];
        assert_eq!(plain, expected);
        let production = called(&settings, Some("production"));
        assert!(production.contains(&(Kind::Webhook, "http://production/call".to_owned())), "{production:?}");
    }

    #[tokio::test]
    async fn who_is_not_there_is_told_with_what_to_do() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let at = listener.local_addr().unwrap();
        let url = format!("http://user:hunter2@{at}/call?key=hunter2"); // pragma: allowlist secret
        for kind in [Kind::Model, Kind::Webhook, Kind::Collector] {
            let there = check(kind, &url).await;
            assert_eq!(there.outcome, crate::doctor::Outcome::Ok, "{there:?}");
            // Nothing listens on port 1 of this machine.
            let away = check(kind, "http://127.0.0.1:1/call").await;
            assert_eq!((away.outcome, away.name), (crate::doctor::Outcome::Warn, kind.name()), "{away:?}");
            assert!(away.next.as_ref().is_some_and(|next| next.contains("correct")), "{away:?}");
            assert!(!format!("{there:?}{away:?}").contains("hunter2"));
        }
    }
}
