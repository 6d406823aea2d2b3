use instance_bus::Headers;
use instance_testkit::TestIncident;
use serde_json::json;

use super::*;

/// The case that some records tell of.
pub fn case_of(incident: &TestIncident, records: &[(IncidentRecord, Value)]) -> Case {
    let messages: Vec<LogMessage> = (1..)
        .zip(records)
        .map(|(sequence, (kind, record))| LogMessage {
            subject: subject::incident(&incident.instance, incident.id, *kind).to_string(),
            payload: record.to_string().into(),
            sequence,
            published_at: incident.at,
            headers: Headers::new(),
        })
        .collect();
    cases(&messages).remove(0)
}

fn incident() -> TestIncident {
    TestIncident::new("PROD", None, 1, "x", "2026-11-21T10:00:00Z".parse().unwrap())
}

#[test]
fn an_incident_waits_from_the_first_call_for_a_person_until_somebody_has_it() {
    let incident = incident();
    let wait = Decision::Wait { why: "facts are on their way".to_owned() };
    let mut records = vec![
        (IncidentRecord::Opened, json!(incident.opened())),
        (IncidentRecord::Finding(1), json!(incident.finding(1, wait.clone()))),
    ];
    assert_eq!(case_of(&incident, &records).state(), "open");
    records.push((IncidentRecord::Finding(2), json!(incident.finding(2, incident.person()))));
    // A later finding does not take back that a person was called.
    records.push((IncidentRecord::Finding(10), json!(incident.finding(10, wait))));
    let case = case_of(&incident, &records);
    assert!(case.waits() && case.question().unwrap().0 == 2 && case.newest().unwrap().0 == 10);
    let closed = json!({
        "schema": IncidentClosed::SCHEMA, "trace_id": incident.trace_id(), "incident_id": incident.id,
        "closed_at": incident.at, "why": "quiet", "entries": 3,
    });
    records.push((IncidentRecord::Closed, closed));
    assert_eq!(
        case_of(&incident, &records).state(),
        "waits for a person",
        "until acknowledged, whatever became of it"
    );
    let acknowledged = json!({
        "schema": IncidentAcknowledged::SCHEMA, "trace_id": incident.trace_id(), "incident_id": incident.id,
        "by": "ada", "at": incident.at,
    });
    records.push((IncidentRecord::Acknowledged, acknowledged));
    assert_eq!(case_of(&incident, &records).state(), "closed (quiet)");
}

#[test]
fn a_question_that_came_while_an_older_one_was_acknowledged_waits_until_the_analyst_tells_it_anew() {
    let incident = incident();
    let acknowledged = |seen: u32| {
        json!({
            "schema": IncidentAcknowledged::SCHEMA, "trace_id": incident.trace_id(), "incident_id": incident.id,
            "by": "ada", "at": incident.at, "seen_finding": seen,
        })
    };
    for (seen, waits) in [(1, true), (2, false)] {
        let records = [
            (IncidentRecord::Finding(1), json!(incident.finding(1, incident.person()))),
            (IncidentRecord::Finding(2), json!(incident.finding(2, incident.person()))),
            (IncidentRecord::Acknowledged, acknowledged(seen)),
        ];
        assert_eq!(case_of(&incident, &records).waits(), waits, "seen: {seen}");
    }
}

#[test]
fn a_record_that_cannot_be_read_hides_nothing_else() {
    let incident = incident();
    let records = [
        (IncidentRecord::Opened, json!({"schema": "x"})),
        (IncidentRecord::Finding(1), json!(incident.finding(1, incident.person()))),
    ];
    let case = case_of(&incident, &records);
    assert!(case.waits() && case.unread.len() == 1, "{case:?}");
    assert_eq!(case.instance().unwrap().as_str(), "PROD");
}
