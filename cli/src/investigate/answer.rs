//! The answer, from rules alone: what bears on the question, in plain words, each with its evidence. A pure function.

use std::collections::{BTreeMap, BTreeSet};

use instance_contract::{ConditionId, Decision, InstanceName, OverallStatus, Severity};
use instance_knowledge::{Condition, condition};
use uuid::Uuid;

use super::{
    index::{Index, relation, words},
    material::{Done, Material, Seen},
    question::Asked,
};
use crate::{inbox, incident::case::Case, output::when};

/// What is told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// Does anything that is known bear on the question?
    pub found: bool,
    pub statements: Vec<Statement>,
}

/// One sentence or two, and what they rest on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Statement {
    pub text: String,
    pub evidence: Vec<Proof>,
    /// Does it quote a log? Such a statement is shown to no model.
    pub quotes: bool,
}

/// Something that can be looked up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Proof {
    /// `message`, `incident` or `remediation`.
    pub kind: &'static str,
    pub id: Uuid,
}

/// More causes than these are no answer.
const MOST_CAUSES: usize = 3;
/// Of one cause, so many incidents are told.
const MOST_CASES: usize = 2;
/// What has less to do with the question is left out.
const LEAST: f64 = 0.25;

/// What was the matter with an instance, as entries and incidents tell it.
struct Topic<'a> {
    instance: &'a InstanceName,
    condition: Option<&'static Condition>,
    seen: Vec<&'a Seen>,
    cases: Vec<&'a Case>,
}

/// Answers a question.
pub fn answer(asked: &Asked, index: &Index, material: &Material) -> Answer {
    let about = words(&asked.words);
    let nearness: BTreeMap<&str, f64> =
        index.search(&asked.words).into_iter().map(|hit| (hit.condition.id.as_str(), hit.score)).collect();
    let topics = topics(material);
    let mut ranked: Vec<(f64, &Topic<'_>)> =
        topics.iter().map(|topic| (topic.bears_on(&about, &nearness), topic)).collect();
    ranked.retain(|(score, _)| *score >= LEAST);
    ranked.sort_by(|(a, left), (b, right)| b.total_cmp(a).then_with(|| right.newest().cmp(&left.newest())));
    let mut done: Vec<&Done> =
        material.done.iter().filter(|done| relation(&about, &acts(done)) >= LEAST).collect();
    done.sort_by_key(|done| done.began);
    let mut statements = Vec::new();
    for (_, topic) in ranked.iter().take(MOST_CAUSES) {
        topic.tell(&mut statements);
    }
    statements.extend(done.iter().rev().take(MOST_CAUSES).map(|done| done_told(done)));
    let found = !statements.is_empty();
    if !found {
        statements.push(nothing(asked));
        let mut others: Vec<&Topic<'_>> =
            topics.iter().filter(|topic| topic.worst() >= Severity::Warning).collect();
        others.sort_by_key(|topic| (std::cmp::Reverse(topic.worst()), std::cmp::Reverse(topic.newest())));
        let shown = others.iter().take(MOST_CAUSES);
        statements.extend(shown.map(|topic| Statement {
            text: format!("What was seen instead: {}", topic.headline()),
            ..topic.statement()
        }));
    }
    Answer { found, statements }
}

fn nothing(asked: &Asked) -> Statement {
    let of = match asked.instances.as_slice() {
        [] => String::new(),
        named => {
            format!(" about {}", named.iter().map(ToString::to_string).collect::<Vec<_>>().join(" and "))
        }
    };
    let from = asked.window.from.map(|from| format!(" between {} and {}", when(from), when(asked.window.to)));
    let from = from.unwrap_or_default();
    Statement {
        text: format!("Nothing that is known{of}{from} bears on that."),
        evidence: Vec::new(),
        quotes: false,
    }
}

fn topics(material: &Material) -> Vec<Topic<'_>> {
    let mut topics: Vec<Topic<'_>> = Vec::new();
    for seen in &material.seen {
        let known = seen.condition.as_ref().and_then(row);
        let at = place(&mut topics, &seen.instance, known);
        at.seen.push(seen);
    }
    for case in &material.cases {
        let Some(instance) = case.instance() else { continue };
        place(&mut topics, instance, case.condition().and_then(row)).cases.push(case);
    }
    topics
}

