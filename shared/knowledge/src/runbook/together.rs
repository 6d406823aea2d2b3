//! Several answers for one instance become one: kernel first, then the CPF, then one restart.

use super::change::Change;
use super::plan::{Step, Work};
use crate::value::canonical_decimal;

/// Why two answers cannot be given at once. One comes first then, and the other is judged again on fresh facts.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Clash {
    /// Both set the same thing, and not to the same.
    #[error("{first} and {second} want different values of {target}")]
    SameTarget {
        /// A runbook.
        first: &'static str,
        /// The other one.
        second: &'static str,
        /// What both change.
        target: String,
    },
    /// One only looks; what it finds is for a person.
    #[error("{0} only looks, and is no part of a cure")]
    OnlyLooks(&'static str),
    /// There is nothing to put together.
    #[error("no work was given")]
    Nothing,
}

/// One work that does all of these, which belong to one instance; the first gives action and error type.
///
/// A kernel value that several want is set to the greatest: it is a size that all of them must find. What changes the
/// kernel comes first, because a start looks at it; then the CPF; then one restart for all.
///
/// # Errors
/// Where two of them contradict each other, or one only looks.
pub fn together(works: Vec<Work>) -> Result<Work, Clash> {
    let mut works = works.into_iter();
    let mut sum = works.next().ok_or(Clash::Nothing)?;
    for next in works {
        add(&mut sum, next)?;
    }
    Ok(sum)
}

fn add(sum: &mut Work, next: Work) -> Result<(), Clash> {
    if let Some(looks) = [&*sum, &next].into_iter().find(|work| !work.cures) {
        return Err(Clash::OnlyLooks(looks.runbooks[0]));
    }
    let mut changes: Vec<Step> = sum.steps.clone();
    for step in next.steps {
        let target = step.change.target();
        let Some(same) = changes.iter_mut().find(|known| known.change.target() == target) else {
            let taken = |id: &str| changes.iter().any(|known| known.id == id);
            let id = if taken(&step.id) { format!("{}-{}", step.id, changes.len() + 1) } else { step.id };
            changes.push(Step { id, change: step.change, depends_on: Vec::new() });
            continue;
        };
        let clash =
            || Clash::SameTarget { first: sum.runbooks[0], second: next.runbooks[0], target: target.label() };
        same.change = both(&same.change, &step.change).ok_or_else(clash)?;
    }
    sum.steps = in_order(changes);
    sum.priority = sum.priority.min(next.priority);
    extend(&mut sum.runbooks, next.runbooks);
    extend(&mut sum.conditions, next.conditions);
    extend(&mut sum.success_signs, next.success_signs);
    extend(&mut sum.may_cause, next.may_cause);
    sum.action = action(&sum.action, &next.action);
    Ok(())
}

/// One change in the place of two of the same target.
fn both(one: &Change, other: &Change) -> Option<Change> {
    if one == other {
        return Some(one.clone());
    }
    let (Change::SetKernel { name, new_value: a }, Change::SetKernel { new_value: b, .. }) = (one, other)
    else {
        return None;
    };
    let greatest = canonical_decimal(a)?.max(canonical_decimal(b)?).to_string();
    Some(Change::SetKernel { name: name.clone(), new_value: greatest })
}

/// Kernel, CPF, restart; each waits for all of the kind before it.
fn in_order(mut steps: Vec<Step>) -> Vec<Step> {
    let rank = |step: &Step| match step.change {
        Change::SetKernel { .. } => 0,
        Change::SetCpf { .. } | Change::CheckLicense { .. } => 1,
        Change::Restart => 2,
    };
    steps.sort_by_key(rank);
    let ranked: Vec<(u8, String)> = steps.iter().map(|step| (rank(step), step.id.clone())).collect();
    for step in &mut steps {
        let own = rank(step);
        step.depends_on =
            ranked.iter().filter(|(before, _)| *before < own).map(|(_, id)| id.clone()).collect();
    }
    steps
}

fn extend(all: &mut Vec<&'static str>, more: Vec<&'static str>) {
    for text in more {
        if !all.contains(&text) {
            all.push(text);
        }
    }
}

/// Both in words, as far as 200 characters go.
fn action(first: &str, second: &str) -> String {
    let both = format!("{first}; and {second}");
    if both.chars().count() <= 200 { both } else { first.to_owned() }
}
