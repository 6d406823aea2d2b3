use std::{
    cell::Cell,
    time::{Duration, Instant},
};

use instance_agent::Probe;
use instance_contract::Failure;

use super::{Stage, code};

#[test]
fn a_running_instance_is_stopped_and_started_and_the_figures_are_measured() {
    let stage = Stage::new();
    let (prepared, applied) = stage.restart().unwrap();
    assert_eq!(
        (prepared.before.as_str(), prepared.wanted.as_str(), prepared.already),
        ("running", "running", false)
    );
    assert_eq!(stage.calls(), ["stop PROD quietly", "start PROD quietly"]);
    let names: Vec<_> = applied.changes.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(
        names,
        [
            "instance PROD",
            "drain_ms",
            "sessions",
            "open_transactions",
            "stop_ms",
            "start_ms",
            "ready_ms",
            "databases_mounted",
            "processes"
        ]
    );
    for (name, change) in &applied.changes[1..] {
        change.new_value.as_ref().unwrap().parse::<u64>().expect(name);
    }
    assert!(matches!(stage.probe(&prepared), Probe::Done(_)));
}

#[test]
fn the_program_sees_the_environment_of_the_settings_and_nothing_of_ours() {
    let mut stage = Stage::new();
    stage.config.iris_environment.insert("ISC_CPF_MERGE_FILE".to_owned(), "/etc/iris/merge.cpf".to_owned());
    stage.restart().unwrap();
    let seen = std::fs::read_to_string(stage.path("environment")).unwrap();
    assert!(seen.lines().any(|line| line == "ISC_CPF_MERGE_FILE=/etc/iris/merge.cpf"), "{seen}");
    assert!(!seen.contains("CARGO_"), "{seen}");
}

#[test]
fn doing_it_twice_is_doing_it_once() {
    for behaviour in ["", "same_second"] {
        let stage = Stage::new();
        stage.write("behave", behaviour);
        let (prepared, _) = stage.restart().unwrap();
        stage.apply(&prepared).unwrap();
        assert_eq!(stage.calls(), ["stop PROD quietly", "start PROD quietly"], "{behaviour}");
        // A new order is a new goal.
        stage.restart().unwrap();
        assert_eq!(stage.calls().len(), 4);
    }
}

#[test]
fn after_a_crash_between_stop_and_start_only_the_start_is_left() {
    let stage = Stage::new();
    let prepared = stage.prepare().unwrap();
    assert_eq!(stage.probe(&prepared), Probe::NotDone);
    stage.down();
    assert_eq!(stage.probe(&prepared), Probe::NotDone);
    stage.apply(&prepared).unwrap();
    assert_eq!(stage.calls(), ["start PROD quietly"]);
}

#[test]
fn a_stop_that_a_crash_left_on_its_way_is_waited_for() {
    let stage = Stage::new();
    let prepared = stage.prepare().unwrap();
    stage.write("state", "stopping");
    assert_eq!(stage.probe(&prepared), Probe::NotDone);
    stage.write("behave", "settles");
    stage.apply(&prepared).unwrap();
    assert_eq!(stage.calls(), ["start PROD quietly"]);
}

#[test]
fn an_instance_that_is_down_is_started_and_one_that_hangs_is_restarted() {
    let stage = Stage::new();
    stage.down();
    let (prepared, _) = stage.restart().unwrap();
    assert_eq!((prepared.before.as_str(), stage.calls()), ("down", vec!["start PROD quietly".to_owned()]));

    let stage = Stage::new();
    stage.write("health", "hung");
    let (prepared, _) = stage.restart().unwrap();
    assert_eq!((prepared.before.as_str(), stage.calls().len()), ("hung", 2));
}

#[test]
fn exit_codes_are_not_believed_either_way() {
    let stage = Stage::new();
    stage.write("behave", "odd_exit");
    stage.restart().unwrap();

    let mut stage = Stage::new();
    stage.config.stop_seconds = 1;
    stage.write("behave", "stop_lies");
    let failure = stage.restart().unwrap_err();
    assert!(matches!(failure, Failure::Permanent { .. }), "{failure}");
    assert_eq!((code(&failure), stage.calls()), ("stop_failed", vec!["stop PROD quietly".to_owned()]));
    assert!(failure.cause().message.contains("iris stop said \"Shutdown complete\""), "{failure}");
}

#[test]
fn a_stop_ends_with_its_time_and_nothing_is_started_after_it() {
    for (behaviour, known) in [("stop_hangs", true), ("stop_midway", false)] {
        let mut stage = Stage::new();
        stage.config.stop_seconds = 2;
        stage.write("behave", behaviour);
        let prepared = stage.prepare().unwrap();
        let began = Instant::now();
        let failure = stage.apply(&prepared).unwrap_err();
        assert!(began.elapsed() < Duration::from_secs(20), "{behaviour}");
        assert_eq!((code(&failure), stage.calls()), ("stop_failed", vec!["stop PROD quietly".to_owned()]));
        assert_eq!(matches!(failure, Failure::Permanent { .. }), known, "{failure}");
    }
    // The time of the attempt counts too, where it is shorter.
    let stage = Stage::new();
    stage.write("behave", "stop_hangs");
    let prepared = stage.prepare().unwrap();
    let began = Instant::now();
    stage.apply_within(&prepared, Duration::from_secs(1), &|| Ok(())).unwrap_err();
    assert!(began.elapsed() < Duration::from_secs(20));
}

