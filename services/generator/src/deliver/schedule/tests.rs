use super::*;

const AWAY: Tried = Tried::Away { too_old: false };
const NOTHING: [u64; 0] = [];

/// A schedule with a clock that stands still until it is moved.
struct Scene {
    schedule: Schedule,
    began: Instant,
    seconds: u64,
    read: u64,
}

impl Scene {
    /// So many messages, of which the first was published at second 1000.
    fn new(at_once: usize, messages: u64) -> Self {
        let mut scene = Self {
            schedule: Schedule::new(at_once, stamp(0)),
            began: Instant::now(),
            seconds: 1_000,
            read: 0,
        };
        scene.publish(messages);
        scene
    }

    fn publish(&mut self, messages: u64) {
        for _ in 0..messages {
            self.read += 1;
            self.schedule.read(self.read, stamp(self.seconds));
        }
    }

    fn now(&self) -> Instant {
        self.began + Duration::from_secs(self.seconds)
    }

    /// All that go out now.
    fn begun(&mut self) -> Vec<u64> {
        let now = self.now();
        std::iter::from_fn(|| self.schedule.begin(now, false)).collect()
    }

    fn tried(&mut self, place: u64, tried: Tried) -> Then {
        let (now, at) = (self.now(), stamp(self.seconds));
        self.schedule.tried(place, tried, now, at)
    }

    fn wait(&mut self, seconds: u64) {
        self.seconds += seconds;
    }

    /// The oldest is tried at its time, in vain, until it was so often.
    fn fail_until(&mut self, place: u64, from: u32, tries: u32) {
        for number in from..tries {
            let due = self.schedule.wakes_at().unwrap();
            while self.now() < due {
                assert_eq!(self.begun(), NOTHING, "nothing goes out before {number} tries are due");
                self.wait(1);
            }
            assert_eq!(self.begun(), [place]);
            assert_eq!(self.tried(place, AWAY), Then::Wait);
        }
    }
}

fn stamp(second: u64) -> Timestamp {
    Timestamp::from_second(i64::try_from(second).unwrap()).unwrap()
}

#[test]
fn while_all_is_well_so_many_are_under_way_as_the_settings_say() {
    let mut scene = Scene::new(10, 25);
    assert_eq!(scene.begun(), (1..=10).collect::<Vec<_>>());
    assert_eq!(scene.tried(4, Tried::Settled), Then::Settle);
    assert_eq!(scene.begun(), [11]);
    assert!(!scene.schedule.wants_more());
    assert_eq!(scene.schedule.turned(), None);
}

#[test]
fn once_one_is_tried_again_nothing_younger_begins_until_it_went_through() {
    let mut scene = Scene::new(3, 6);
    assert_eq!(scene.begun(), [1, 2, 3]);
    // 2 blips; 3 had gone out beside it; 1 answers late.
    assert_eq!(scene.tried(2, AWAY), Then::Wait);
    assert_eq!(scene.tried(3, Tried::Settled), Then::Settle);
    assert_eq!(scene.begun(), NOTHING, "4 would overtake 2");
    scene.wait(1);
    assert_eq!(scene.begun(), NOTHING, "1 is under way still");
    assert_eq!(scene.tried(1, Tried::Settled), Then::Settle);
    assert_eq!(scene.begun(), [2]);
    assert_eq!(scene.begun(), NOTHING, "2 goes alone");
    assert_eq!(scene.tried(2, Tried::Settled), Then::Settle);
    // What was published meanwhile has waited too: one by one. What is new goes several at a time.
    scene.publish(3);
    for place in 4..=6 {
        assert_eq!(scene.begun(), [place]);
        assert_eq!(scene.tried(place, Tried::Settled), Then::Settle);
    }
    assert_eq!(scene.begun(), [7, 8, 9]);
}

#[test]
fn those_that_failed_together_go_out_again_in_order() {
    let mut scene = Scene::new(3, 3);
    assert_eq!(scene.begun(), [1, 2, 3]);
    for place in [3, 1, 2] {
        assert_eq!(scene.tried(place, AWAY), Then::Wait);
    }
    scene.wait(1);
    for place in 1..=3 {
        assert_eq!(scene.begun(), [place]);
        assert_eq!(scene.tried(place, Tried::Settled), Then::Settle);
    }
    assert_eq!(scene.begun(), NOTHING);
    assert!(scene.schedule.wants_more());
}