fn row(id: &ConditionId) -> Option<&'static Condition> {
    condition(id.as_str())
}

/// The topic of that condition; entries that nobody knows are each a topic of their own.
fn place<'a, 'b>(
    topics: &'b mut Vec<Topic<'a>>,
    instance: &'a InstanceName,
    condition: Option<&'static Condition>,
) -> &'b mut Topic<'a> {
    let same = |topic: &Topic<'_>| {
        let id = |row: Option<&'static Condition>| row.map(|row| row.id.as_str());
        condition.is_some() && id(topic.condition) == id(condition) && topic.instance == instance
    };
    let at = topics.iter().position(same).unwrap_or_else(|| {
        topics.push(Topic { instance, condition, seen: Vec::new(), cases: Vec::new() });
        topics.len() - 1
    });
    &mut topics[at]
}

impl Topic<'_> {
    /// 0 to 1. A question without a word about trouble asks for all of it, the worst first.
    fn bears_on(&self, about: &BTreeSet<String>, nearness: &BTreeMap<&str, f64>) -> f64 {
        if about.is_empty() {
            return f64::from(self.worst().as_u8()) / 3.0;
        }
        let text = |seen: &&Seen| relation(about, &seen.excerpt);
        match self.condition {
            Some(row) => nearness.get(row.id.as_str()).copied().unwrap_or(0.0),
            None => self.seen.iter().map(text).fold(0.0, f64::max),
        }
    }

    fn worst(&self) -> Severity {
        let seen = self.seen.iter().map(|seen| seen.worst);
        seen.chain(self.cases.iter().filter_map(|case| case.severity())).max().unwrap_or(Severity::Info)
    }

    fn newest(&self) -> Option<jiff::Timestamp> {
        self.seen.iter().map(|seen| seen.last).chain(self.cases.iter().map(|case| case.began_at)).max()
    }

    fn name(&self) -> String {
        match (self.condition, self.seen.first()) {
            (Some(row), _) => row.id.clone(),
            (None, Some(seen)) => format!("\"{}\"", seen.excerpt),
            (None, None) => "trouble that the catalogue does not know".to_owned(),
        }
    }

    /// What happened, and when.
    fn headline(&self) -> String {
        let (instance, name, worst) = (self.instance, self.name(), self.worst().as_str());
        let count: u64 = self.seen.iter().map(|seen| seen.count).sum();
        let first = self.seen.iter().map(|seen| seen.first).min();
        let last = self.seen.iter().map(|seen| seen.last).max();
        match (count, first, last, self.cases.first()) {
            (1, Some(at), ..) => format!("{instance} logged {name} at {} ({worst}).", when(at)),
            (count, Some(first), Some(last), _) => format!(
                "{instance} logged {name} {count} times from {} to {} (at worst {worst}).",
                when(first),
                when(last)
            ),
            (.., Some(case)) => {
                format!("An incident of {name} began on {instance} at {} ({worst}).", when(case.began_at))
            }
            _ => format!("{instance} had {name}."),
        }
    }

    fn statement(&self) -> Statement {
        let mut text = self.headline();
        if let Some(row) = self.condition {
            text = format!("{text} {}", row.cause);
        }
        let messages = self
            .seen
            .iter()
            .flat_map(|seen| &seen.ids)
            .map(|id| Proof { kind: "message", id: *id.as_uuid() });
        let told =
            self.cases.iter().flat_map(|case| case.findings.values()).flat_map(|finding| &finding.evidence);
        let told = told.map(|entry| Proof { kind: "message", id: *entry.message_id.as_uuid() });
        let mut evidence: Vec<Proof> = Vec::new();
        for proof in messages.chain(told) {
            if !evidence.contains(&proof) && evidence.len() < 5 {
                evidence.push(proof);
            }
        }
        Statement { text, evidence, quotes: self.condition.is_none() }
    }

    /// What happened, what was made of it, and what is left to do.
    fn tell(&self, statements: &mut Vec<Statement>) {
        statements.push(self.statement());
        let newest = &self.cases[self.cases.len().saturating_sub(MOST_CASES)..];
        statements.extend(newest.iter().filter_map(|case| case_told(case)));
        let cured = newest.last().is_some_and(|case| is_cured(case));
        if let Some(next) = newest.last().filter(|_| !cured).and_then(|case| next_told(case)) {
            return statements.push(next);
        }
        if let Some(row) = self.condition.filter(|row| !cured && !row.remedy.is_empty()) {
            let no_case = if self.cases.is_empty() { "No incident was opened for it. " } else { "" };
            let text = format!("{no_case}What cures it: {}", row.remedy);
            statements.push(Statement { text, evidence: Vec::new(), quotes: false });
        }
    }
}

