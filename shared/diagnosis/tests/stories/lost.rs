//! Nothing grave is lost: not behind an early acknowledgement, not in the echo of a restart, not for its age.

use instance_contract::{Decision, OverallStatus, Severity};

use crate::world::{DIED, PANIC, World};

const LICENSE: &str = "license-limit-exceeded";

fn example(condition: &str) -> &'static str {
    &instance_knowledge::condition(condition).unwrap().wordings[0].example
}

/// A look is under way, a person was told, and has said already that it is in hand.
fn looked_at_and_in_hand() -> World {
    let mut world = World::new();
    world.says(example(LICENSE), 2, 7);
    world.agents_answer("0,0,256,0,0,0");
    assert_eq!(world.decisions(), ["remediation", "person"]);
    let incident = world.findings()[0].incident_id;
    world.acknowledges(incident);
    assert!(world.inbox().is_empty());
    world
}

#[test]
fn an_acknowledgement_while_the_look_goes_on_closes_with_its_end() {
    for dies in [false, true] {
        let mut world = looked_at_and_in_hand();
        if dies {
            world.dies_after(world.records.len());
        }
        let command = world.last_command();
        world.ends(&command, OverallStatus::Success);
        let kinds = ["opened", "finding", "finding", "acknowledged", "outcome", "closed"];
        assert_eq!(world.kinds(), kinds, "dies: {dies}");
        if dies {
            world.dies_after(5);
        }
        world.later(60_000);
        world.says(example(LICENSE), 2, 7);
        assert!(world.inbox().is_empty(), "more of what is in hand is no news");
    }
}

/// The person has seen what was found first, and something graver is found while they write: theirs is what they have seen.
#[test]
fn what_is_found_while_a_person_acknowledges_waits_in_the_inbox() {
    for (seen, heard, ack_first) in [(2, true, false), (2, false, false), (2, false, true), (3, true, false)]
    {
        let mut world = World::new();
        world.says(example(LICENSE), 2, 7);
        world.agents_answer("0,0,256,0,0,0");
        world.says(example(LICENSE), 3, 7);
        assert_eq!(world.decisions(), ["remediation", "person", "person"]);
        let incident = world.findings()[0].incident_id;
        if heard {
            world.acknowledges_as(incident, Some(seen), false);
        } else {
            world.writes_acknowledgement(incident, Some(seen), false);
            if ack_first {
                let last = world.records.len() - 1;
                world.records.swap(last - 1, last);
            }
            world.dies_after(world.records.len());
        }
        let waits: Vec<Severity> = world.inbox().into_iter().map(|(_, severity)| severity).collect();
        let wanted = if seen == 2 { vec![Severity::Fatal] } else { Vec::new() };
        assert_eq!(waits, wanted, "seen: {seen}, heard: {heard}, first: {ack_first}: {:?}", world.kinds());
        // It is told once, whoever reads the log next.
        world.dies_after(world.records.len());
        world.later(60_000);
        assert_eq!(world.inbox().len(), waits.len());
    }
}

/// Told twice, the second time of something graver, and acknowledged as it was told first.
fn acknowledged_too_early(text: &str) -> World {
    let mut world = World::new();
    world.says(text, 2, 7);
    world.later(60_000);
    world.agents_answer("0,0,256,0,0,0");
    world.says(text, 3, 7);
    let findings = world.findings();
    world.acknowledges_as(findings[0].incident_id, Some(u32::try_from(findings.len()).unwrap() - 1), false);
    world
}

#[test]
fn a_death_at_any_record_behind_an_acknowledgement_calls_the_person_all_the_same() {
    // While the rules look; and where nothing goes on, so that the first incident is closed.
    for (text, closes) in [(example(LICENSE), false), ("a text that nobody knows", true)] {
        let kinds = acknowledged_too_early(text).kinds();
        let first = kinds.iter().position(|kind| kind == "acknowledged").unwrap() + 1;
        assert_eq!((kinds.contains(&"closed".to_owned()), kinds.len() > first), (closes, true), "{kinds:?}");
        for kept in first..=kinds.len() {
            let mut world = acknowledged_too_early(text);
            world.dies_after(kept);
            world.later(60_000);
            let waits: Vec<Severity> = world.inbox().into_iter().map(|(_, severity)| severity).collect();
            assert_eq!(waits, [Severity::Fatal], "kept {kept} of {kinds:?}: {:?}", world.kinds());
        }
    }
}

#[test]
fn what_is_graver_than_what_is_in_hand_waits_in_the_inbox() {
    for (ends_before, dies) in [(false, false), (true, false), (false, true), (true, true)] {
        let mut world = looked_at_and_in_hand();
        let command = world.last_command();
        if ends_before {
            world.ends(&command, OverallStatus::Success);
        }
        if dies {
            world.dies_after(world.records.len());
        }
        world.says(example(LICENSE), 3, 7);
        world.agents_answer("0,0,256,0,0,0");
        world.later(1_000);
        world.agents_answer("0,0,256,0,0,0");
        let waits = world.inbox();
        assert_eq!(waits.len(), 1, "ends before: {ends_before}, dies: {dies}: {:?}", world.kinds());
        assert_eq!(waits[0].1, Severity::Fatal);
        if !ends_before {
            world.ends(&command, OverallStatus::Success);
        }
        assert_eq!(world.inbox(), waits, "the end of the look takes it away from nobody");
        world.acknowledges(waits[0].0);
        assert!(world.inbox().is_empty());
    }
}

