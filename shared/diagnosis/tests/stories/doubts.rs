//! What is known by its words, and written as IRIS was never seen to write it: the rules alone do not act on that.

use instance_contract::{Decision, FindingSource};
use instance_diagnosis::{Advice, Limits};

use crate::world::{PANIC, World};

/// IRIS writes the panic of its write daemon with severity 3; this one came as a warning.
fn doubted(model: bool) -> World {
    let mut world = World::with(Limits { dry_run_first: false, model, ..Limits::default() });
    world.says(PANIC, 1, 7);
    world.agents_answer("0,0,256,0,0,0");
    world
}

#[test]
fn what_iris_never_writes_so_is_left_to_a_person_until_it_does() {
    let mut world = doubted(false);
    assert_eq!(world.decisions(), ["person"]);
    let finding = world.findings()[0].clone();
    let Decision::Person { why, .. } = &finding.decision else { panic!("{finding:?}") };
    assert_eq!(finding.confidence, 75);
    assert!(why.contains("never seen to write it so") && why.contains("80 % are needed"), "{why}");
    assert!(world.published.is_empty());

    // As IRIS writes it, there is no doubt any more.
    world.says(PANIC, 3, 8);
    world.agents_answer("0,0,256,0,0,0");
    assert_eq!(world.decisions(), ["person", "remediation"]);
    assert_eq!((world.findings()[1].confidence, world.published.len()), (95, 1));
}

#[test]
fn more_of_the_same_doubt_changes_nothing() {
    let mut world = doubted(false);
    world.says(PANIC, 0, 7);
    world.says(PANIC, 1, 9);
    world.agents_answer("0,0,256,0,0,0");
    assert_eq!((world.decisions(), world.published.len()), (vec!["person"], 0));
}

#[test]
fn of_what_the_rules_doubt_a_model_may_choose_the_runbook_and_nothing_else() {
    let mut world = doubted(true);
    let offers = world.consulted[0].1.offers.clone();
    assert!(offers.len() == 1 && offers[0].contains("grow-database-cache"), "{offers:?}");
    world.advised(Advice::Chosen { offer: 0, by: "chosen by model m-1".to_owned() });
    assert_eq!((world.decisions(), world.published.len()), (vec!["remediation"], 1));
    assert_eq!(world.findings()[0].source, FindingSource::Model);

    let mut world = doubted(true);
    world.advised(Advice::None("it declined".to_owned()));
    assert_eq!((world.decisions(), world.published.len()), (vec!["person"], 0));
}

/// A death between the entry and its finding: the entry comes again, and the doubt with it.
#[test]
fn a_successor_has_the_same_doubt() {
    let mut world = World::new();
    let message = world.says(PANIC, 1, 7);
    world.dies_after(1);
    world.take(&message);
    world.agents_answer("0,0,256,0,0,0");
    assert_eq!((world.decisions(), world.published.len()), (vec!["person"], 0));
    assert_eq!(world.findings()[0].confidence, 75);
}
