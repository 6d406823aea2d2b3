use instance_contract::OverallStatus;
use instance_diagnosis::Limits;
use proptest::prelude::*;

use crate::world::{DIED, PANIC, World};

#[test]
fn ten_thousand_entries_in_ten_seconds_are_an_incident_a_cause() {
    let mut world = World::new();
    let mut critical = 0;
    for number in 0..10_000_u32 {
        let told = match number % 4 {
            0 => world.says(PANIC, 2, 7),
            1 => world.says(&format!("Frobnicator {number} could not write /x/{number}"), 2, 100 + number),
            2 => world.says(
                &format!("{} marbles of kind {} lost in room {number}", word(number), word(number / 7)),
                2,
                20_000 + number,
            ),
            _ => world.says("everyday line", 0, 9),
        };
        drop(told);
        if number == 5_000 {
            world.says(DIED, 3, 8);
            world.agents_answer("0,0,256,0,0,0");
            critical = world.published.len();
        }
        if number % 100 == 0 {
            world.later(100);
        }
    }
    world.later(2000);
    assert_eq!(critical, 2, "the critical one is answered at once, in the middle of it");
    let (all, _) = world.core.counts();
    assert!(all <= Limits::default().storm as usize + 4, "{all} incidents of four causes and a flood");
    assert_eq!(world.published.len(), 2);
}

/// Words of which no two are alike.
fn word(number: u32) -> String {
    let letters = b"bcdfghjklmnpqrstvwxz";
    let mut seed = u64::from(number).wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    let mut word = String::new();
    for _ in 0..24 {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        word.push(char::from(letters[usize::try_from(seed >> 33).unwrap() % letters.len()]));
    }
    word
}

#[test]
fn memory_stays_within_its_bounds_whatever_comes() {
    let limits = Limits {
        incidents: 8,
        message_ids: 16,
        texts: 8,
        storm: 1000,
        dry_run_first: false,
        ..Limits::default()
    };
    let mut world = World::with(limits);
    for number in 0..200 {
        world.says(&word(number), 2, number);
        world.later(10_000);
    }
    let (all, _) = world.core.counts();
    assert!(all <= 8, "{all}");
    let closed = world.kinds().iter().filter(|kind| *kind == "closed").count();
    assert!(closed >= 190, "what had to make room is closed in the log: {closed}");
}

#[derive(Debug, Clone)]
enum Move {
    Says(usize, u8, u32),
    Later(u16),
    Answer,
    End(u8),
    Die,
}

fn moves() -> impl Strategy<Value = Vec<Move>> {
    let one = prop_oneof![
        4 => (0_usize..6, 0_u8..4, 0_u32..3).prop_map(|(text, severity, process)| Move::Says(text, severity, process)),
        3 => (0_u16..60_000).prop_map(Move::Later),
        3 => Just(Move::Answer),
        2 => (0_u8..4).prop_map(Move::End),
        1 => Just(Move::Die),
    ];
    proptest::collection::vec(one, 1..60)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    /// No subject is written twice (the world sees to it), every command stands in a finding before, no two commands of
    /// one target are open at a time, and nothing panics; whoever dies at whatever moment.
    #[test]
    fn whatever_happens_each_command_was_found_before_and_none_is_asked_for_twice(moves in moves()) {
        let texts = [PANIC, DIED, "Frobnicator 1 is gone", "Marbles lost", "\u{202e}\u{1b}[31m", ""];
        let mut world = World::new();
        for each in moves {
            match each {
                Move::Says(text, severity, process) => drop(world.says(texts[text], severity, process)),
                Move::Later(milliseconds) => world.later(milliseconds.into()),
                Move::Answer => world.agents_answer("0,0,256,0,0,0"),
                Move::End(status) => {
                    if let Some(command) = world.published.last().cloned() {
                        let status = [
                            OverallStatus::Success, OverallStatus::Undone, OverallStatus::Partial, OverallStatus::Refused,
                        ][usize::from(status)];
                        let outcome = format!(".outcome.{}", command.command_id);
                        if !world.records.iter().any(|(subject, _)| subject.ends_with(&outcome)) {
                            world.ends(&command, status);
                        }
                    }
                }
                Move::Die => {
                    let count = world.records.len();
                    world.dies_after(count);
                }
            }
            let found: Vec<_> = world.findings().into_iter().filter_map(instance_diagnosis::command_of).collect();
            for command in &world.published {
                prop_assert!(found.contains(command), "{command:?} was not found before");
            }
        }
    }
}