fn is_cured(case: &Case) -> bool {
    case.outcomes.last().is_some_and(|outcome| outcome.overall_status == OverallStatus::Success)
}

/// What comes next, as the newest finding that names it says. What a person has in hand is theirs.
fn next_told(case: &Case) -> Option<Statement> {
    let (_, finding) = case.newest().filter(|_| case.acknowledged.is_none())?;
    if finding.next_steps.is_empty() {
        return None;
    }
    let steps = (1..).zip(&finding.next_steps).map(|(number, step)| format!("({number}) {step}"));
    let text = format!("What comes next: {}", steps.collect::<Vec<_>>().join(" "));
    let evidence = vec![Proof { kind: "incident", id: *case.id.as_uuid() }];
    Some(Statement { text, evidence, quotes: false })
}

/// What the analyst made of an incident, and what came of that.
fn case_told(case: &Case) -> Option<Statement> {
    let (_, finding) = case.newest()?;
    let decided = match &finding.decision {
        Decision::Remediation { runbook, needs_approval, .. } => {
            let approval = if *needs_approval { ", with the agreement of a person" } else { "" };
            format!("It was to be answered by runbook {runbook}{approval}.")
        }
        Decision::Person { why, what_to_do } => format!("A person was called, for {why}. {what_to_do}"),
        Decision::Nothing { why } => format!("Nothing had to be done: {why}."),
        Decision::Wait { why } => format!("Nothing was done yet: {why}."),
    };
    let title = if finding.title.is_empty() { String::new() } else { format!("{}. ", finding.title) };
    let mut text = format!("{title}{decided}");
    for outcome in &case.outcomes {
        let reason = outcome.reason.as_ref().map(|reason| format!(" ({reason})")).unwrap_or_default();
        let (status, at) = (outcome.overall_status.as_str(), when(outcome.ended_at));
        text = format!("{text} Runbook {} ended {status} at {at}{reason}.", outcome.runbook);
    }
    match &case.acknowledged {
        Some(taken) => text = format!("{text} It is in hand: {}.", inbox::told(taken)),
        None if case.waits() => text = format!("{text} Nobody has acknowledged it yet."),
        None => {}
    }
    let remediations = case
        .outcomes
        .iter()
        .map(|outcome| Proof { kind: "remediation", id: *outcome.remediation_id.as_uuid() });
    let evidence =
        std::iter::once(Proof { kind: "incident", id: *case.id.as_uuid() }).chain(remediations).collect();
    Some(Statement { text, evidence, quotes: false })
}

/// The words by which a remediation is asked for.
fn acts(done: &Done) -> String {
    let restart = if done.restarts { " restart stop" } else { "" };
    format!("{}{restart}", done.action)
}

fn done_told(done: &Done) -> Statement {
    let end = match done.ended {
        Some((at, status)) => format!("ended {} at {}", status.as_str(), when(at)),
        None => "has not ended".to_owned(),
    };
    let restart = if done.restarts { ", which restarts the instance" } else { "" };
    let Done { instance, action, asked_by, .. } = done;
    let text = format!(
        "On {instance} a remediation began at {}, asked for by {asked_by}{restart}: {action}. It {end}.",
        when(done.began)
    );
    Statement { text, evidence: vec![Proof { kind: "remediation", id: *done.id.as_uuid() }], quotes: false }
}

#[cfg(test)]
mod tests;
