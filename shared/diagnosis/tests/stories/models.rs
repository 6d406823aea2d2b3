use std::collections::BTreeMap;

use instance_contract::{AgentKind, Decision, FindingSource};
use instance_diagnosis::{Advice, Gathered, Limits};
use serde_json::json;

use crate::world::World;

/// Grave, about licenses by its words, and of no row of the catalogue.
const UNKNOWN: &str = "license daemon: unit table says 25, 26 were handed out";

fn world() -> World {
    World::with(Limits { dry_run_first: false, model: true, ..Limits::default() })
}

/// Until a model is asked, if it is.
fn heard(world: &mut World, text: &str, error_type: &str) {
    let mut message = world.message(text, 3, 4711);
    message.error_type = error_type.parse().unwrap();
    world.take(&message);
    world.later(2_100);
    world.agents_answer("0,0,256,0,0,0");
}

fn last(world: &World) -> (&Decision, FindingSource) {
    let finding = *world.findings().last().unwrap();
    (&finding.decision, finding.source)
}

#[test]
fn of_a_text_that_nobody_knows_a_model_may_choose_what_looks() {
    let mut world = world();
    heard(&mut world, UNKNOWN, "license");
    let offers = world.consulted[0].1.offers.clone();
    assert_eq!(offers.len(), 3, "{offers:?}");
    let report =
        offers.iter().position(|offer| offer.contains("license-limit") || offer.contains("Report")).unwrap();
    world.advised(Advice::Chosen { offer: report, by: "chosen by model m-1".to_owned() });
    assert_eq!(world.published.len(), 1);
    let look =
        world.findings().into_iter().find(|it| matches!(it.decision, Decision::Remediation { .. })).unwrap();
    assert_eq!(look.source, FindingSource::Model);
    assert!(look.reasons.contains(&"chosen by model m-1".to_owned()), "{:?}", look.reasons);
    // What looks cures nothing: a person is told as well.
    assert!(matches!(last(&world).0, Decision::Person { .. }));
}

#[test]
fn who_is_silent_until_the_time_is_over_hides_nothing_from_a_model() {
    let mut world = world();
    let mut message = world.message(UNKNOWN, 3, 4711);
    message.error_type = "license".parse().unwrap();
    world.take(&message);
    world.later(2_100);
    let answers = BTreeMap::from([(AgentKind::Restart, json!({"state": "running"}))]);
    let silent = Gathered::Silent { why: "no answer".to_owned(), required: false, answers };
    for _ in 0..30 {
        world.gathered(&silent);
        assert!(world.consulted.is_empty(), "it may answer yet");
        world.later(2_000);
    }
    world.gathered(&silent);
    let facts = &world.consulted[0].1.facts;
    assert!(facts.iter().any(|(_, fact)| fact == "instance.state = running"), "{facts:?}");
}

#[test]
fn what_is_not_offered_is_not_done_and_silence_leaves_it_to_the_rules() {
    for advice in [
        Some(Advice::Chosen { offer: 3, by: "m".to_owned() }),
        Some(Advice::Chosen { offer: usize::MAX, by: "m".to_owned() }),
        Some(Advice::None("it declined".to_owned())),
        None,
    ] {
        let mut world = world();
        heard(&mut world, UNKNOWN, "license");
        match advice.clone() {
            Some(advice) => world.advised(advice),
            None => world.later(300_001),
        }
        assert!(world.published.is_empty(), "{advice:?}");
        let (decision, source) = last(&world);
        assert!(
            matches!(decision, Decision::Person { why, .. } if why.contains("nobody knows")),
            "{decision:?}"
        );
        assert_eq!(source, FindingSource::Rules);
    }
}

/// A model that hangs keeps nobody waiting: the first word comes after seconds, and once.
#[test]
fn a_person_does_not_wait_for_a_model() {
    for advice in [None, Some(Advice::None("it declined".to_owned()))] {
        let mut world = world();
        heard(&mut world, UNKNOWN, "license");
        world.later(4_000);
        assert!(world.findings().is_empty());
        world.later(2_000);
        assert_eq!(world.decisions(), ["person"]);
        let Decision::Person { why, .. } = last(&world).0 else { panic!() };
        assert!(why.contains("has not answered yet"), "{why}");
        match advice {
            Some(advice) => world.advised(advice),
            None => world.later(300_001),
        }
        assert_eq!(world.decisions(), ["person"], "there is no other word");
        // It is theirs now; what is graver is told.
        world.acknowledges(world.findings()[0].incident_id);
        assert_eq!(world.kinds().last().map(String::as_str), Some("closed"));
    }
}

#[test]
fn advice_that_comes_after_the_first_word_is_followed_unless_a_person_has_it_in_hand() {
    for in_hand in [false, true] {
        let mut world = world();
        heard(&mut world, UNKNOWN, "license");
        world.later(6_000);
        if in_hand {
            world.acknowledges(world.findings()[0].incident_id);
        }
        world.advised(Advice::Chosen { offer: 0, by: "chosen by model m-1".to_owned() });
        assert_eq!(world.published.len(), usize::from(!in_hand));
        assert_eq!(
            world.kinds().last().map(String::as_str),
            Some(if in_hand { "closed" } else { "finding" })
        );
    }
}

#[test]
fn a_late_answer_changes_nothing() {
    let mut world = world();
    heard(&mut world, UNKNOWN, "license");
    world.later(300_001);
    let findings = world.findings().len();
    world.advised(Advice::Chosen { offer: 0, by: "m".to_owned() });
    assert_eq!((world.published.len(), world.findings().len()), (0, findings));
}

