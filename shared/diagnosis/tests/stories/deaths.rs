use instance_contract::OverallStatus;

use crate::world::{PANIC, World};

#[test]
fn a_death_between_finding_and_command_asks_for_exactly_that_command() {
    let mut world = World::new();
    world.says(PANIC, 2, 7);
    world.agents_answer("0,0,256,0,0,0");
    let wanted = world.last_command();
    for count in [2, 2] {
        world.published.clear();
        world.dies_after(count);
        assert_eq!(world.published, std::slice::from_ref(&wanted), "the same bytes, however often");
    }
    world.ends(&wanted, OverallStatus::Success);
    assert_eq!(world.kinds(), ["opened", "finding", "outcome", "closed"]);
}

#[test]
fn a_death_before_the_finding_begins_anew_when_the_entry_comes_again() {
    let mut world = World::new();
    let message = world.says(PANIC, 2, 7);
    assert!(world.core.awaits(message.message_id));
    world.dies_after(1);
    world.take(&message);
    assert!(world.core.awaits(message.message_id));
    world.agents_answer("0,0,256,0,0,0");
    assert_eq!(world.kinds(), ["opened", "finding"], "and it is opened once");
    assert_eq!(world.published.len(), 1);
}

#[test]
fn every_record_may_be_the_last_one_of_a_process_and_the_story_ends_the_same() {
    let whole = story(usize::MAX);
    for count in 1..whole.len() {
        assert_eq!(story(count), whole, "after record {count}");
    }
}

/// One cure with a death after so many records; the kinds of its records.
fn story(dies_after: usize) -> Vec<String> {
    let mut world = World::new();
    let mut died = false;
    let message = world.says(PANIC, 2, 7);
    let mut die = |world: &mut World| {
        if !died && world.records.len() >= dies_after {
            // Also in the middle of what was done at once.
            world.dies_after(dies_after);
            world.take(&message);
            died = true;
        }
    };
    die(&mut world);
    world.agents_answer("0,0,256,0,0,0");
    die(&mut world);
    let command = world.last_command();
    world.ends(&command, OverallStatus::Success);
    die(&mut world);
    if !world.kinds().contains(&"closed".to_owned()) {
        // The successor reads of the end.
        world.ends(&command, OverallStatus::Success);
    }
    world.kinds()
}

#[test]
fn what_was_learnt_and_told_outlives_the_process() {
    let mut world = World::new();
    let text = "The frobnicator has lost its marbles";
    world.says(text, 2, 1);
    world.says(PANIC, 2, 7);
    world.agents_answer("0,0,256,0,0,0");
    world.ends(&world.last_command(), OverallStatus::Undone);
    world.later(2000);
    let (before, count) = (world.core.learning().clone(), world.records.len());
    world.dies_after(count);
    assert_eq!(*world.core.learning(), before);
    world.says(text, 2, 1);
    world.later(2000);
    assert_eq!(world.records.len(), count, "a person who was told is not told again");
}

/// The entry that begins another try is not settled before that is decided, and finds its incident open.
#[test]
fn another_try_outlives_the_process_that_began_it() {
    let mut world = World::new();
    world.says(PANIC, 2, 7);
    world.agents_answer("0,0,256,0,0,0");
    world.ends(&world.last_command(), OverallStatus::Undone);
    let ended_at = world.now;
    world.later(10 * 60_000);
    world.says(PANIC, 2, 7);
    world.later(6 * 60_000);
    let message = world.says(PANIC, 2, 7);
    assert!(world.core.awaits(message.message_id), "until the next finding");
    let incident = world.findings()[0].incident_id;

    world.reads(world.records.len(), ended_at);
    world.later(9_000);
    assert!(!world.kinds().contains(&"closed".to_owned()), "{:?}", world.kinds());
    world.take(&message);
    assert!(world.core.awaits(message.message_id));
    world.agents_answer("0,0,256,0,0,0");
    assert_eq!(world.decisions(), ["remediation", "wait", "remediation"]);
    assert!(world.findings().iter().all(|finding| finding.incident_id == incident));
    assert!(!world.core.awaits(message.message_id));
}
