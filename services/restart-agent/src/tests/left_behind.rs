//! "Down" is not enough for a start: a run whose processes are there has not ended, whoever has stopped it.

use std::time::Duration;

use instance_contract::{Failure, RestartInstance, WhenUsersStay};

use super::{Stage, code};

const FORCE: RestartInstance = RestartInstance {
    users_seconds: None,
    // A stop comes to its own end in it, on a busy machine too.
    stop_seconds: Some(5),
    start_seconds: None,
    when_users_stay: None,
    force: true,
    failover: false,
};

fn is_a_failed_stop(failure: &Failure) {
    assert!(matches!(failure, Failure::Unknown { .. }), "{failure}");
    assert_eq!(code(failure), "stop_failed");
    assert!(failure.cause().message.contains("its processes 100 still run"), "{failure}");
}

#[test]
fn a_stop_that_failed_is_followed_by_no_start_in_the_next_attempt_or_the_undo() {
    let mut stage = Stage::new();
    stage.config.stop_seconds = 5;
    stage.write("behave", "processes_stay");
    let prepared = stage.prepare().unwrap();
    is_a_failed_stop(&stage.apply(&prepared).unwrap_err());
    stage.config.stop_seconds = 1;
    is_a_failed_stop(&stage.apply(&prepared).unwrap_err());
    is_a_failed_stop(&stage.undo(&prepared).unwrap_err());
    assert_eq!(stage.calls(), ["stop PROD quietly"]);
    // Once it is over, whoever comes next brings the instance up.
    stage.run(&["vanish"]);
    stage.undo(&prepared).unwrap();
    assert_eq!(stage.calls(), ["stop PROD quietly", "start PROD quietly"]);
}

#[test]
fn the_next_attempt_waits_for_a_stop_that_takes_longer() {
    let mut stage = Stage::new();
    stage.config.stop_seconds = 5;
    stage.write("behave", "processes_stay");
    let prepared = stage.prepare().unwrap();
    is_a_failed_stop(&stage.apply(&prepared).unwrap_err());
    stage.config.stop_seconds = 60;
    let iris = stage.path("iris");
    let ending = std::thread::spawn(move || {
        std::thread::sleep(Duration::from_millis(300));
        assert!(std::process::Command::new(iris).arg("vanish").status().unwrap().success());
    });
    stage.apply(&prepared).unwrap();
    ending.join().unwrap();
    assert_eq!(stage.calls(), ["stop PROD quietly", "start PROD quietly"]);
}

#[test]
fn the_next_attempt_forces_what_a_failed_stop_has_left_only_where_all_agree() {
    for allowed in [true, false] {
        let mut stage = Stage::new();
        stage.write("behave", "processes_stay");
        let prepared = stage.prepare().unwrap();
        let attempt = |stage: &Stage| stage.apply_as(&prepared, FORCE, Duration::from_mins(1), &|| Ok(()));
        let agreed = |stage: &Stage| stage.force_as(&prepared, FORCE, &|| Ok(()));
        is_a_failed_stop(&attempt(&stage).unwrap_err());
        stage.config.allow_force = allowed;
        if allowed {
            assert_eq!(code(&attempt(&stage).unwrap_err()), "force_not_agreed");
            assert_eq!(stage.calls(), ["stop PROD quietly"]);
            agreed(&stage).unwrap();
            assert_eq!(stage.calls(), ["stop PROD quietly", "force PROD", "start PROD quietly"]);
        } else {
            is_a_failed_stop(&agreed(&stage).unwrap_err());
            assert_eq!(stage.calls(), ["stop PROD quietly"]);
        }
    }
}

#[test]
fn what_somebody_else_has_left_behind_is_neither_forced_nor_started() {
    let mut stage = Stage::new();
    stage.config.allow_force = true;
    stage.write("state", "down");
    let failure = stage.restart_as(FORCE).unwrap_err();
    assert!(matches!(failure, Failure::Transient { .. }), "{failure}");
    assert_eq!((code(&failure), stage.calls().len()), ("instance_unsettled", 0));
    assert!(failure.cause().message.contains("its processes 100 still run"), "{failure}");
}

/// `[config] console` may put the log anywhere; where the processes work is another matter.
#[test]
fn processes_are_found_in_the_manager_directory_wherever_the_log_is() {
    let mut stage = Stage::new();
    std::fs::create_dir(stage.path("logs")).unwrap();
    std::os::unix::fs::symlink(stage.path("mgr/messages.log"), stage.path("logs/messages.log")).unwrap();
    stage.config.instances[0].messages_log = stage.path("logs/messages.log");
    assert_eq!(stage.site().host.processes().unwrap().len(), 1);
    stage.restart().unwrap();
}

#[test]
fn an_instance_that_runs_without_a_process_to_be_seen_is_not_stopped() {
    let mut stage = Stage::new();
    stage.config.when_users_stay = WhenUsersStay::Stop;
    stage.config.instances[0].manager_dir = Some(stage.path("elsewhere"));
    let failure = stage.restart().unwrap_err();
    assert_eq!(code(&failure), "no_processes");
    assert!(matches!(failure, Failure::Permanent { .. }), "{failure}");
    let told = &failure.cause().message;
    assert!(told.contains("manager_dir") && told.contains("elsewhere"), "{told}");
    assert_eq!(stage.calls().len(), 0);
}
