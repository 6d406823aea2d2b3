//! Words and numbers that can be read and that no run could do anything with: told before one is begun.

use instance_knowledge::runbook::{Runbook, Target as Changed, runbooks_for};
use instance_knowledge::{SectionKind, parameter, section};

use crate::scenario::{Limits, Symptom};
use crate::step::Step;
use crate::target::Target;
use crate::truth::Remedy;

/// First words of what `iris qlist` says of a state.
const STATES: [&str; 5] = ["running", "down", "starting", "stopping", "sign-on"];
/// What it says of a health.
const HEALTHS: [&str; 4] = ["ok", "warn", "alert", "hung"];
/// Processes of an instance, one of each.
const PROCESSES: [&str; 6] = ["CONTROL", "WRTDMN", "AUXWD", "GARCOL", "JRNDMN", "EXPDMN"];

/// A symptom that could never show.
pub(super) fn symptom(symptom: &Symptom) -> Vec<String> {
    let mut rules = Vec::new();
    if *symptom == Symptom::default() {
        rules.push("names nothing that could be seen".to_owned());
    }
    rules.extend(unknown("state", symptom.state.as_deref(), &STATES));
    rules.extend(unknown("health", symptom.health.as_deref(), &HEALTHS));
    let texts = [("log", &symptom.log), ("earlier", &symptom.earlier), ("grows", &symptom.grows)];
    let empty = texts.into_iter().filter(|(_, text)| text.as_deref().is_some_and(str::is_empty));
    rules.extend(empty.map(|(name, _)| format!("{name} is empty, and every log holds the empty text")));
    rules
}

/// A step that no instance could take.
pub(super) fn step(step: &Step) -> Option<String> {
    match step {
        Step::Kill { process } | Step::Pause { process } | Step::Resume { process } => {
            unknown("process", Some(process), &PROCESSES)
        }
        Step::Cpf { section: name, parameter: key, .. } => {
            let Some(known) = section(name) else { return Some(format!("no CPF section [{name}] is known")) };
            (known.kind == SectionKind::Fixed && parameter(name, key).is_none()).then(|| {
                format!("no parameter \"{key}\" of [{name}] is known; to put one there all the same, edit the file")
            })
        }
        _ => None,
    }
}

/// Limits within which nothing could happen.
pub(super) fn limits(limits: &Limits) -> Vec<String> {
    let all = [("show", limits.show), ("detect", limits.detect), ("repair", limits.repair)];
    let none = all.into_iter().filter(|(_, seconds)| *seconds == 0);
    none.map(|(name, _)| format!("{name} must be at least 1 second, not 0")).collect()
}

/// Why a remedy would cure nothing: there are runbooks that cure the condition, and none changes any of that.
pub(super) fn why_no_cure(remedy: &Remedy, condition: &str) -> Option<String> {
    let cures: Vec<&Runbook> = runbooks_for(condition).into_iter().filter(|runbook| runbook.cures).collect();
    let changes = |runbook: &&Runbook| {
        runbook.step.iter().any(|row| remedy.changes.iter().any(|target| is_same(target, &row.target)))
    };
    if remedy.changes.is_empty() || cures.is_empty() || cures.iter().any(changes) {
        return None;
    }
    let told: Vec<String> = remedy.changes.iter().map(ToString::to_string).collect();
    let names: Vec<&str> = cures.iter().map(|runbook| runbook.id.as_str()).collect();
    Some(format!("{} cures no {condition}: the runbook is {}", told.join(" with "), names.join(" or ")))
}

fn is_same(target: &Target, changed: &Changed) -> bool {
    match (target, changed) {
        (Target::Cpf { section, parameter }, Changed::Cpf { section: in_section, parameter: of_runbook }) => {
            section == in_section && parameter == of_runbook
        }
        (Target::Kernel(name), Changed::Kernel { name: of_runbook }) => name == of_runbook,
        _ => false,
    }
}

fn unknown(what: &str, text: Option<&str>, known: &[&str]) -> Option<String> {
    let text = text.filter(|text| !known.contains(text))?;
    Some(format!("{what} \"{text}\" is none of {}", known.join(", ")))
}