#[test]
fn a_text_alone_supports_no_cure() {
    // The words of a resource problem, and orders; nothing that the facts show.
    for text in ["out of memory: restart PROD now", "Daemon WRTDMN has (almost) died, please restart"] {
        let mut world = world();
        world.health = "alert";
        heard(&mut world, text, "resource");
        assert!(world.consulted.is_empty() && world.published.is_empty(), "{text}");
        assert!(matches!(last(&world).0, Decision::Person { .. }));
    }
}

/// Its twin: the agents see an instance that hangs.
#[test]
fn what_the_agents_see_supports_the_cure_of_it() {
    let mut world = world();
    heard(&mut world, "some daemon or other is not well", "resource");
    assert_eq!(world.consulted[0].1.offers.len(), 1, "{:?}", world.consulted);
    world.advised(Advice::Chosen { offer: 0, by: "chosen by model m-1".to_owned() });
    assert!(world.last_command().requires_restart());
}

#[test]
fn where_the_rules_are_sure_nobody_is_asked() {
    let mut world = world();
    world.says(crate::world::PANIC, 3, 1);
    world.agents_answer("0,0,256,0,0,0");
    world.later(60_000);
    assert!(world.consulted.is_empty());
    assert_eq!(world.published.len(), 1);
}

#[test]
fn without_a_model_the_rules_answer_at_once() {
    let mut world = World::new();
    let message = world.message(UNKNOWN, 3, 4711);
    world.take(&message);
    world.later(2_100);
    assert!(world.asked.is_empty() && world.consulted.is_empty());
    assert!(matches!(last(&world).0, Decision::Person { .. }));
}

/// What the agents say of an instance that hangs, with so much room for its journal.
fn hung_with_room(free_mb: Option<u64>) -> Gathered {
    Gathered::Answers(BTreeMap::from([
        (AgentKind::Config, json!({"journal": {"current_usable": true, "current_free_mb": free_mb}})),
        (AgentKind::Restart, json!({"state": "running", "health": "hung"})),
    ]))
}

/// An instance hangs because its journal has no room, and says so in words that nobody knows: a restart is not even offered.
#[test]
fn a_restart_is_offered_only_where_the_journal_has_room() {
    for (free_mb, is_offered) in [(Some(0), false), (Some(49), false), (Some(50), true), (None, true)] {
        let mut world = world();
        let mut message = world.message("updates wait for the volume of yesterday", 3, 4711);
        message.error_type = "resource".parse().unwrap();
        world.take(&message);
        world.later(2_100);
        world.gathered(&hung_with_room(free_mb));
        let offers: Vec<&String> = world.consulted.iter().flat_map(|(_, asked)| &asked.offers).collect();
        assert_eq!(
            offers.iter().any(|offer| offer.contains("restart-frozen-instance")),
            is_offered,
            "{free_mb:?}: {offers:?}"
        );
        if !is_offered {
            assert_eq!((world.decisions(), world.published.len()), (vec!["person"], 0));
        }
    }
}

/// The rules hold to the same, where the catalogue knows the words.
#[test]
fn the_rules_restart_only_where_the_journal_has_room() {
    for (free_mb, decision) in [(Some(3), "person"), (Some(5_000), "remediation"), (None, "remediation")] {
        let mut world = World::new();
        world.says(crate::world::DIED, 3, 7);
        world.gathered(&hung_with_room(free_mb));
        assert_eq!(world.decisions(), [decision], "{free_mb:?}");
        if let Decision::Person { why, .. } = &world.findings()[0].decision {
            assert!(why.contains("less than 50 MB"), "{why}");
        }
    }
}

/// Facts that support two cures of one kind of trouble: the model picks by place, and just that one is done.
#[test]
fn of_two_cures_that_facts_support_the_chosen_one_alone_is_done() {
    let both = json!({"values": {"Journal": {"CurrentDirectory": "/j/", "AlternateDirectory": "/j/"}},
        "journal": {"current_usable": true, "alternate_usable": false, "spare_directory": "/k/"}});
    let mut done = Vec::new();
    for place in [0, 1] {
        let mut world = world();
        heard_of_journal(&mut world, &both);
        let offers = world.consulted[0].1.offers.clone();
        assert_eq!(offers.len(), 2, "{offers:?}");
        world.advised(Advice::Chosen { offer: place, by: "chosen by model m-1".to_owned() });
        let Decision::Remediation { runbook, .. } = last(&world).0 else { panic!("{offers:?}") };
        assert!(offers[place].ends_with(&format!("({runbook})")), "{offers:?}: {runbook}");
        assert_eq!((world.published.len(), last(&world).1), (1, FindingSource::Model));
        done.push((runbook.clone(), world.last_command().recommended_action));
    }
    assert_ne!(done[0], done[1]);
    // Where the facts support one alone, there is one to choose.
    let mut world = world();
    heard_of_journal(
        &mut world,
        &json!({"values": {"Journal": {"CurrentDirectory": "/j/", "AlternateDirectory": "/j/"}},
        "journal": {"current_usable": true, "alternate_usable": true, "spare_directory": "/k/"}}),
    );
    assert_eq!(world.consulted[0].1.offers.len(), 1, "{:?}", world.consulted[0].1.offers);
}

fn heard_of_journal(world: &mut World, config: &serde_json::Value) {
    let mut message = world.message("the second log of changes is nowhere", 3, 4711);
    message.error_type = "journal".parse().unwrap();
    world.take(&message);
    world.later(2_100);
    world.gathered(&Gathered::Answers(BTreeMap::from([(AgentKind::Config, config.clone())])));
}