/// While the look goes on and nobody has it in hand, the same person is told once more in the same incident.
#[test]
fn what_becomes_graver_during_a_look_is_told() {
    let mut world = World::new();
    world.says(example(LICENSE), 2, 7);
    world.agents_answer("0,0,256,0,0,0");
    world.says(example(LICENSE), 3, 7);
    assert_eq!(world.decisions(), ["remediation", "person", "person"]);
    assert_eq!(world.findings()[2].severity, Severity::Fatal);
}

/// A second condition that would look at the same: its person is told too.
#[test]
fn a_look_that_was_just_taken_still_calls_a_person() {
    let mut world = looked_at_and_in_hand();
    world.ends(&world.last_command(), OverallStatus::Success);
    world.later(16 * 60_000);
    world.says(example(LICENSE), 2, 7);
    world.agents_answer("0,0,256,0,0,0");
    world.ends(&world.last_command(), OverallStatus::Success);
    world.acknowledges(world.inbox()[0].0);
    world.says(example(LICENSE), 3, 7);
    world.agents_answer("0,0,256,0,0,0");
    assert_eq!(world.decisions().last(), Some(&"person"));
    assert_eq!(world.inbox().len(), 1);
}

#[test]
fn what_is_said_in_an_echo_is_told_by_how_the_remediation_ends() {
    let unknown = "Something that nobody knows stumbled at the start";
    for (status, told) in [
        (OverallStatus::Success, vec!["nothing"]),
        (OverallStatus::Failure, vec!["wait", "person"]),
        (OverallStatus::Undone, vec!["wait", "person"]),
    ] {
        let mut world = World::new();
        world.says(DIED, 3, 7);
        world.agents_answer("0,0,256,0,0,0");
        let command = world.last_command();
        world.accepts(&command);
        world.steps(&command);
        let message = world.says(unknown, 2, 9);
        world.later(60_000);
        assert_eq!(world.decisions(), ["remediation"]);
        assert!(world.core.awaits(message.message_id), "until then it is kept");
        world.ends(&command, status);
        world.later(1_000);
        assert_eq!(world.decisions()[1..], told, "{status:?}");
        let last = world.findings().last().copied().unwrap().clone();
        assert_eq!(last.evidence[0].message_id, message.message_id);
        assert!(!world.core.awaits(message.message_id));
    }
}

#[test]
fn an_echo_of_what_never_ends_is_news_in_the_end() {
    let mut world = World::new();
    world.says(DIED, 3, 7);
    world.agents_answer("0,0,256,0,0,0");
    let command = world.last_command();
    world.accepts(&command);
    world.steps(&command);
    world.says("Something that nobody knows stumbled at the start", 2, 9);
    world.later(2 * 3600 * 1000);
    assert_eq!(world.inbox().len(), 2, "the remediation, and what nobody knows: {:?}", world.decisions());
}

#[test]
fn what_is_too_old_to_act_on_calls_a_person_when_it_is_grave() {
    let unknown = "The frobnicator has lost its marbles";
    for (text, severity, told) in [
        (PANIC, 2, vec!["person"]),
        (DIED, 3, vec!["person"]),
        (unknown, 2, vec!["person"]),
        (unknown, 1, vec![]),
        ("everyday line", 0, vec![]),
    ] {
        let mut world = World::new();
        for _ in 0..20 {
            world.said_long_ago(text, severity, 7);
        }
        world.later(3_000);
        assert_eq!(world.decisions(), told, "{text}");
        assert!(world.published.is_empty() && world.asked.is_empty(), "{text}: nothing is done about it");
        for finding in world.findings() {
            let Decision::Person { why, .. } = &finding.decision else { panic!("{finding:?}") };
            assert!(why.contains("too old to act on"), "{why}");
        }
    }
}

/// What is said now is another matter, also for one who has read that from the log.
#[test]
fn what_is_too_old_does_not_hide_what_is_said_now() {
    for dies in [false, true] {
        let mut world = World::new();
        world.said_long_ago(PANIC, 2, 7);
        if dies {
            world.dies_after(world.records.len());
        }
        world.says(PANIC, 2, 7);
        world.agents_answer("0,0,256,0,0,0");
        assert_eq!(world.decisions(), ["person", "remediation"], "dies: {dies}");
    }
}

/// The entry was read before a death, and its incident stood in the log; it comes again when it is too old.
#[test]
fn what_has_become_too_old_during_a_death_is_not_acted_on() {
    let mut world = World::new();
    let message = world.says(PANIC, 2, 7);
    world.dies_after(1);
    world.asked.clear();
    let event = instance_diagnosis::Event::Stale(&message);
    let actions = world.core.handle(&event, world.now);
    world.perform(actions);
    assert_eq!(world.decisions(), ["person"]);
    assert!(world.asked.is_empty());
}

/// IRIS writes one line for the like that follow each other, and says how many there were.
#[test]
fn repeats_that_iris_counts_count() {
    for (repeated, told) in [(8, vec![]), (9, vec!["person"])] {
        let mut world = World::new();
        let mut message = world.message("frobnicator is slow", 1, 7);
        message.repeated = repeated;
        world.take(&message);
        world.later(3_000);
        assert_eq!(world.decisions(), told, "{repeated} times more");
        let totals: Vec<u64> = world.findings().iter().map(|finding| finding.evidence_total).collect();
        assert_eq!(totals, vec![10; told.len()]);
    }
}
