use std::collections::BTreeSet;

use super::*;
use crate::{
    builtin::{built_in, built_in_named},
    seed::Amount,
    step::Step,
    target::Target,
    truth::{Answer, Remedy},
};

/// As a run of a built-in scenario leaves it, seen from outside.
fn after(scenario: &Scenario) -> Happened {
    let trouble = |(number, truth): (usize, &crate::Truth)| Trouble {
        condition: truth.condition.clone(),
        parts: Vec::new(),
        cause: "As the catalogue\n has it.".to_owned(),
        answer: truth.answer,
        remedy: truth.remedies.first().map(|remedy| Remedy { value: None, ..remedy.clone() }),
        entry: scenario.symptom[number].log.clone().unwrap_or_default(),
    };
    let texts = scenario.symptom.iter().flat_map(|it| [it.log.clone(), it.grows.clone(), it.earlier.clone()]);
    Happened {
        instance: "PROD".to_owned(),
        version: scenario.world.version.clone(),
        troubles: scenario.truth.iter().enumerate().map(trouble).collect(),
        entries: texts.flatten().map(|text| format!("{text} at once")).collect(),
        ..Happened::default()
    }
}

fn change(target: &str, before: &str, after: &str) -> Changed {
    Changed { target: target.parse().unwrap(), before: before.to_owned(), after: after.to_owned() }
}

#[test]
fn what_happened_in_any_scenario_becomes_a_scenario_of_the_same_truth() {
    for original in built_in() {
        let made =
            recorded("mine", &after(original)).unwrap_or_else(|error| panic!("{}: {error}", original.name));
        let wanted: Vec<_> = original.truth.iter().map(|truth| (&truth.condition, truth.answer)).collect();
        let conditions: BTreeSet<_> = made.scenario.conditions().collect();
        assert!(
            made.scenario.truth.iter().all(|truth| wanted.contains(&(&truth.condition, truth.answer))),
            "{}: {conditions:?}",
            original.name
        );
        // What was written is what is read.
        assert_eq!(Scenario::read("mine", &made.text).unwrap(), made.scenario);
        assert!(made.text.contains("REVIEW IT") && made.text.contains("# Seen: "), "{}", made.text);
    }
}

#[test]
fn values_that_were_seen_stand_in_the_place_of_those_of_the_manner() {
    let mut happened = after(built_in_named("huge-pages-too-few").unwrap());
    happened.changed = vec![change("kernel vm.nr_hugepages", "77", "512")];
    happened.kernel = [("vm.nr_hugepages".to_owned(), "77".to_owned())].into();
    (happened.memory_mb, happened.repaired_in) = (Some(32_000), Some(200));
    let made = recorded("mine", &happened).unwrap();
    assert_eq!(made.in_the_manner_of, Some("huge-pages-too-few"));
    let scenario = &made.scenario;
    assert_eq!(scenario.world.huge_pages, Amount::Exactly(512));
    assert_eq!(scenario.world.memory_mb, Amount::Exactly(32_000));
    let pool = Step::Kernel { name: "vm.nr_hugepages".to_owned(), value: Amount::Exactly(77) };
    assert!(scenario.fault.contains(&pool), "{:?}", scenario.fault);
    assert!(scenario.by_hand.contains("echo 512 > \"$HOST/sys/vm/nr_hugepages\""), "{}", scenario.by_hand);
    assert_eq!(scenario.limits.repair, 400);
    assert!(made.text.contains("# Changed: kernel vm.nr_hugepages: 77 -> 512"), "{}", made.text);
}

#[test]
fn a_larger_cache_is_overwhelmed_by_as_much_more() {
    let mut happened = after(built_in_named("globals-too-small").unwrap());
    happened.changed = vec![change("cpf [config] globals", "0,0,1024,0,0,0", "0,0,2048,0,0,0")];
    let made = recorded("mine", &happened).unwrap();
    assert_eq!(made.scenario.world.globals_mb, Amount::Exactly(1024));
    let [Step::Load { dirty_mb: Some(dirty), .. }] = &made.scenario.fault[..] else {
        panic!("{:?}", made.scenario.fault)
    };
    assert_eq!(dirty.to_string(), "560 to 960");
}

#[test]
fn of_scenarios_with_one_truth_the_one_whose_text_was_seen_is_the_manner() {
    for name in ["certificate-expired", "journal-directories-equal", "cache-at-its-bound"] {
        let original = built_in_named(name).unwrap();
        let made = recorded("mine", &after(original)).unwrap();
        let manner = built_in_named(made.in_the_manner_of.unwrap()).unwrap();
        assert_eq!(manner.symptom, original.symptom, "{name} became {}", manner.name);
    }
}

#[test]
fn an_entry_that_belongs_to_a_larger_trouble_is_what_the_scenario_is_about() {
    let original = built_in_named("cpf-unknown-parameter").unwrap();
    let mut happened = after(original);
    let part = std::mem::replace(&mut happened.troubles[0].condition, "cpf-parse-failed".to_owned());
    happened.troubles[0].parts = vec![part.clone()];
    let made = recorded("mine", &happened).unwrap();
    assert_eq!(made.in_the_manner_of, Some("cpf-unknown-parameter"));
    assert_eq!(made.scenario.truth[0].condition, part);
}

#[test]
fn a_changed_value_alone_is_a_fault_and_nothing_at_all_is_none() {
    // Nobody has written a scenario of it.
    let target: Target = "cpf [config] locksiz".parse().unwrap();
    let trouble = Trouble {
        condition: "lock-table-full".to_owned(),
        parts: Vec::new(),
        cause: "Too many locks.".to_owned(),
        answer: Answer::Remedy,
        remedy: Some(Remedy { changes: vec![target], value: None, restart: true, force: false }),
        entry: "LOCK TABLE FULL after 12 locks".to_owned(),
    };
    let mut happened = Happened {
        instance: "PROD".to_owned(),
        troubles: vec![trouble],
        changed: vec![change("cpf [config] locksiz", "1179648", "16777216")],
        ..Happened::default()
    };
    let made = recorded("mine", &happened).unwrap();
    assert_eq!(made.in_the_manner_of, None);
    assert_eq!(made.scenario.symptom[0].log.as_deref(), Some("LOCK TABLE FULL after"));
    assert_eq!(made.scenario.fault.len(), 3);
    happened.changed.clear();
    let error = recorded("mine", &happened).unwrap_err().to_string();
    assert!(error.contains("no built-in scenario brings about lock-table-full"), "{error}");
    happened.troubles.clear();
    assert!(matches!(recorded("mine", &happened), Err(NoScenario::NothingFound)));
}
