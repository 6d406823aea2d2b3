//! `GET /v1/assert`: is a chaos run what it should be? 200 or 409, for tools that look at the status only. The words are
//! those of `instance chaos assert`.

use std::{io, sync::Arc};

use axum::{
    Json,
    extract::{Query, State, rejection::QueryRejection},
    http::StatusCode,
};
use instance_contract::Faults;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{Gateway, problem::Problem};

/// What `instance chaos run` writes at its end.
const REPORT: &str = "report.json";
const VERDICTS: [&str; 5] = ["verified", "missed", "wrong", "invalid", "error"];

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Wanted {
    /// The run.
    label: String,
    /// What each scenario must have come to.
    verdict: String,
    /// Of one scenario only.
    scenario: Option<String>,
    /// None may have come to it.
    #[serde(default)]
    none: bool,
}

/// It is as it should be.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub(crate) struct Asserted {
    pub(crate) label: String,
    pub(crate) verdict: String,
    /// How many scenarios were looked at; at least one.
    pub(crate) scenarios: usize,
}

#[derive(Deserialize)]
struct Report {
    scenarios: Vec<Scenario>,
}

#[derive(Deserialize)]
struct Scenario {
    name: String,
    verdict: String,
}

pub(crate) async fn verdict(
    State(gateway): State<Arc<Gateway>>,
    wanted: Result<Query<Wanted>, QueryRejection>,
) -> Result<Json<Asserted>, Problem> {
    let bad = |field: &str, rule: String| {
        Problem::faulty("the question breaks rules", Faults::one(field, "", rule))
    };
    let Query(wanted) = wanted.map_err(|rejection| bad("query", rejection.body_text()))?;
    if !is_label(&wanted.label) {
        return Err(bad("label", "must be 1 to 64 letters, digits, underscores and hyphens".to_owned()));
    }
    if !VERDICTS.contains(&wanted.verdict.as_str()) {
        return Err(bad("verdict", format!("must be one of {}", VERDICTS.join(", "))));
    }
    let Some(folder) = &gateway.config.chaos_dir else {
        let title = "the setting \"chaos_dir\" names no folder of chaos runs";
        return Err(Problem::new(StatusCode::CONFLICT, title));
    };
    let path = folder.join(&wanted.label).join(REPORT);
    let bytes = tokio::fs::read(&path).await.map_err(|error| {
        if error.kind() == io::ErrorKind::NotFound {
            let title = format!("there is no finished run with the label \"{}\"", wanted.label);
            return Problem::new(StatusCode::CONFLICT, title);
        }
        tracing::error!(%error, path = %path.display(), "could not read the report of a chaos run");
        Problem::new(
            StatusCode::INTERNAL_SERVER_ERROR,
            "could not read the report; the log of the gateway says why",
        )
    })?;
    let report: Report = serde_json::from_slice(&bytes).map_err(|error| {
        tracing::error!(%error, path = %path.display(), "could not read the report of a chaos run");
        Problem::new(
            StatusCode::INTERNAL_SERVER_ERROR,
            "the report cannot be read; the log of the gateway says why",
        )
    })?;
    judge(&report, &wanted)
}

fn judge(report: &Report, wanted: &Wanted) -> Result<Json<Asserted>, Problem> {
    let named = |scenario: &&Scenario| wanted.scenario.as_ref().is_none_or(|name| *name == scenario.name);
    let looked_at: Vec<&Scenario> = report.scenarios.iter().filter(named).collect();
    let other: Vec<String> = looked_at
        .iter()
        .filter(|scenario| (scenario.verdict == wanted.verdict) == wanted.none)
        .map(|scenario| format!("{}: {}", scenario.name, scenario.verdict))
        .collect();
    let title = match (looked_at.len(), other.len()) {
        (0, _) => format!("the run \"{}\" has no such scenario", wanted.label),
        (_, 0) => {
            let Wanted { label, verdict, .. } = wanted;
            let scenarios = looked_at.len();
            return Ok(Json(Asserted { label: label.clone(), verdict: verdict.clone(), scenarios }));
        }
        _ => format!("not as it should be: {}", other.join(", ")),
    };
    Err(Problem::new(StatusCode::CONFLICT, title))
}

/// Part of a path, so it is kept plain.
fn is_label(text: &str) -> bool {
    let legal = |byte: u8| byte.is_ascii_alphanumeric() || b"_-".contains(&byte);
    (1..=64).contains(&text.len()) && text.bytes().all(legal)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asserted(verdicts: &[&str], verdict: &str, scenario: Option<&str>, none: bool) -> bool {
        let scenario_of = |(index, verdict): (usize, &&str)| Scenario {
            name: format!("s{index}"),
            verdict: (*verdict).to_owned(),
        };
        let report = Report { scenarios: verdicts.iter().enumerate().map(scenario_of).collect() };
        let wanted = Wanted {
            label: "nightly".to_owned(),
            verdict: verdict.to_owned(),
            scenario: scenario.map(str::to_owned),
            none,
        };
        judge(&report, &wanted).is_ok()
    }

    #[test]
    fn a_run_is_what_all_of_it_came_to() {
        assert!(asserted(&["verified", "verified"], "verified", None, false));
        assert!(!asserted(&["verified", "missed"], "verified", None, false));
        assert!(asserted(&["verified", "missed"], "missed", Some("s1"), false));
        assert!(!asserted(&["verified"], "verified", Some("s9"), false), "no such scenario");
        assert!(asserted(&["verified", "missed"], "wrong", None, true));
        assert!(!asserted(&["verified", "wrong"], "wrong", None, true));
        assert!(!asserted(&[], "verified", None, false), "a run of nothing shows nothing");
        assert!(is_label("nightly_1-a") && !is_label("..") && !is_label("a/b") && !is_label(""));
    }
}
