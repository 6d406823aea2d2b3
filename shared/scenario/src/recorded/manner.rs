//! Which built-in scenario breaks things in the manner that was seen.

use super::{Happened, Trouble};
use crate::{
    builtin::built_in,
    scenario::{Scenario, Symptom},
    seed::Amount,
    step::Step,
    target::Target,
    truth::{Answer, Remedy, Truth},
};

/// A built-in scenario every truth of which was found and answered so; of several, the one that is most like what was seen.
pub(super) fn of(troubles: &[&Trouble], happened: &Happened) -> Option<&'static Scenario> {
    let fits = |scenario: &&Scenario| {
        let is_found = |truth: &Truth| troubles.iter().any(|trouble| answers(scenario, truth, trouble));
        let targets = || troubles.iter().flat_map(|trouble| &trouble.remedy).flat_map(|done| &done.changes);
        // What could be left alone is nobody's trouble beside one that could not.
        let left_alone = |answer: Answer| answer == Answer::Nothing;
        let is_trouble = scenario.truth.iter().any(|truth| !left_alone(truth.answer))
            || troubles.iter().all(|trouble| left_alone(trouble.answer));
        is_trouble && scenario.truth.iter().all(is_found) && targets().all(|target| allows(scenario, target))
    };
    // The first of those that are alike: the order is that of their names.
    built_in().iter().filter(fits).rev().max_by_key(|scenario| likeness(scenario, troubles, happened))
}

/// One remediation may have answered several truths.
fn answers(scenario: &Scenario, truth: &Truth, trouble: &Trouble) -> bool {
    trouble.is_about(&truth.condition)
        && truth.answer == trouble.answer
        && match &trouble.remedy {
            Some(done) if truth.answer == Answer::Remedy => {
                truth.remedies.iter().any(|remedy| remedy.restart == done.restart || scenario.truth.len() > 1)
            }
            _ => true,
        }
}

fn allows(scenario: &Scenario, target: &Target) -> bool {
    scenario.truth.iter().flat_map(|truth| &truth.remedies).any(|remedy| remedy.allows(target))
}

/// In this order: how many of the troubles it has, how much of its symptoms was told, how many of the incidents it names
/// by their first row, how much of its world is like this one, how many of its steps were told of.
fn likeness(
    scenario: &Scenario,
    troubles: &[&Trouble],
    happened: &Happened,
) -> (usize, usize, usize, usize, usize) {
    let was_told = |text: &str| happened.entries.iter().any(|entry| entry.contains(text));
    let texts = |symptom: &Symptom| [symptom.log.clone(), symptom.grows.clone(), symptom.earlier.clone()];
    let told = scenario.symptom.iter().flat_map(texts).flatten().filter(|text| was_told(text));
    let is_whole = |condition: &&str| troubles.iter().any(|trouble| trouble.condition == **condition);
    let pool = Target::Kernel(super::values::HUGE_PAGES.to_owned());
    let pages = happened.seen(&pool).and_then(|text| text.parse::<u32>().ok());
    let alike = [
        pages.is_some_and(|pages| {
            matches!(scenario.world.huge_pages, Amount::Exactly(known) if (known == 0) == (pages == 0))
        }),
        happened.globals_mb().is_some_and(|seen| scenario.world.globals_mb == Amount::Exactly(seen)),
        happened.memory_mb.is_some_and(|seen| scenario.world.memory_mb == Amount::Exactly(seen)),
    ];
    let is_told_of = |step: &&Step| {
        let has_its_value =
            step.value().is_some_and(|(target, value)| happened.seen(&target) == Some(value.as_str()));
        has_its_value || words(step).iter().any(|word| was_told(word))
    };
    (
        scenario.truth.len(),
        told.map(|text| text.len()).sum(),
        scenario.conditions().filter(is_whole).count(),
        alike.into_iter().filter(|alike| *alike).count(),
        scenario.fault.iter().filter(is_told_of).count(),
    )
}

/// Words with which IRIS would tell of a step.
fn words(step: &Step) -> Vec<String> {
    match step {
        Step::Kill { process } => vec![format!("{process} (pid ")],
        Step::Cpf { parameter, .. } => vec![parameter.clone()],
        Step::Remove { file } => file.rsplit('/').next().map(str::to_owned).into_iter().collect(),
        Step::Edit { find, put, .. } => put
            .split(|letter: char| !letter.is_ascii_alphanumeric())
            .filter(|word| word.len() > 5 && !find.contains(word))
            .map(str::to_owned)
            .collect(),
        _ => Vec::new(),
    }
}

/// What was found, in the order of the symptoms.
pub(super) fn truths(troubles: &[&Trouble], manner: Option<&Scenario>, happened: &Happened) -> Vec<Truth> {
    let truth = |trouble: &Trouble, known: Option<&Truth>| Truth {
        condition: known.map_or(&trouble.condition, |known| &known.condition).clone(),
        told_as: known.and_then(|known| known.told_as.clone()),
        cause: format!("found on {}: {}", happened.instance, super::one_line(&trouble.cause)),
        answer: trouble.answer,
        remedies: trouble.remedy.iter().map(|done| share(done, known)).collect(),
        must_not_touch: known.map(|known| known.must_not_touch.clone()).unwrap_or_default(),
    };
    let Some(manner) = manner else {
        return troubles.iter().take(1).map(|trouble| truth(trouble, None)).collect();
    };
    let of = |known: &Truth| {
        let trouble = troubles.iter().find(|trouble| answers(manner, known, trouble))?;
        Some(truth(trouble, Some(known)))
    };
    manner.truth.iter().filter_map(of).collect()
}

/// Of what was done, the part that this truth asks for.
fn share(done: &Remedy, known: Option<&Truth>) -> Remedy {
    let belongs = |target: &&Target| {
        known.is_none_or(|known| known.remedies.iter().any(|remedy| remedy.allows(target)))
    };
    Remedy { changes: done.changes.iter().filter(belongs).cloned().collect(), ..done.clone() }
}