#[test]
fn between_the_tries_lie_one_two_and_four_seconds_and_then_it_is_away() {
    let mut scene = Scene::new(10, 1);
    let mut tried_at = Vec::new();
    for _ in 0..6 {
        while scene.begun().is_empty() {
            scene.wait(1);
        }
        tried_at.push(scene.seconds - 1_000);
        scene.tried(1, AWAY);
        assert_eq!(scene.schedule.turned(), (tried_at.len() == 4).then_some(true));
    }
    assert_eq!(tried_at, [0, 1, 3, 7, 12, 17]);
    while scene.begun().is_empty() {
        scene.wait(1);
    }
    assert_eq!(scene.tried(1, Tried::Settled), Then::Settle);
    assert_eq!(scene.schedule.turned(), Some(false));
}

#[test]
fn a_message_that_alone_is_not_taken_is_given_up_and_the_rest_goes_on() {
    let mut scene = Scene::new(1, 4);
    assert_eq!(scene.begun(), [1]);
    assert_eq!(scene.tried(1, AWAY), Then::Wait);
    scene.fail_until(1, 1, DOUBTED_AFTER);
    assert_eq!(scene.schedule.turned(), Some(true));
    // The next one is asked beside it, also while the breaker is open.
    let now = scene.now();
    assert_eq!(scene.schedule.begin(now, true), Some(2));
    assert_eq!(scene.schedule.begin(now, true), None);
    assert_eq!(scene.tried(2, Tried::Settled), Then::Settle);
    assert_eq!(scene.schedule.turned(), Some(false), "somebody is here");
    scene.wait(LATER_PAUSE.as_secs());
    assert_eq!(scene.begun(), [1]);
    assert_eq!(scene.tried(1, AWAY), Then::OnlyThisOne { tries: DOUBTED_AFTER + 1 });
    assert_eq!(scene.begun(), [3]);
}

#[test]
fn a_consumer_that_takes_nothing_is_away_and_no_message_is_given_up() {
    let mut scene = Scene::new(1, 3);
    assert_eq!(scene.begun(), [1]);
    scene.tried(1, AWAY);
    scene.fail_until(1, 1, DOUBTED_AFTER);
    for _ in 0..1_000 {
        assert_eq!(scene.begun(), [2], "beside it");
        assert_eq!(scene.tried(2, AWAY), Then::Wait);
        scene.wait(LATER_PAUSE.as_secs());
        assert_eq!(scene.begun(), [1]);
        assert_eq!(scene.tried(1, AWAY), Then::Wait);
    }
    // It comes back, and all are delivered in order.
    assert_eq!(scene.begun(), [2]);
    scene.tried(2, AWAY);
    scene.wait(LATER_PAUSE.as_secs());
    for place in 1..=3 {
        assert_eq!(scene.begun(), [place]);
        assert_eq!(scene.tried(place, Tried::Settled), Then::Settle);
    }
}

#[test]
fn a_consumer_that_came_back_between_two_tries_loses_nothing() {
    let mut scene = Scene::new(1, 3);
    assert_eq!(scene.begun(), [1]);
    scene.tried(1, AWAY);
    scene.fail_until(1, 1, DOUBTED_AFTER);
    assert_eq!(scene.begun(), [2]);
    assert_eq!(scene.tried(2, Tried::Settled), Then::Settle);
    scene.wait(LATER_PAUSE.as_secs());
    assert_eq!(scene.begun(), [1]);
    assert_eq!(scene.tried(1, Tried::Settled), Then::Settle);
    assert_eq!(scene.begun(), [3]);
}

#[test]
fn what_is_the_only_message_waits_for_one_to_compare_it_with() {
    let mut scene = Scene::new(1, 1);
    assert_eq!(scene.begun(), [1]);
    scene.tried(1, AWAY);
    scene.fail_until(1, 1, 20);
    assert!(scene.schedule.wants_more());
    scene.publish(1);
    assert_eq!(scene.begun(), [2]);
}

#[test]
fn after_its_time_a_message_is_given_up() {
    let mut scene = Scene::new(1, 2);
    assert_eq!(scene.begun(), [1]);
    assert_eq!(scene.tried(1, AWAY), Then::Wait);
    scene.wait(1);
    assert_eq!(scene.begun(), [1]);
    assert_eq!(scene.tried(1, Tried::Away { too_old: true }), Then::TooOld);
    assert_eq!(scene.begun(), [2]);
}

#[test]
fn an_open_breaker_holds_back_everything() {
    let mut scene = Scene::new(10, 2);
    let now = scene.now();
    assert_eq!(scene.schedule.begin(now, true), None);
    assert_eq!(scene.schedule.begin(now, false), Some(1));
}
