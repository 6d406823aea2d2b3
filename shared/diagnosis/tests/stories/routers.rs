use instance_diagnosis::Limits;

use crate::world::{PANIC, World};

const HUGE_PAGES: &str = "Failed to allocate 742MB shared memory using Huge Pages.  Startup will retry";

#[test]
fn with_no_router_a_person_is_called_within_minutes() {
    let mut world = World::with(Limits::default());
    world.says(PANIC, 3, 7);
    world.later(30_000);
    world.agents_answer("0,0,256,0,0,0");
    assert!(world.last_command().dry_run);
    world.later(299_000);
    assert!(world.decisions().is_empty(), "counted from when it was asked for");
    world.later(1000);
    assert_eq!(world.decisions(), ["person"]);
    world.later(3_600_000);
    assert_eq!(world.decisions(), ["person"], "once");
}

#[test]
fn who_was_carried_by_what_had_to_make_room_goes_on_alone() {
    let mut world = World::with(Limits { incidents: 2, ..Limits::default() });
    world.says(HUGE_PAGES, 2, 7);
    world.agents_answer("0,0,256,0,0,0");
    world.says(PANIC, 3, 8);
    world.agents_answer("0,0,256,0,0,0");
    assert_eq!(steps(&world), ["huge-pages", "globals", "restart"], "one carries the other");
    world.later(1000);
    world.says(HUGE_PAGES, 2, 7);
    world.later(1000);
    assert_eq!(world.published.len(), 1, "and while it does nothing else is asked for");
    world.says("The frobnicator has lost its marbles", 2, 9);
    assert_eq!(world.kinds().last().unwrap(), "closed", "the leader made room");
    world.later(200);
    world.later(200);
    assert_eq!(world.published.len(), 2);
    assert!(world.last_command().dry_run && !steps(&world).contains(&"globals".to_owned()));
}

/// Those of the last command.
fn steps(world: &World) -> Vec<String> {
    world.last_command().steps().iter().map(|step| step.id.to_string()).collect()
}
