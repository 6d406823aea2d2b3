//! An incident in words: what was found, on what evidence, and what a person can do.

use std::collections::BTreeMap;

use instance_contract::{Decision, DiagnosisPhase, Evidence, Finding, FindingSource, MessageId, RaisedBy};

use super::case::Case;
use crate::output::{printable, table, when};

/// The first line: which incident, of what, where.
pub fn head(case: &Case) -> String {
    let instance = case.instance().map_or_else(|| "?".to_owned(), ToString::to_string);
    let host = case.host().map(|host| format!(" (host {host})")).unwrap_or_default();
    let severity = case.severity().map_or("?", |severity| severity.as_str());
    printable(&format!(
        "incident {}: {} on {instance}{host}, {severity}, {}",
        case.id,
        condition(case),
        case.state()
    ))
}

/// The condition, or that it is none of the catalogue.
pub fn condition(case: &Case) -> String {
    case.condition().map_or_else(|| "unknown trouble".to_owned(), ToString::to_string)
}

/// What was found, line by line.
pub fn finding(number: u32, finding: &Finding) -> String {
    let mut lines = vec![format!(
        "finding {number}, {}, by {}, {} % sure, {}",
        phase(finding.phase),
        source(finding.source),
        finding.confidence,
        when(finding.found_at)
    )];
    let mut add = |name: &str, value: &str| {
        lines.push(format!("  {name:10}{}", printable(&instance_redaction::redact(value))));
    };
    if !finding.title.is_empty() {
        add("title", &finding.title);
    }
    if !finding.cause.is_empty() {
        add("cause", &finding.cause);
    }
    if !finding.severity_raised_by.is_empty() {
        let by: Vec<&str> = finding.severity_raised_by.iter().copied().map(raised).collect();
        add("severity", &format!("{}, raised by {}", finding.severity.as_str(), by.join(" and ")));
    }
    finding.reasons.iter().for_each(|reason| add("because", reason));
    for (name, value) in &finding.facts {
        add("fact", &format!("{name} = {}", value.as_str().map_or_else(|| value.to_string(), str::to_owned)));
    }
    let (word, said) = decision(&finding.decision);
    for line in &said {
        add(word, line);
    }
    finding.success_signs.iter().for_each(|sign| add("cured when", sign));
    for (number, step) in (1..).zip(&finding.next_steps) {
        add("next", &format!("{number}. {step}"));
    }
    lines.join("\n")
}

/// What is done about it: by whom, and in which words.
fn decision(decision: &Decision) -> (&'static str, Vec<String>) {
    match decision {
        Decision::Remediation { command_id, runbook, needs_approval, .. } => {
            let approval = if *needs_approval { "; a person has to agree" } else { "" };
            ("command", vec![format!("{command_id} by runbook {runbook}{approval}")])
        }
        Decision::Person { why, what_to_do } => {
            ("a person", vec![format!("has to look: {why}"), what_to_do.clone()])
        }
        Decision::Nothing { why } => ("nothing", vec![format!("has to be done: {why}")]),
        Decision::Wait { why } => ("waits", vec![why.clone()]),
    }
}

/// The entries that findings rest on, each once.
pub fn entries(case: &Case) -> String {
    let mut known: BTreeMap<MessageId, &Evidence> = BTreeMap::new();
    let mut order: Vec<MessageId> = Vec::new();
    for evidence in case.findings.values().flat_map(|finding| &finding.evidence) {
        if known.insert(evidence.message_id, evidence).is_none() {
            order.push(evidence.message_id);
        }
    }
    let opened = case.opened.iter().flat_map(|opened| &opened.entries);
    let unseen: Vec<MessageId> = opened.filter(|id| !known.contains_key(id)).copied().collect();
    let found = case.findings.values().map(|finding| finding.evidence_total).max().unwrap_or_default();
    let closed = case.closed.as_ref().map_or(0, |closed| closed.entries);
    let shown = order.len() + unseen.len();
    let total = found.max(closed).max(u64::try_from(shown).unwrap_or(u64::MAX));
    let rows = order.iter().filter_map(|id| known.get(id)).map(|evidence| row(evidence));
    let unseen =
        unseen.iter().map(|id| [String::new(), String::new(), String::new(), id.to_string(), String::new()]);
    let rows = table(["occurred", "severity", "process", "message", "text"], rows.chain(unseen));
    format!("entries ({shown} of {total})\n{rows}")
}

fn row(evidence: &Evidence) -> [String; 5] {
    [
        evidence.occurred_at.map(when).unwrap_or_default(),
        evidence.severity.as_str().to_owned(),
        evidence.process_id.map(|id| id.to_string()).unwrap_or_default(),
        evidence.message_id.to_string(),
        instance_redaction::redact(&evidence.excerpt).into_owned(),
    ]
}

const fn phase(phase: DiagnosisPhase) -> &'static str {
    match phase {
        DiagnosisPhase::Triage => "triage",
        DiagnosisPhase::Analysis => "analysis",
        DiagnosisPhase::Resolution => "resolution",
    }
}

const fn source(source: FindingSource) -> &'static str {
    match source {
        FindingSource::Rules => "rules",
        FindingSource::Model => "a model's choice",
        FindingSource::Alert => "an alert",
    }
}

const fn raised(by: RaisedBy) -> &'static str {
    match by {
        RaisedBy::Catalogue => "the catalogue",
        RaisedBy::Words => "its words",
        RaisedBy::Frequency => "its frequency",
    }
}

#[cfg(test)]
mod tests {
    use instance_testkit::TestIncident;

    use super::finding;

    #[test]
    fn a_finding_shows_its_title_and_numbers_what_comes_next() {
        let at = "2026-11-21T14:05:00Z".parse().unwrap();
        let incident = TestIncident::new("PROD", None, 1, "an entry", at);
        let mut found = incident.finding(1, incident.person());
        found.next_steps[1] = "Mend it with password=hunter2 at once.".to_owned(); // pragma: allowlist secret
        let text = finding(1, &found);
        for line in [
            "  title     Trouble on an instance",
            "  next      1. Look.",
            "  next      3. See that it is over.",
        ] {
            assert!(text.lines().any(|known| known == line), "{text}");
        }
        assert!(text.contains("next      2. Mend it") && !text.contains("hunter2"), "{text}");
        (found.title, found.next_steps) = (String::new(), Vec::new());
        let before = finding(1, &found);
        assert!(!before.contains("title") && !before.contains("next"), "{before}");
    }
}
