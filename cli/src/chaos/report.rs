//! The score of a run: for people, as JSON, as JUnit XML.

use std::{fmt::Write as _, fs, path::Path, time::Duration};

use anyhow::{Context as _, Result};
use instance_scenario::{Mark, ModelPart, RULES_FROZEN_AT, Scenario, Score, Sum, Verdict};
use serde_json::{Value, json};

use super::one::Played;
use crate::{
    exit::Exit,
    output::{print, print_json, table},
    session::Session,
};

/// One scenario of a run, and what came of it.
pub struct Outcome {
    pub scenario: Scenario,
    /// In words why it could not be tried.
    pub played: Result<Played, String>,
}

/// A whole run.
pub struct Report {
    pub label: String,
    pub seed: u64,
    pub wall: Duration,
    pub outcomes: Vec<Outcome>,
}

/// File of a run's report, in its folder.
pub const FILE: &str = "report.json";

impl Outcome {
    pub fn of(scenario: Scenario, played: Result<Played>) -> Self {
        Self { scenario, played: played.map_err(|error| format!("{error:#}")) }
    }

    /// `error` when it could not be tried.
    pub fn verdict(&self) -> &'static str {
        self.played.as_ref().map_or("error", |played| played.score.verdict.as_str())
    }

    fn score(&self) -> Option<&Score> {
        Some(&self.played.as_ref().ok()?.score)
    }

    fn row(&self) -> [String; 9] {
        let name = self.scenario.name.clone();
        let Ok(played) = &self.played else {
            let mut row: [String; 9] = std::array::from_fn(|_| "-".to_owned());
            (row[0], row[8]) = (name, "error".to_owned());
            return row;
        };
        let score = &played.score;
        let [detected, diagnosed, fixed, verified, clean] = score.marks().map(|(_, mark)| mark.to_string());
        let [detect, repair] = [score.time_to_detect, score.time_to_repair].map(seconds);
        let verdict = score.verdict.as_str().to_owned();
        [name, detected, diagnosed, fixed, verified, clean, detect, repair, verdict]
    }

    fn document(&self) -> Value {
        let mut document = json!({
            "name": self.scenario.name, "category": self.scenario.category.to_string(),
            "conditions": self.scenario.conditions().collect::<Vec<_>>(), "verdict": self.verdict(),
            "added_after_rules": self.scenario.added_after_rules, "model": self.scenario.model.map(ModelPart::as_str),
        });
        let more = match &self.played {
            Ok(played) => of_score(&played.score, played),
            Err(why) => json!({ "error": why }),
        };
        if let (Some(document), Value::Object(more)) = (document.as_object_mut(), more) {
            document.extend(more);
        }
        document
    }
}

impl Report {
    /// Something could not be tried: nobody knows how that would have ended.
    pub fn exit(&self) -> Exit {
        let tried =
            |outcome: &Outcome| outcome.played.as_ref().is_ok_and(|it| it.score.verdict != Verdict::Invalid);
        if self.outcomes.iter().all(tried) { Exit::Done } else { Exit::Failure }
    }

    pub fn print(&self, session: &Session) -> Result<()> {
        if session.json() {
            return print_json(&self.document());
        }
        let header = [
            "scenario",
            "detected",
            "diagnosed",
            "fixed",
            "verified",
            "clean",
            "detect s",
            "repair s",
            "verdict",
        ];
        print(table(header, self.outcomes.iter().map(Outcome::row)))?;
        print("")?;
        for outcome in &self.outcomes {
            let remarks = match &outcome.played {
                Ok(played) => played.score.remarks.clone(),
                Err(why) => vec![why.clone()],
            };
            for remark in remarks {
                print(crate::output::printable(&format!("{}: {remark}", outcome.scenario.name)))?;
            }
        }
        print(format!("\n{}", self.conclusion()))
    }

    pub fn write(&self, folder: &Path) -> Result<()> {
        let path = folder.join(FILE);
        let text = serde_json::to_vec_pretty(&self.document())?;
        fs::write(&path, text).with_context(|| format!("could not write \"{}\"", path.display()))
    }

