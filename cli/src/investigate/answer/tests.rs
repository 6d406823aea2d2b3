use instance_contract::{CommandId, IncidentAcknowledged, IncidentOutcome, subject::IncidentRecord};
use instance_testkit::TestIncident;
use jiff::{Timestamp, tz::TimeZone};
use serde_json::json;

use super::*;
use crate::{incident::case::tests::case_of, investigate::question};

const NOW: &str = "2026-11-21T15:00:00Z";

fn at(text: &str) -> Timestamp {
    format!("2026-11-21T{text}:00Z").parse().unwrap()
}

fn seen(instance: &str, condition: Option<&str>, count: u64, first: &str, excerpt: &str) -> Seen {
    Seen {
        instance: instance.parse().unwrap(),
        condition: condition.map(|id| id.parse().unwrap()),
        count,
        worst: Severity::Severe,
        first: at(first),
        last: at("14:30"),
        ids: vec!["6f1d2c0a-52b7-4c43-9a3e-000000000001".parse().unwrap()],
        excerpt: excerpt.to_owned(),
    }
}

fn told(text: &str, material: &Material) -> (bool, String) {
    let known = ["PROD".parse().unwrap(), "TEST".parse().unwrap()];
    let asked = question::read(text, &known, NOW.parse().unwrap(), &TimeZone::UTC);
    let answer = answer(&asked, &Index::of_the_catalogue(), material);
    let lines = answer.statements.iter().map(|statement| {
        let proofs: Vec<String> = statement
            .evidence
            .iter()
            .map(|proof| format!("{} {}", proof.kind, &proof.id.to_string()[..8]))
            .collect();
        format!("{} [{}]", statement.text, proofs.join(", "))
    });
    (answer.found, lines.collect::<Vec<_>>().join("\n"))
}

#[test]
fn refused_logons_are_explained_by_the_license_with_what_was_made_of_it() {
    let incident =
        TestIncident::new("PROD", Some("license-limit-exceeded"), 1, "License limit exceeded", at("14:05"));
    let acknowledged = IncidentAcknowledged {
        schema: IncidentAcknowledged::SCHEMA.to_owned(),
        trace_id: incident.trace_id(),
        incident_id: incident.id,
        by: "ada".to_owned(),
        at: at("14:20"),
        note: Some("a larger key is ordered".to_owned()),
        seen_finding: None,
        try_again: false,
    };
    let case = |acknowledged: Option<&IncidentAcknowledged>| {
        let mut records = vec![
            (IncidentRecord::Opened, json!(incident.opened())),
            (IncidentRecord::Finding(1), json!(incident.finding(1, incident.person()))),
        ];
        records.extend(acknowledged.map(|record| (IncidentRecord::Acknowledged, json!(record))));
        case_of(&incident, &records)
    };
    let mut material = Material {
        seen: vec![
            seen("PROD", Some("license-limit-exceeded"), 3, "14:05", "License limit exceeded 3 times"),
            seen("PROD", Some("journal-space-low"), 1, "14:00", "Journal space"),
        ],
        cases: vec![case(None)],
        ..Material::default()
    };
    let (found, text) = told("why did PROD refuse logons?", &material);
    assert!(found);
    let first = "PROD logged license-limit-exceeded 3 times from 2026-11-21T14:05:00Z to 2026-11-21T14:30:00Z (at worst severe). \
                 More license units were asked for than the key allows.";
    assert!(text.starts_with(first), "{text}");
    assert!(text.contains(
        "A person was called, for no runbook may do this. Look at it. Nobody has acknowledged it yet."
    ));
    assert!(text.contains("What comes next: (1) Look. (2) Mend it.") && !text.contains("journal"), "{text}");
    assert!(text.contains(&format!("[incident {}]", &incident.id.to_string()[..8])), "{text}");
    material.cases = vec![case(Some(&acknowledged))];
    let (_, text) = told("why did PROD refuse logons?", &material);
    assert!(
        text.contains("It is in hand: acknowledged by ada at 2026-11-21T14:20:00Z: a larger key is ordered."),
        "{text}"
    );
}

