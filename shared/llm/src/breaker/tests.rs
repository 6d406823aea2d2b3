use instance_clock::MockClock;

use super::*;

fn breaker() -> (Arc<MockClock>, Breaker) {
    let clock = Arc::new(MockClock::new("2026-09-01T10:00:00Z".parse().unwrap()));
    let breaker = Breaker::new("main", Settings::default(), clock.clone());
    (clock, breaker)
}

fn fail(breaker: &Breaker, times: u32) {
    for _ in 0..times {
        breaker.admit().unwrap().failed("timeout");
    }
}

#[test]
fn three_failures_in_a_row_open_it_for_thirty_seconds() {
    let (clock, breaker) = breaker();
    fail(&breaker, 2);
    breaker.admit().unwrap().succeeded();
    fail(&breaker, 2);
    assert_eq!(breaker.status().state, "closed", "only failures in a row count");
    fail(&breaker, 1);
    let open = breaker.admit().unwrap_err();
    assert_eq!(open.to_string(), "the breaker of \"main\" is open until 2026-09-01T10:00:30Z");
    clock.advance(Duration::from_millis(29_999));
    assert!(breaker.admit().is_err());
    clock.advance(Duration::from_millis(1));
    assert_eq!(breaker.status().state, "half_open");
}

#[test]
fn two_trials_that_go_well_close_it_and_one_that_fails_opens_it_again() {
    let (clock, breaker) = breaker();
    fail(&breaker, 3);
    clock.advance(Duration::from_secs(30));
    let (first, second) = (breaker.admit().unwrap(), breaker.admit().unwrap());
    assert!(breaker.admit().is_err(), "two at once, no more");
    first.succeeded();
    assert!(breaker.admit().is_err(), "one went well, one still runs");
    second.succeeded();
    assert_eq!(breaker.status().state, "closed");

    fail(&breaker, 3);
    clock.advance(Duration::from_secs(30));
    breaker.admit().unwrap().succeeded();
    breaker.admit().unwrap().failed("500");
    let status = breaker.status();
    assert_eq!((status.state.as_str(), status.last_failure.as_deref()), ("open", Some("500")));
    let statistics = Statistics { succeeded: 3, failed: 7, abandoned: 0, refused: 2, opened: 3 };
    assert_eq!(status.statistics, statistics);
}

#[test]
fn an_abandoned_trial_makes_room_for_another() {
    let (clock, breaker) = breaker();
    fail(&breaker, 3);
    clock.advance(Duration::from_secs(30));
    let (first, _second) = (breaker.admit().unwrap(), breaker.admit().unwrap());
    drop(first);
    assert!(breaker.admit().is_ok());
}

#[test]
fn a_late_result_says_nothing_about_now() {
    let (clock, breaker) = breaker();
    let late: Vec<_> = (0..3).map(|_| breaker.admit().unwrap()).collect();
    fail(&breaker, 3);
    clock.advance(Duration::from_secs(30));
    let trial = breaker.admit().unwrap();
    late.into_iter().for_each(Permit::succeeded);
    assert_eq!(breaker.status().state, "half_open");
    trial.succeeded();
    assert_eq!(breaker.status().state, "half_open");
}

#[test]
fn a_reset_closes_it_and_a_clock_set_back_does_not_keep_it_open() {
    let (clock, breaker) = breaker();
    fail(&breaker, 3);
    breaker.reset();
    assert_eq!(breaker.status().state, "closed");
    fail(&breaker, 3);
    clock.set("2026-08-01T10:00:00Z".parse().unwrap());
    assert!(breaker.admit().is_err());
    clock.advance(Duration::from_secs(30));
    assert!(breaker.admit().is_ok());
}

#[test]
fn one_that_is_off_lets_everything_through_and_counts() {
    let (_, on) = breaker();
    let off = Breaker { settings: Settings { enabled: false, ..Settings::default() }, ..on };
    fail(&off, 10);
    let status = off.status();
    assert_eq!((status.state.as_str(), status.statistics.failed), ("off", 10));
}

#[test]
fn calls_run_beside_each_other() {
    let (_, breaker) = breaker();
    let meeting = std::sync::Barrier::new(10);
    std::thread::scope(|scope| {
        for _ in 0..10 {
            scope.spawn(|| {
                let permit = breaker.admit().unwrap();
                // Nobody passes before all ten hold a permit: one after the other would never end.
                meeting.wait();
                permit.succeeded();
            });
        }
    });
    assert_eq!(breaker.status().statistics.succeeded, 10);
}
