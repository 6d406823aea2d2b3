//! The values that were seen, in the place of those that a scenario was written with.

use std::fmt::Write as _;

use instance_knowledge::condition;

use super::{Changed, Happened, Trouble, category};
use crate::{
    scenario::{Limits, Scenario, Symptom, World},
    seed::Amount,
    step::Step,
    target::Target,
    truth::Answer,
};

pub(super) const HUGE_PAGES: &str = "vm.nr_hugepages";
const VERSIONS: [&str; 2] = ["2024.2", "2025.2"];

/// A built-in scenario with the world and the values that were seen.
pub(super) fn as_seen(manner: &Scenario, happened: &Happened) -> Scenario {
    let mut scenario = manner.clone();
    scenario.limits = limits(manner.limits, happened);
    if VERSIONS.contains(&happened.version.as_str()) {
        scenario.world.version.clone_from(&happened.version);
    }
    if has_numbers_of_its_own(manner) {
        return scenario;
    }
    furnish(&mut scenario, happened);
    for step in &mut scenario.fault {
        match step {
            Step::Kernel { name, value } => {
                let seen = happened.seen(&Target::Kernel(name.clone()));
                if let Some(seen) = seen.and_then(|text| text.parse().ok()) {
                    *value = Amount::Exactly(seen);
                }
            }
            Step::Cpf { section, parameter, value } => {
                let target = Target::Cpf { section: section.clone(), parameter: parameter.clone() };
                // A path is one of another world.
                if let Some(seen) = happened.seen(&target).filter(|seen| !seen.contains('/')) {
                    seen.clone_into(value);
                }
            }
            _ => {}
        }
    }
    if let Some(script) = by_hand(&happened.changed, &manner.by_hand) {
        scenario.by_hand = script;
    }
    scenario
}

/// Its steps look for numbers in files: another world would not hold them.
fn has_numbers_of_its_own(manner: &Scenario) -> bool {
    manner.setup.iter().chain(&manner.fault).any(|step| match step {
        Step::Edit { file, find, .. } => file.starts_with("{host}/") || find.contains("globals"),
        Step::Write { file, .. } => file.starts_with("{host}/"),
        _ => false,
    })
}

fn furnish(scenario: &mut Scenario, happened: &Happened) {
    let World { globals_mb, memory_mb, huge_pages, .. } = &mut scenario.world;
    if let Some(seen) = happened.memory_mb {
        *memory_mb = Amount::Exactly(seen);
    }
    let pool = Target::Kernel(HUGE_PAGES.to_owned());
    let sets_it = |step: &Step| step.value().is_some_and(|(target, _)| target == pool);
    // Where lowering it is the fault, the world begins with what cured.
    let at_first =
        if scenario.fault.iter().any(sets_it) { happened.cured(&pool) } else { happened.seen(&pool) };
    if let Some(pages) = at_first.and_then(|text| text.parse().ok()) {
        *huge_pages = Amount::Exactly(pages);
    }
    let (Amount::Exactly(known), Some(seen)) = (*globals_mb, happened.globals_mb()) else { return };
    if known == 0 || seen == 0 || known == seen {
        return;
    }
    *globals_mb = Amount::Exactly(seen);
    // As much beyond the cache as there.
    for step in &mut scenario.fault {
        if let Step::Load { dirty_mb: Some(dirty), .. } = step {
            *dirty = dirty.in_proportion(seen, known);
        }
    }
}

/// The fault is that the values are as they were; nothing else is known.
pub(super) fn put_back(troubles: &[&Trouble], happened: &Happened) -> Option<Scenario> {
    let mut acted = troubles.iter().filter(|trouble| trouble.answer != Answer::Nothing);
    let (Some(trouble), None) = (acted.next(), acted.next()) else { return None };
    let row = condition(&trouble.condition)?;
    let mut values = happened.changed.iter().filter_map(step_back).peekable();
    if trouble.answer != Answer::Remedy || values.peek().is_none() {
        return None;
    }
    let mut fault = vec![Step::Stop {}];
    fault.extend(values);
    fault.push(Step::Start { cpf: None, merge: None });
    let mut world = World::default();
    if VERSIONS.contains(&happened.version.as_str()) {
        world.version.clone_from(&happened.version);
    }
    let mut scenario = Scenario {
        name: String::new(),
        title: String::new(),
        category: category(row.class.as_str()),
        flapping: false,
        added_after_rules: false,
        model: None,
        world,
        setup: Vec::new(),
        fault,
        symptom: vec![Symptom { log: Some(constant_part(&trouble.entry)?), ..Symptom::default() }],
        truth: Vec::new(),
        by_hand: by_hand(&happened.changed, "iris restart")?,
        limits: limits(Limits::default(), happened),
    };
    furnish(&mut scenario, happened);
    Some(scenario)
}