#[test]
fn a_cure_is_told_with_its_outcome_and_advice_is_left_out_then() {
    let incident =
        TestIncident::new("PROD", Some("huge-pages-too-few"), 2, "Failed to allocate", at("13:00"));
    let command = CommandId::from_uuid(Uuid::from_u128(9));
    let decision = Decision::Remediation {
        command_id: command,
        runbook: "add-huge-pages".to_owned(),
        dry_run_digest: None,
        needs_approval: true,
    };
    let outcome: IncidentOutcome = serde_json::from_value(json!({
        "schema": IncidentOutcome::SCHEMA, "trace_id": incident.trace_id(), "incident_id": incident.id,
        "instance": "PROD", "command_id": command, "remediation_id": "bd67f038-03ab-5b45-812f-73fa0818345f",
        "runbook": "add-huge-pages", "condition": "huge-pages-too-few", "overall_status": "success",
        "ended_at": at("13:05"), "reason": null,
    }))
    .unwrap();
    let records = [
        (IncidentRecord::Finding(1), json!(incident.finding(1, decision))),
        (IncidentRecord::Outcome(command), json!(outcome)),
    ];
    let material = Material { cases: vec![case_of(&incident, &records)], ..Material::default() };
    let (found, text) = told("were there too few huge pages on PROD?", &material);
    assert!(found && text.contains("runbook add-huge-pages, with the agreement of a person"), "{text}");
    assert!(
        text.contains("ended success at 2026-11-21T13:05:00Z.") && text.contains("remediation bd67f038"),
        "{text}"
    );
    assert!(!text.contains("What cures it") && !text.contains("What comes next"), "{text}");
}

#[test]
fn our_own_restart_is_an_answer_too() {
    let done = Done {
        id: "bd67f038-03ab-5b45-812f-73fa0818345f".parse().unwrap(),
        instance: "PROD".parse().unwrap(),
        action: "Restart after a change of globals".to_owned(),
        asked_by: "analyst".to_owned(),
        restarts: true,
        began: at("12:00"),
        ended: Some((at("12:03"), OverallStatus::Success)),
    };
    let material = Material { done: vec![done], ..Material::default() };
    let (found, text) = told("why was PROD down at 12:01?", &material);
    assert!(found && text.contains("asked for by analyst, which restarts the instance"), "{text}");
    assert!(
        text.contains("It ended success at 2026-11-21T12:03:00Z.") && text.contains("[remediation bd67f038]")
    );
}

#[test]
fn nothing_that_bears_on_it_is_an_honest_answer() {
    let material = Material {
        seen: vec![seen("PROD", Some("journal-space-low"), 2, "14:00", "Journal space")],
        ..Material::default()
    };
    let (found, text) = told("is a certificate of PROD expired?", &material);
    assert!(!found && text.starts_with("Nothing that is known about PROD bears on that."), "{text}");
    assert!(text.contains("What was seen instead: PROD logged journal-space-low 2 times"), "{text}");
    let (found, text) = told("why did TEST stop today", &Material::default());
    assert!(
        !found && text.starts_with("Nothing that is known about TEST between 2026-11-21T00:00:00Z and"),
        "{text}"
    );
}

#[test]
fn entries_that_the_catalogue_does_not_know_answer_by_their_words_and_are_marked_as_quotes() {
    let material = Material {
        seen: vec![seen("PROD", None, 1, "14:00", "frobnicator overheated in bay 7")],
        ..Material::default()
    };
    let asked = question::read("did the frobnicator overheat?", &[], NOW.parse().unwrap(), &TimeZone::UTC);
    let answer = answer(&asked, &Index::of_the_catalogue(), &material);
    assert!(answer.found && answer.statements[0].quotes, "{answer:?}");
    assert!(answer.statements[0].text.contains("\"frobnicator overheated in bay 7\""));
}

#[test]
fn a_question_without_a_word_about_trouble_asks_for_all_of_it() {
    let material = Material {
        seen: vec![
            seen("PROD", Some("journal-space-low"), 2, "14:00", "x"),
            Seen { worst: Severity::Fatal, ..seen("PROD", Some("database-degradation"), 1, "13:00", "y") },
            Seen { worst: Severity::Info, ..seen("PROD", Some("mirror-normal"), 1, "13:00", "z") },
        ],
        ..Material::default()
    };
    let (found, text) = told("what happened to PROD today?", &material);
    assert!(found && text.starts_with("PROD logged database-degradation at"), "{text}");
    assert!(text.contains("journal-space-low") && !text.contains("mirror-normal"), "{text}");
}