#[test]
fn a_start_that_fails_tells_the_instances_own_words() {
    let stage = Stage::new();
    stage.write("behave", "bad_cpf");
    let prepared = stage.prepare().unwrap();
    let failure = stage.apply(&prepared).unwrap_err();
    assert!(matches!(failure, Failure::Permanent { .. }), "{failure}");
    assert_eq!(code(&failure), "start_failed");
    for part in
        ["cpf-parameter-unknown", "it is down", "Invalid parameter name 'frobs'", "Error: Parsing CPF file"]
    {
        assert!(failure.cause().message.contains(part), "no \"{part}\" in {failure}");
    }
}

#[test]
fn what_a_restart_makes_worse_is_refused() {
    for id in ["database-degradation", "cpf-parse-failed"] {
        let stage = Stage::new();
        let row = instance_knowledge::condition(id).unwrap();
        stage.say(&format!("2 [Generic.Event] {}", row.wordings[0].example));
        let failure = stage.restart().unwrap_err();
        assert!(matches!(failure, Failure::Refused { .. }), "{failure}");
        assert_eq!((code(&failure), stage.calls().len()), ("must_not_restart", 0));
        assert!(failure.cause().message.contains(id), "{failure}");
    }
}

#[test]
fn a_start_that_failed_on_its_cpf_is_tried_again_only_when_the_cpf_is_another() {
    let stage = Stage::new();
    stage.write("behave", "bad_cpf");
    let prepared = stage.prepare().unwrap();
    stage.apply(&prepared).unwrap_err();
    assert_eq!(code(&stage.prepare().unwrap_err()), "must_not_restart");
    // The plan may hold a change of the CPF before the restart, so the forecast only warns.
    let forecast = stage.forecast().unwrap();
    assert!(
        forecast.warnings.iter().any(|warning| warning.contains("it must be changed first")),
        "{forecast:?}"
    );

    stage.repair_cpf();
    stage.write("behave", "");
    stage.restart().unwrap();
}

#[test]
fn an_instance_on_its_way_is_left_to_whoever_sent_it() {
    for state in ["starting", "sign-on inhibited"] {
        let stage = Stage::new();
        stage.write("state", state);
        let failure = stage.prepare().unwrap_err();
        assert!(matches!(failure, Failure::Transient { .. }), "{failure}");
        assert_eq!((code(&failure), stage.calls().len()), ("instance_unsettled", 0));
    }
}

#[test]
fn sessions_and_mirrors_are_told_and_a_primary_does_not_fail_over() {
    let stage = Stage::new();
    stage.write("behave", "sessions");
    stage.write("mirror", "Failover^Primary");
    let (_, applied) = stage.restart().unwrap();
    assert_eq!(stage.calls()[0], "stop PROD nofailover quietly");
    let warnings = applied.warnings.join("\n");
    assert!(warnings.contains("3 user process(es)") && warnings.contains("without failover"), "{warnings}");
}

#[test]
fn a_forecast_warns_of_what_may_take_longer() {
    let mut stage = Stage::new();
    stage.config.stop_seconds = 10;
    let forecast = stage.forecast().unwrap();
    assert_eq!(
        (forecast.target.as_str(), forecast.before.as_str(), forecast.after.as_str()),
        ("instance PROD", "running", "running")
    );
    assert!(forecast.warnings.iter().any(|it| it.contains("ShutdownTimeout is 20 s")), "{forecast:?}");
    assert!(stage.calls().is_empty());
}

#[test]
fn who_may_no_longer_act_says_what_is_left_behind() {
    // Halted before the stop, and between stop and start.
    for (allowed, expected, calls) in [(0, "halted", 0), (1, "not_started", 1)] {
        let stage = Stage::new();
        let prepared = stage.prepare().unwrap();
        let left = Cell::new(allowed);
        let last_look = || match left.get() {
            0 => Err(Failure::refused("halted", "stopped by a person")),
            some => {
                left.set(some - 1);
                Ok(())
            }
        };
        let failure = stage.apply_within(&prepared, Duration::from_mins(1), &last_look).unwrap_err();
        assert_eq!((code(&failure), stage.calls().len()), (expected, calls));
        assert_eq!(matches!(failure, Failure::Unknown { .. }), calls == 1, "{failure}");
    }
}

#[test]
fn a_program_that_is_not_there_and_an_instance_that_it_does_not_know_are_named() {
    let mut stage = Stage::new();
    stage.config.instances[0].name = "OTHER".parse().unwrap();
    assert_eq!(code(&stage.prepare().unwrap_err()), "instance_not_found");
    stage.config.iris_command = stage.path("nowhere");
    let failure = stage.prepare().unwrap_err();
    assert_eq!(code(&failure), "iris_command_failed");
    assert!(failure.cause().message.contains("No such file"), "{failure}");
}
