//! Every query of the shipped dashboards and alert rules asks for what is told, and every link leads somewhere.

#![expect(clippy::unwrap_used, reason = "the whole file is a test; a helper that panics is what is wanted")]

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::PathBuf,
};

use instance_signals::catalogue::{Kind, Values};
use instance_signals::{Instrument, all, sample_names};
use serde_json::Value;

/// What Prometheus adds, and what a scrape tells of the whole process.
const FOREIGN: [&str; 2] = ["up", "target_info"];
const FOREIGN_LABELS: [&str; 5] = ["job", "instance", "le", "service_version", "service_name"];

fn tree(path: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../..").join(path)
}

fn text(path: &str) -> String {
    fs::read_to_string(tree(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// Labels of each sample, with their values where those are closed.
fn samples() -> BTreeMap<String, BTreeMap<String, Option<Vec<&'static str>>>> {
    let mut samples = BTreeMap::new();
    for metric in all().map(Instrument::metric) {
        let mut labels = BTreeMap::new();
        for label in metric.labels.iter().copied().chain(metric.fixed.iter().map(|(label, _)| *label)) {
            let values = match label.values {
                Values::Of(values) => Some(values.to_vec()),
                _ => None,
            };
            labels.insert(label.name.replace('.', "_"), values);
        }
        if metric.kind == Kind::Histogram {
            labels.insert("le".to_owned(), None);
        }
        samples.extend(sample_names(metric).into_iter().map(|name| (name, labels.clone())));
    }
    samples
}

/// Names in a query, each with what stands in braces behind it.
fn names(query: &str) -> Vec<(String, Option<String>)> {
    let mut found = Vec::new();
    let mut rest = query;
    while let Some(start) = rest.find(|c: char| c.is_ascii_alphabetic() || c == '_' || c == '"') {
        rest = &rest[start..];
        if let Some(quoted) = rest.strip_prefix('"') {
            rest = &quoted[quoted.find('"').unwrap() + 1..];
            continue;
        }
        let end =
            rest.find(|c: char| !(c.is_ascii_alphanumeric() || c == '_' || c == ':')).unwrap_or(rest.len());
        let (name, behind) = rest.split_at(end);
        let braces = behind.strip_prefix('{').map(|inside| inside[..inside.find('}').unwrap()].to_owned());
        rest = braces.as_ref().map_or(behind, |inside| &behind[inside.len() + 2..]);
        found.push((name.to_owned(), braces));
    }
    found
}

fn check(origin: &str, query: &str) {
    let samples = samples();
    let labels: BTreeSet<&str> =
        samples.values().flat_map(|labels| labels.keys().map(String::as_str)).chain(FOREIGN_LABELS).collect();
    let mut asked = 0;
    for (name, braces) in names(query) {
        let Some(known) = samples.get(&name) else {
            let ours = ["instance_", "messaging_", "gen_ai_", "process_"]
                .iter()
                .any(|start| name.starts_with(start));
            let is_label = labels.contains(name.as_str());
            assert!(
                !ours || (is_label && braces.is_none()),
                "{origin}: nothing is called {name} in\n{query}"
            );
            asked += usize::from(FOREIGN.contains(&name.as_str()));
            continue;
        };
        asked += 1;
        for matcher in braces.iter().flat_map(|inside| inside.split(',')).map(str::trim) {
            let end = matcher.find(['=', '!']).unwrap();
            let label = &matcher[..end];
            assert!(
                known.contains_key(label) || FOREIGN_LABELS.contains(&label),
                "{origin}: {name} has no label {label}"
            );
            let Some(Some(closed)) = known.get(label) else { continue };
            let value = matcher[end..].trim_start_matches(['=', '!', '~']).trim_matches('"');
            for value in value.split('|').filter(|value| !value.is_empty()) {
                assert!(closed.contains(&value), "{origin}: {label} is never {value}");
            }
        }
    }
    assert!(asked > 0, "{origin} asks for nothing: {query}");
}

#[test]
fn every_panel_asks_for_what_is_told() {
    let mut uids = BTreeSet::new();
    for entry in fs::read_dir(tree("deploy/grafana/dashboards")).unwrap() {
        let path = entry.unwrap().path();
        let origin = path.file_name().unwrap().to_string_lossy().into_owned();
        let board: Value = serde_json::from_str(&fs::read_to_string(&path).unwrap()).unwrap();
        let uid = board["uid"].as_str().unwrap();
        assert!(uids.insert(uid.to_owned()) && uid.len() <= 40, "{origin}: {uid}");
        assert!(board["id"].is_null() && board["tags"] == serde_json::json!(["instance"]), "{origin}");
        let panels = board["panels"].as_array().unwrap();
        let ids: BTreeSet<u64> = panels.iter().map(|panel| panel["id"].as_u64().unwrap()).collect();
        assert_eq!(ids.len(), panels.len(), "{origin}: an id twice");
        for panel in panels {
            let source = panel["datasource"]["uid"].as_str().unwrap();
            assert!(source.starts_with("${"), "{origin}: {} has a source of its own", panel["title"]);
            for target in panel["targets"].as_array().unwrap().iter().filter(|_| source == "${datasource}") {
                check(&format!("{origin}, {}", panel["title"]), target["expr"].as_str().unwrap());
            }
        }
    }
    assert_eq!(uids.len(), 4);
}

#[test]
fn every_alert_asks_for_what_is_told_and_its_link_leads_to_its_words() {
    let (rules, words) = (text("deploy/prometheus/instance-alerts.yml"), text("docs/alerts.md"));
    let headings: BTreeSet<String> =
        words.lines().filter_map(|line| line.strip_prefix("## ")).map(str::to_lowercase).collect();
    let mut alerts = BTreeSet::new();
    for rule in rules.split("- alert: ").skip(1) {
        let name = rule.lines().next().unwrap();
        let expression = rule.split_once("expr: ").unwrap().1;
        let end = expression.find("\n        for:").or_else(|| expression.find("\n        labels:")).unwrap();
        let expression =
            expression[..end].trim_start_matches("|-").trim().trim_matches('\'').replace("''", "'");
        check(name, &expression);
        assert!(rule.contains(&format!("runbook_url: docs/alerts.md#{}", name.to_lowercase())), "{name}");
        alerts.insert(name.to_lowercase());
    }
    assert!(alerts.len() > 15);
    assert_eq!(alerts, headings);
}

/// The test files are run by promtool (`tests/scenarios/scraped.rs` and `monitored.rs`); here is seen that no rule is without a case.
#[test]
fn every_alert_rule_has_a_case_in_which_it_fires_and_one_in_which_it_is_silent() {
    let mut found = 0;
    for (rules, cases) in [
        ("deploy/prometheus/instance-alerts.yml", "deploy/prometheus/instance-alerts.test.yml"),
        ("deploy/prometheus/iris.rules.yml", "deploy/prometheus/iris.rules.test.yml"),
    ] {
        let (rules, cases) = (text(rules), text(cases));
        for name in rules.lines().filter_map(|line| line.trim().strip_prefix("- alert: ")) {
            let fires = format!("alertname: {name}\n        exp_alerts:\n          - exp_labels: ");
            assert!(cases.contains(&fires), "no case in which {name} fires");
            let silent = [format!("alertname: {name}}}"), format!("alertname: {name}, exp_alerts: []}}")];
            assert!(silent.iter().any(|case| cases.contains(case)), "no case in which {name} is silent");
            found += 1;
        }
    }
    assert!(found > 25, "{found} rules");
}
