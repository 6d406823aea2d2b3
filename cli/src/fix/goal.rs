//! Which of the troubles that are known a goal in words means. Rules alone: the words of the catalogue, and what is open.

use instance_contract::{CloseReason, Finding, InstanceName, OverallStatus};
use instance_knowledge::{Condition, condition};

use crate::{
    incident::case::Case,
    investigate::{Index, words},
};

/// Words that ask for a cure and say nothing of the trouble.
const ASKING: &[&str] = &[
    "again",
    "all",
    "anything",
    "broken",
    "clean",
    "cure",
    "error",
    "errors",
    "everything",
    "fix",
    "fixed",
    "heal",
    "issue",
    "issues",
    "mend",
    "now",
    "problem",
    "problems",
    "repair",
    "resolve",
    "solve",
    "work",
    "working",
];

/// Something that is broken, and that the words mean.
#[derive(Debug, Clone, Copy)]
pub struct Trouble<'a> {
    pub row: &'static Condition,
    pub case: &'a Case,
    /// Its newest finding.
    pub finding: &'a Finding,
}

/// Why words mean nothing that could be done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NoGoal {
    /// The catalogue knows nothing of what these words say.
    Unknown,
    /// The catalogue knows it, and nothing of it is open; the rows that were looked for, nearest first.
    NotBroken(Vec<&'static str>),
    /// No words but those that ask, and nothing is open.
    NothingBroken,
}

/// What is open and has to do with the words, nearest first, then the graver and the newer. Without a word about trouble:
/// all that is open.
pub fn meant<'a>(goal: &str, instance: &InstanceName, cases: &'a [Case]) -> Result<Vec<Trouble<'a>>, NoGoal> {
    let about = about(goal, instance);
    let hits = Index::of_the_catalogue().search(&about);
    let asks_for_all = words(&about).is_empty();
    if hits.is_empty() && !asks_for_all {
        return Err(NoGoal::Unknown);
    }
    let nearness = |row: &Condition| {
        let hit = hits.iter().find(|hit| hit.condition.id == row.id);
        hit.map(|hit| hit.score).or_else(|| asks_for_all.then_some(1.0))
    };
    let mut found: Vec<(f64, Trouble<'a>)> = cases
        .iter()
        .filter(|case| case.instance() == Some(instance) && is_broken(case))
        .filter_map(|case| {
            let (_, finding) = case.newest()?;
            let row = condition(finding.condition.as_ref()?.as_str())?;
            Some((nearness(row)?, Trouble { row, case, finding }))
        })
        .collect();
    found.sort_by(|(near, a), (far, b)| {
        let grave = |trouble: &Trouble<'_>| (trouble.finding.severity, trouble.finding.found_at);
        far.total_cmp(near).then_with(|| grave(b).cmp(&grave(a)))
    });
    if found.is_empty() {
        let sought = hits.iter().take(3).map(|hit| hit.condition.id.as_str()).collect();
        return Err(if asks_for_all { NoGoal::NothingBroken } else { NoGoal::NotBroken(sought) });
    }
    Ok(found.into_iter().map(|(_, trouble)| trouble).collect())
}

/// Is it open, or a person's who has not cured it yet?
fn is_broken(case: &Case) -> bool {
    let cured = case.outcomes.last().is_some_and(|last| last.overall_status == OverallStatus::Success);
    let taken = case.closed.as_ref().is_some_and(|closed| closed.why == CloseReason::Acknowledged);
    case.closed.is_none() || case.waits() || taken && !cured
}

/// The words about the trouble.
fn about(goal: &str, instance: &InstanceName) -> String {
    let asks = |word: &&str| {
        let bare = word.trim_matches(|c: char| !c.is_alphanumeric()).to_lowercase();
        ASKING.contains(&bare.as_str()) || bare == instance.as_str().to_lowercase()
    };
    goal.split_whitespace().filter(|word| !asks(word)).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use instance_contract::subject::IncidentRecord;
    use instance_testkit::TestIncident;
    use jiff::Timestamp;
    use serde_json::json;

    use super::*;
    use crate::incident::case::tests::case_of;

    fn at(text: &str) -> Timestamp {
        format!("2026-11-21T{text}:00Z").parse().unwrap()
    }

    fn case(instance: &str, condition: &str, number: u8, why: Option<CloseReason>) -> Case {
        let incident = TestIncident::new(instance, Some(condition), number, "an entry", at("14:05"));
        let mut records = vec![
            (IncidentRecord::Opened, json!(incident.opened())),
            (IncidentRecord::Finding(1), json!(incident.finding(1, incident.person()))),
        ];
        let closed = why.map(|why| {
            json!({
                "schema": "instance.v1.incident_closed", "trace_id": incident.trace_id(),
                "incident_id": incident.id, "closed_at": at("15:00"), "why": why, "entries": 1,
            })
        });
        let taken = closed.as_ref().map(|_| {
            json!({
                "schema": "instance.v1.incident_acknowledged", "trace_id": incident.trace_id(),
                "incident_id": incident.id, "by": "ada", "at": at("14:59"),
            })
        });
        records.extend(taken.map(|record| (IncidentRecord::Acknowledged, record)));
        records.extend(closed.map(|record| (IncidentRecord::Closed, record)));
        case_of(&incident, &records)
    }

    fn found(goal: &str, cases: &[Case]) -> Result<Vec<String>, NoGoal> {
        let instance = "PROD".parse().unwrap();
        Ok(meant(goal, &instance, cases)?.iter().map(|trouble| trouble.row.id.clone()).collect())
    }

    #[test]
    fn a_goal_means_what_is_open_and_near() {
        let cases = [
            case("PROD", "license-key-missing", 1, None),
            case("PROD", "journal-alternate-unreachable", 2, None),
            case("TEST", "license-limit-exceeded", 3, None),
        ];
        for (goal, first) in [
            ("fix licensing", "license-key-missing"),
            ("Please fix the license key of PROD!", "license-key-missing"),
            ("repair journaling", "journal-alternate-unreachable"),
            ("the alternate journal directory is unreachable", "journal-alternate-unreachable"),
        ] {
            let found = found(goal, &cases).unwrap();
            assert_eq!(found.first().map(String::as_str), Some(first), "{goal}: {found:?}");
            assert!(!found.contains(&"license-limit-exceeded".to_owned()), "{goal}: of another instance");
        }
        assert_eq!(found("fix it", &cases).unwrap().len(), 2, "no word about trouble asks for all of it");
    }

    #[test]
    fn what_no_row_knows_and_what_is_not_broken_are_told_apart() {
        let cases = [
            case("PROD", "license-key-missing", 1, None),
            case("PROD", "journal-not-started", 2, Some(CloseReason::Verified)),
        ];
        assert_eq!(found("frobnicate the zorkmids", &cases), Err(NoGoal::Unknown));
        assert_eq!(found("fix the weather in Berlin", &cases), Err(NoGoal::Unknown));
        let Err(NoGoal::NotBroken(sought)) = found("start journaling", &cases) else { panic!() };
        assert!(sought.contains(&"journal-not-started"), "{sought:?}");
        assert_eq!(found("fix everything", &[]), Err(NoGoal::NothingBroken));
        let taken = [case("PROD", "license-key-missing", 1, Some(CloseReason::Acknowledged))];
        assert_eq!(
            found("fix licensing", &taken).unwrap(),
            ["license-key-missing"],
            "a person has it, uncured"
        );
    }
}