    pub fn write_junit(&self, path: &Path) -> Result<()> {
        fs::write(path, self.junit()).with_context(|| format!("could not write \"{}\"", path.display()))
    }

    fn scores(&self) -> impl Iterator<Item = &Score> {
        self.outcomes.iter().filter_map(Outcome::score)
    }

    /// Those that nobody could fit the rules to.
    fn added_after_rules(&self) -> Option<Sum> {
        let added = self.outcomes.iter().filter(|outcome| outcome.scenario.added_after_rules);
        let sum = Sum::of(added.filter_map(Outcome::score));
        (sum.runs > 0).then_some(sum)
    }

    /// All of them in a few lines.
    fn conclusion(&self) -> String {
        let mut all = self.of_all();
        let needs = |outcome: &&Outcome| outcome.scenario.model == Some(ModelPart::Needed);
        let needing = Sum::of(self.outcomes.iter().filter(needs).filter_map(Outcome::score));
        if needing.runs > 0 {
            let _ = write!(all, "\nof these, {} need a model: {}", needing.runs, marks(&needing));
        }
        let Some(sum) = self.added_after_rules() else { return all };
        let [verified, missed, wrong, invalid] = sum.verdicts;
        format!(
            "{all}\nof these, {} were added after the rules were frozen at {RULES_FROZEN_AT}: {}\n\
             {verified} verified, {missed} missed, {wrong} wrong, {invalid} invalid",
            sum.runs,
            marks(&sum)
        )
    }

    fn of_all(&self) -> String {
        let sum = Sum::of(self.scores());
        let marks = marks(&sum);
        let [verified, missed, wrong, invalid] = sum.verdicts;
        let untried = self.outcomes.len() - sum.runs;
        format!(
            "{} scenarios in {:.1} s: {marks}\n{verified} verified, {missed} missed, {wrong} wrong, {invalid} invalid, \
             {untried} not tried; median time to detect {}, to repair {}",
            self.outcomes.len(),
            self.wall.as_secs_f64(),
            median(self.scores().filter_map(|score| score.time_to_detect).collect()),
            median(self.scores().filter_map(|score| score.time_to_repair).collect()),
        )
    }

    fn document(&self) -> Value {
        let added = |outcome: &&Outcome| outcome.scenario.added_after_rules;
        let apart = self.added_after_rules().map(|sum| {
            let mut document = of_sum(&sum, self.outcomes.iter().filter(added).count());
            document["rules_frozen_at"] = json!(RULES_FROZEN_AT);
            document
        });
        json!({
            "schema": "instance.cli.v1.chaos_report", "label": self.label, "seed": self.seed,
            "wall_ms": milliseconds(self.wall),
            "sum": of_sum(&Sum::of(self.scores()), self.outcomes.len()),
            "sum_added_after_rules": apart,
            "scenarios": self.outcomes.iter().map(Outcome::document).collect::<Vec<_>>(),
        })
    }

    fn junit(&self) -> String {
        let count =
            |wanted: &[&str]| self.outcomes.iter().filter(|it| wanted.contains(&it.verdict())).count();
        let mut text = format!(
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuite name=\"instance chaos\" tests=\"{}\" failures=\"{}\" \
             errors=\"{}\" time=\"{:.3}\">\n",
            self.outcomes.len(),
            count(&["missed", "wrong"]),
            count(&["invalid", "error"]),
            self.wall.as_secs_f64()
        );
        for outcome in &self.outcomes {
            let (verdict, time) =
                (outcome.verdict(), outcome.played.as_ref().map_or(Duration::ZERO, |it| it.wall));
            let remarks = match &outcome.played {
                Ok(played) => played.score.remarks.join("\n"),
                Err(why) => why.clone(),
            };
            // Writing to a string cannot fail.
            let _ = write!(
                text,
                "  <testcase classname=\"chaos.{}\" name=\"{}\" time=\"{:.3}\"",
                outcome.scenario.category,
                escaped(&outcome.scenario.name),
                time.as_secs_f64()
            );
            let element = match verdict {
                "verified" => None,
                "missed" | "wrong" => Some("failure"),
                _ => Some("error"),
            };
            let _ = match element {
                None => writeln!(text, "/>"),
                Some(element) => writeln!(
                    text,
                    "><{element} message=\"{verdict}\">{}</{element}></testcase>",
                    escaped(&remarks)
                ),
            };
        }
        text.push_str("</testsuite>\n");
        text
    }
}

