//! What is never restarted, and what is not restarted again so soon.

use std::{fs, time::Duration};

use instance_contract::Failure;

use super::{Stage, code, key};

#[test]
fn an_instance_that_started_this_agent_is_never_stopped_by_it() {
    let stage = Stage::new();
    // The agent as a descendant of a process of the instance, as the kernel would show it.
    let own = std::process::id();
    let folder = stage.path("proc").join(own.to_string());
    fs::create_dir(&folder).unwrap();
    let line = format!("{own} (instance-restar) S 100 1 1 0 -1 0 0 0 0 0 0 0 0 0 20 0 1 0 9000 1 1\n");
    fs::write(folder.join("stat"), line).unwrap();
    for failure in [stage.forecast().unwrap_err(), stage.prepare().unwrap_err()] {
        assert!(matches!(failure, Failure::Refused { .. }), "{failure}");
        assert_eq!(code(&failure), "carries_instance");
    }
    fs::remove_dir_all(folder).unwrap();
    stage.restart().unwrap();
}

#[test]
fn a_second_restart_waits_for_its_time() {
    let mut stage = Stage::new();
    stage.config.minutes_between_restarts = 15;
    stage.restart().unwrap();
    let (first, calls) = (stage.step.clone(), stage.calls().len());
    stage.step = key("restart-2");
    stage.clock.advance(Duration::from_mins(14));
    for failure in [stage.prepare().unwrap_err(), stage.forecast().unwrap_err()] {
        assert!(matches!(failure, Failure::Refused { .. }), "{failure}");
        assert_eq!(code(&failure), "restart_too_soon");
        assert!(failure.cause().message.contains("not before 2026-11-21T08:15:00Z"), "{failure}");
    }
    assert_eq!(stage.calls().len(), calls);
    // The same step is not another restart.
    stage.step = first;
    stage.prepare().unwrap();
    stage.step = key("restart-2");
    stage.clock.advance(Duration::from_mins(1));
    stage.restart().unwrap();
}

#[test]
fn an_hour_holds_only_so_many_restarts() {
    let mut stage = Stage::new();
    stage.config.restarts_per_hour = 2;
    for number in 0..2 {
        stage.step = key(&format!("restart-{number}"));
        stage.restart().unwrap();
        stage.clock.advance(Duration::from_mins(10));
    }
    stage.step = key("restart-3");
    assert_eq!(code(&stage.prepare().unwrap_err()), "restart_too_soon");
    // Bringing up what is down is no restart.
    stage.down();
    stage.restart().unwrap();
    stage.clock.advance(Duration::from_mins(41));
    stage.restart().unwrap();
}

#[test]
fn a_stop_that_failed_is_no_restart() {
    let mut stage = Stage::new();
    (stage.config.minutes_between_restarts, stage.config.stop_seconds) = (15, 1);
    stage.write("behave", "stop_lies");
    stage.restart().unwrap_err();
    stage.write("behave", "");
    stage.step = key("restart-2");
    stage.restart().unwrap();
}

#[test]
fn an_undo_is_not_held_up_and_a_damaged_record_is_told() {
    let mut stage = Stage::new();
    stage.config.minutes_between_restarts = 15;
    let (prepared, _) = stage.restart().unwrap();
    stage.undo(&prepared).unwrap();
    assert_eq!(stage.calls().len(), 4);
    fs::write(stage.path("state_dir/restarts/PROD.json"), "{").unwrap();
    assert_eq!(code(&stage.prepare().unwrap_err()), "restart_times");
}
