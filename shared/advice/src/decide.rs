//! The decision: rules where they are sure, a model where they are not and there is one, a person for the rest.

use instance_contract::Severity;
use instance_knowledge::Answer;
use instance_llm::{Account, Asking, Case, Excerpt, Model, Offer, Told, Verdict, choose};
use instance_planner::Policy;

use crate::allowed::{Action, Evidence, allowed, has_runbook};

/// A model that may be asked.
#[derive(Clone, Copy)]
pub struct Advisor<'a> {
    pub model: &'a Model,
    pub account: &'a Account,
    /// A model that is less sure, 0 to 1, has said that a person must look.
    pub least_confidence: f64,
}

/// What is to be done about an incident.
#[derive(Debug, Clone, PartialEq)]
pub enum Decision {
    /// Do this, with these numbers.
    Act { action: Action, numbers: Vec<i64>, source: Source },
    /// A person must look.
    Person { why: String, told: Option<Told> },
    /// Nothing is to be done, or nobody knows. Unknown is a legal answer.
    Nothing,
}

/// Who decided.
#[derive(Debug, Clone, PartialEq)]
pub enum Source {
    Rules,
    Model { confidence: f64, told: Told },
}

/// Decides. A model is asked only where the rules allow several things, or one whose size is open in the face of several
/// conditions; what the rules say stands when it does not answer.
pub async fn decide(evidence: &Evidence<'_>, policy: &Policy, advisor: Option<Advisor<'_>>) -> Decision {
    let offers = allowed(evidence, policy);
    match (offers.as_slice(), advisor) {
        ([], _) => nothing_allowed(evidence),
        ([only], _) if is_alone(evidence) => {
            Decision::Act { action: only.action.clone(), numbers: Vec::new(), source: Source::Rules }
        }
        (offers, Some(advisor)) => ask(evidence, offers, advisor).await,
        (offers, None) => unsure(offers),
    }
}

/// One condition explains the incident.
fn is_alone(evidence: &Evidence<'_>) -> bool {
    evidence.conditions().count() == 1
}

/// What the rules say when nothing may be done.
fn nothing_allowed(evidence: &Evidence<'_>) -> Decision {
    let mut conditions = evidence.conditions();
    let grave = evidence.entries().any(|entry| entry.severity >= Severity::Warning);
    match conditions.find(|condition| condition.answer == Answer::Person || has_runbook(condition)) {
        // What IRIS itself calls information needs nobody.
        Some(condition) if grave => {
            Decision::Person { why: format!("{}: {}", condition.id, condition.remedy), told: None }
        }
        _ => Decision::Nothing,
    }
}

fn unsure(offers: &[Offer<Action>]) -> Decision {
    let runbooks: Vec<&str> = offers.iter().map(|offer| offer.action.runbook()).collect();
    Decision::Person {
        why: format!("several conditions at once, with these runbooks: {}", runbooks.join(", ")),
        told: None,
    }
}

async fn ask(evidence: &Evidence<'_>, offers: &[Offer<Action>], advisor: Advisor<'_>) -> Decision {
    let asking = Asking { account: advisor.account, least_confidence: advisor.least_confidence };
    match choose(advisor.model, offers, &case(evidence), &asking).await {
        Ok(Verdict::Take { action, numbers, confidence, told }) => {
            let source = Source::Model { confidence, told };
            Decision::Act { action: action.clone(), numbers, source }
        }
        Ok(Verdict::Person(told)) => {
            Decision::Person { why: "the model chose none of what is allowed".to_owned(), told }
        }
        // Why is in the model's own log, spans and metrics.
        Err(_) => unsure(offers),
    }
}

/// What a model is told: texts of the catalogue, codes, settings; and entries, should the settings let them out.
fn case(evidence: &Evidence<'_>) -> Case {
    let mut facts = Vec::new();
    for condition in evidence.conditions() {
        facts.push(("condition", Excerpt::of(&condition.id)));
        facts.push(("its cause", Excerpt::of(&condition.cause)));
    }
    for (target, value) in &evidence.present.values {
        facts.push(("setting", Excerpt::of(&format!("{target} = {value}"))));
    }
    if let Some(physical_mb) = evidence.present.memory.physical_mb {
        facts.push(("memory of the host in MB", Excerpt::of(&physical_mb.to_string())));
    }
    Case {
        facts,
        entries: evidence.entries().map(|entry| Excerpt::of(entry.message_text.as_str())).collect(),
    }
}