/// Every mark with how many of those that were asked for are there.
fn marks(sum: &Sum) -> String {
    let names = ["detected", "diagnosed", "fixed", "verified", "clean"];
    let marks = names.iter().zip(sum.marks).map(|(name, (asked, done))| format!("{name} {done}/{asked}"));
    marks.collect::<Vec<_>>().join(", ")
}

fn of_sum(sum: &Sum, scenarios: usize) -> Value {
    let [verified, missed, wrong, invalid] = sum.verdicts;
    let marks = |index: usize| json!({ "asked": sum.marks[index].0, "done": sum.marks[index].1 });
    json!({
        "scenarios": scenarios, "verified": verified, "missed": missed, "wrong": wrong, "invalid": invalid,
        "error": scenarios - sum.runs, "detected": marks(0), "diagnosed": marks(1), "fixed": marks(2),
        "held": marks(3), "clean": marks(4),
    })
}

fn of_score(score: &Score, played: &Played) -> Value {
    let mark = |mark: Mark| match mark {
        Mark::Yes => json!(true),
        Mark::No => json!(false),
        Mark::NotAsked => Value::Null,
    };
    let changes = score.collateral.iter().map(|change| {
        json!({ "target": change.target.to_string(), "before": change.before, "after": change.after })
    });
    let (points, of) = score.points();
    json!({
        "detected": mark(score.detected), "diagnosed": mark(score.diagnosed), "fixed": mark(score.fixed),
        "held": mark(score.verified), "clean": mark(score.clean), "points": points, "of": of,
        "collateral": changes.collect::<Vec<_>>(), "remarks": score.remarks,
        "time_to_detect_ms": score.time_to_detect.map(milliseconds),
        "time_to_repair_ms": score.time_to_repair.map(milliseconds),
        "wall_ms": milliseconds(played.wall), "commands": played.commands,
        "seen": played.evidence.detected.keys().collect::<Vec<_>>(),
        "messages": played.published.len(), "left_to_a_person": played.evidence.left_to_a_person,
    })
}

fn seconds(time: Option<Duration>) -> String {
    time.map_or_else(|| "-".to_owned(), |time| format!("{:.1}", time.as_secs_f64()))
}

fn median(mut times: Vec<Duration>) -> String {
    times.sort_unstable();
    let middle = times.get(times.len() / 2).copied();
    middle.map_or_else(|| "-".to_owned(), |time| format!("{:.1} s", time.as_secs_f64()))
}

fn milliseconds(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

/// Text inside XML; what XML 1.0 cannot hold at all becomes a question mark.
fn escaped(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => safe.push_str("&amp;"),
            '<' => safe.push_str("&lt;"),
            '>' => safe.push_str("&gt;"),
            '"' => safe.push_str("&quot;"),
            '\n' | '\t' => safe.push(character),
            other if other.is_control() => safe.push('?'),
            other => safe.push(other),
        }
    }
    safe
}

#[cfg(test)]
mod tests {
    use instance_scenario::template;

    use super::*;

    #[test]
    fn what_could_not_be_tried_is_an_error_and_never_a_success() {
        let scenario = Scenario::read("mine", &template("mine")).unwrap();
        let played = Err("no <disk> & \"such\"".to_owned());
        let report = Report {
            label: "x".to_owned(),
            seed: 1,
            wall: Duration::from_secs(2),
            outcomes: vec![Outcome { scenario, played }],
        };
        assert_eq!(report.exit(), Exit::Failure);
        let junit = report.junit();
        assert!(junit.contains("tests=\"1\" failures=\"0\" errors=\"1\""), "{junit}");
        assert!(
            junit.contains("<error message=\"error\">no &lt;disk&gt; &amp; &quot;such&quot;</error>"),
            "{junit}"
        );
        assert_eq!(report.document()["scenarios"][0]["verdict"], "error");
    }
}