fn step_back(changed: &Changed) -> Option<Step> {
    let before = changed.before.clone();
    match &changed.target {
        // A path is one of another world.
        Target::Cpf { section, parameter } if !before.contains('/') => {
            Some(Step::Cpf { section: section.clone(), parameter: parameter.clone(), value: before })
        }
        Target::Kernel(name) => {
            Some(Step::Kernel { name: name.clone(), value: Amount::Exactly(before.parse().ok()?) })
        }
        _ => None,
    }
}

/// The longest part of an entry without a number or a path, as the next run would write it again.
fn constant_part(entry: &str) -> Option<String> {
    let line = entry.lines().next()?;
    let parts = line.split(|letter: char| letter.is_ascii_digit() || "/'\"".contains(letter));
    parts.map(str::trim).max_by_key(|part| part.len()).filter(|part| part.len() >= 8).map(str::to_owned)
}

/// The values that cured, put there with plain tools; `None` when there is none, or one is a path of another world.
fn by_hand(changed: &[Changed], known: &str) -> Option<String> {
    if changed.is_empty() {
        return None;
    }
    let mut script = String::new();
    for Changed { target, after, .. } in changed {
        let is_plain = |letter: char| letter.is_ascii_alphanumeric() || ",._- ".contains(letter);
        if !after.chars().all(is_plain) {
            return None;
        }
        let _ = match target {
            Target::Cpf { parameter, .. } => {
                writeln!(script, "sed -i 's/^{parameter}=.*/{parameter}={after}/' \"$DIR/iris.cpf\"")
            }
            Target::Kernel(name) => {
                writeln!(script, "echo {after} > \"$HOST/sys/{}\"", name.replace('.', "/"))
            }
            Target::File(_) | Target::Instance => return None,
        };
    }
    let start = if known.contains("iris restart") { "restart" } else { "start" };
    let _ = writeln!(script, "iris {start} \"$NAME\" quietly");
    Some(script)
}

/// At least twice as long as it took.
fn limits(known: Limits, happened: &Happened) -> Limits {
    let took = happened.repaired_in.unwrap_or_default().saturating_mul(2);
    Limits { repair: known.repair.max(took.min(3600)), ..known }
}

#[cfg(test)]
mod tests {
    use super::super::one_line;
    use super::*;

    #[test]
    fn the_constant_part_of_an_entry_has_no_number_and_no_path() {
        let part =
            constant_part("Failed to allocate 321MB shared memory using Huge Pages.  Startup will retry");
        assert_eq!(part.unwrap(), "MB shared memory using Huge Pages.  Startup will retry");
        assert_eq!(constant_part("12/a/b 3 4 '5'"), None);
        assert_eq!(one_line("a\n  b"), "a b");
    }

    #[test]
    fn a_script_is_made_of_plain_values_alone() {
        let changed = |after: &str| Changed {
            target: "cpf [config] globals".parse().unwrap(),
            before: "0,0,256,0,0,0".to_owned(),
            after: after.to_owned(),
        };
        let script = by_hand(&[changed("0,0,512,0,0,0")], "iris restart").unwrap();
        assert!(
            script
                .starts_with("sed -i 's/^globals=.*/globals=0,0,512,0,0,0/' \"$DIR/iris.cpf\"\niris restart")
        );
        assert_eq!(by_hand(&[changed("/';rm -r x;'")], "iris restart"), None);
        assert_eq!(by_hand(&[], "iris restart"), None);
    }
}
