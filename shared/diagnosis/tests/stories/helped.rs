//! A try that failed beside other trouble is made again when that trouble is over.

use std::collections::BTreeSet;

use instance_contract::{OverallStatus, RemediationCommand};

use crate::world::{PANIC, World};

const HUGE_PAGES: &str = "Failed to allocate 742MB shared memory using Huge Pages.  Startup will retry";
const SMALL: &str = "0,0,256,0,0,0";

/// Huge pages too few, answered alone; while that is done the cache shows to be too small as well, so that the first proof
/// fails. The command for the cache is the last one.
fn first_failed() -> (World, RemediationCommand) {
    let mut world = World::new();
    world.says(HUGE_PAGES, 2, 7);
    world.agents_answer(SMALL);
    world.later(4000);
    let first = world.last_command();
    assert_eq!(steps(&first), ["os", "restart"]);
    world.accepts(&first);
    world.says(PANIC, 3, 8);
    world.agents_answer(SMALL);
    let second = world.last_command();
    assert_eq!(steps(&second), ["config", "restart"]);
    world.accepts(&second);
    world.ends(&first, OverallStatus::Undone);
    assert_eq!(world.decisions().last(), Some(&"wait"));
    (world, second)
}

#[test]
fn a_try_that_failed_beside_other_trouble_is_made_again_when_that_is_over() {
    for dies in [false, true] {
        let (mut world, second) = first_failed();
        if dies {
            let (known, written) = (world.published.clone(), world.records.len());
            world.dies_after(written);
            // It reads the log of remediations too.
            for (command, status) in [(&known[0], OverallStatus::Undone), (&known[1], OverallStatus::Success)]
            {
                world.later(1000);
                world.ends(command, status);
            }
        } else {
            world.later(1000);
            world.ends(&second, OverallStatus::Success);
        }
        world.agents_answer("0,0,512,0,0,0");
        world.later(4000);
        // What a dead one may not have published is published again.
        let ids: BTreeSet<_> = world.published.iter().map(|command| command.command_id).collect();
        assert_eq!(ids.len(), 3, "dies: {dies}, {:?}", world.kinds());
        assert_eq!(steps(&world.last_command()), ["os", "restart"]);
        // A second failure in a row is a person's, whatever helps others.
        world.ends(&world.last_command(), OverallStatus::Undone);
        assert_eq!(world.decisions().last(), Some(&"person"));
    }
}

#[test]
fn nothing_is_tried_again_because_something_else_failed_or_ended_before() {
    let (mut world, second) = first_failed();
    world.later(1000);
    world.ends(&second, OverallStatus::Undone);
    world.agents_answer(SMALL);
    world.later(60_000);
    assert_eq!(world.published.len(), 2);

    let mut world = World::new();
    world.says(PANIC, 3, 8);
    world.agents_answer(SMALL);
    world.ends(&world.last_command(), OverallStatus::Success);
    world.later(4000);
    world.says(HUGE_PAGES, 2, 7);
    world.agents_answer(SMALL);
    world.later(4000);
    world.ends(&world.last_command(), OverallStatus::Undone);
    world.agents_answer(SMALL);
    world.later(60_000);
    assert_eq!(world.published.len(), 2, "the other one had ended before");
}

#[test]
fn who_waited_for_anothers_target_goes_on_when_that_one_came_to_nothing() {
    for (status, dies, goes_on) in [
        (OverallStatus::Undone, false, true),
        (OverallStatus::Undone, true, true),
        (OverallStatus::Refused, false, true),
        // The target is another one by now: what is still true shows in time.
        (OverallStatus::Success, false, false),
    ] {
        let mut world = World::new();
        world.says(HUGE_PAGES, 2, 7);
        world.agents_answer_with(SMALL, 100);
        world.later(4000);
        let first = world.last_command();
        world.accepts(&first);
        // It would raise the pages too.
        world.says(PANIC, 3, 8);
        world.agents_answer_with(SMALL, 379);
        assert_eq!(
            (world.published.len(), world.decisions()),
            (1, vec!["remediation", "wait"]),
            "{:?}",
            world.findings()
        );
        world.later(1000);
        if dies {
            world.dies_after(world.records.len());
        }
        world.ends(&first, status);
        world.agents_answer_with(SMALL, 100);
        world.later(1000);
        let last = steps(&world.last_command());
        assert_eq!(last.contains(&"globals".to_owned()), goes_on, "{status:?}, dies: {dies}: {last:?}");
    }
}

fn steps(command: &RemediationCommand) -> Vec<String> {
    command.steps().iter().map(|step| step.id.to_string()).collect()
}
