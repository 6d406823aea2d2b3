use instance_agent::Probe;

use super::{Stage, code};

#[test]
fn after_a_start_that_failed_the_instance_is_started_once_more_on_what_was_restored() {
    let stage = Stage::new();
    stage.write("behave", "bad_cpf");
    let prepared = stage.prepare().unwrap();
    stage.apply(&prepared).unwrap_err();
    assert_eq!(stage.probe_undo(&prepared), Probe::NotDone);
    // Nothing is restored yet: a start would fail in the same way.
    assert_eq!(code(&stage.undo(&prepared).unwrap_err()), "must_not_restart");
    stage.write("behave", "");
    stage.repair_cpf();
    let undone = stage.undo(&prepared).unwrap();
    assert_eq!(undone.changes[0].1.old_value.as_deref(), Some("down"));
    assert_eq!(stage.calls(), ["stop PROD quietly", "start PROD quietly", "start PROD quietly"]);
    assert!(matches!(stage.probe_undo(&prepared), Probe::Done(_)));
    stage.undo(&prepared).unwrap();
    assert_eq!(stage.calls().len(), 3);
}

#[test]
fn an_instance_that_runs_on_what_was_taken_back_is_restarted_once() {
    for behaviour in ["", "same_second"] {
        let stage = Stage::new();
        stage.write("behave", behaviour);
        let (prepared, _) = stage.restart().unwrap();
        assert_eq!(stage.probe_undo(&prepared), Probe::NotDone);
        stage.undo(&prepared).unwrap();
        assert_eq!(stage.calls().len(), 4);
        assert!(matches!(stage.probe_undo(&prepared), Probe::Done(_)));
        stage.undo(&prepared).unwrap();
        assert_eq!(stage.calls().len(), 4, "{behaviour}");
    }
}

#[test]
fn an_instance_that_was_never_stopped_is_left_alone() {
    let mut stage = Stage::new();
    stage.config.stop_seconds = 1;
    stage.write("behave", "stop_lies");
    let prepared = stage.prepare().unwrap();
    stage.apply(&prepared).unwrap_err();
    assert!(matches!(stage.probe_undo(&prepared), Probe::Done(_)));
    let undone = stage.undo(&prepared).unwrap();
    assert!(undone.changes.is_empty() && undone.warnings[0].contains("as it was before"), "{undone:?}");
    assert_eq!(stage.calls(), ["stop PROD quietly"]);

    // Down before, down after.
    let stage = Stage::new();
    stage.down();
    stage.write("behave", "bad_cpf");
    let prepared = stage.prepare().unwrap();
    stage.apply(&prepared).unwrap_err();
    assert!(matches!(stage.probe_undo(&prepared), Probe::Done(_)));
}

#[test]
fn an_undo_that_a_crash_cut_in_two_is_finished_and_not_repeated() {
    let stage = Stage::new();
    let (prepared, _) = stage.restart().unwrap();
    stage.write("behave", "bad_cpf");
    let failure = stage.undo(&prepared).unwrap_err();
    assert_eq!(code(&failure), "start_failed");
    assert_eq!(stage.probe_undo(&prepared), Probe::NotDone);
    stage.write("behave", "");
    stage.repair_cpf();
    stage.undo(&prepared).unwrap();
    assert_eq!(stage.calls().iter().filter(|call| call.starts_with("stop")).count(), 2);
    assert!(matches!(stage.probe_undo(&prepared), Probe::Done(_)));
}

#[test]
fn records_of_long_ago_are_forgotten() {
    let stage = Stage::new();
    let (prepared, _) = stage.restart().unwrap();
    std::fs::create_dir_all(stage.path("state_dir/undo")).unwrap();
    let old = stage.path("state_dir/undo/old.json");
    let file = std::fs::File::create(&old).unwrap();
    file.set_modified(std::time::SystemTime::UNIX_EPOCH).unwrap();
    stage.undo(&prepared).unwrap();
    assert!(!old.exists());
    assert_eq!(std::fs::read_dir(stage.path("state_dir/undo")).unwrap().count(), 1);
}
