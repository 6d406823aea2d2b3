//! An instance that does not stop is killed only where the command and the settings both say so, and a person who was asked
//! again says so too.

use std::{
    io::{BufRead as _, BufReader, Write as _},
    os::unix::net::UnixListener,
    process::Command,
    thread,
    time::Duration,
};

use instance_agent::Prepared;
use instance_contract::{Failure, RestartInstance};
use serde_json::{Value, json};

use super::{Stage, code, figure};

const FORCE: RestartInstance = RestartInstance {
    users_seconds: None,
    stop_seconds: Some(1),
    start_seconds: None,
    when_users_stay: None,
    force: true,
    failover: false,
};

/// The same where the stop must come to its own end before it is forced, on a machine that is busy too ...
const UNHURRIED: RestartInstance = RestartInstance { stop_seconds: Some(5), start_seconds: Some(1), ..FORCE };
/// ... in so much time, of which the stop gets a third.
const LONG_ENOUGH: Duration = Duration::from_secs(12);

#[test]
fn a_stop_that_fails_is_forced_only_when_command_and_settings_agree() {
    for (asked, allowed) in [(false, false), (false, true), (true, false)] {
        let mut stage = Stage::new();
        stage.config.allow_force = allowed;
        stage.write("behave", "stop_lies");
        let failure = stage.restart_as(RestartInstance { force: asked, ..FORCE }).unwrap_err();
        assert!(matches!(failure, Failure::Permanent { .. }), "{failure}");
        assert_eq!((code(&failure), stage.calls()), ("stop_failed", vec!["stop PROD quietly".to_owned()]));
    }
    let mut stage = Stage::new();
    stage.config.allow_force = true;
    stage.write("behave", "stop_lies");
    let prepared = stage.prepare().unwrap();
    is_a_question(&stage, &prepared, FORCE);
    let applied = stage.force_as(&prepared, FORCE, &|| Ok(())).unwrap();
    assert_eq!(stage.calls(), ["stop PROD quietly", "force PROD", "start PROD quietly"]);
    assert!(figure(&applied, "force_ms").is_some() && figure(&applied, "stop_ms").is_none());
    assert!(applied.warnings.iter().any(|warning| warning.contains("forced down")), "{applied:?}");
}

/// The first attempt stops in order, and where that fails a person is asked.
fn is_a_question(stage: &Stage, prepared: &Prepared, restart: RestartInstance) {
    let failure = stage.apply_as(prepared, restart, LONG_ENOUGH, &|| Ok(())).unwrap_err();
    // The next attempt goes on with what this one has recorded.
    assert!(matches!(failure, Failure::Unknown { .. }), "{failure}");
    assert_eq!((code(&failure), stage.calls()), ("force_not_agreed", vec!["stop PROD quietly".to_owned()]));
    assert!(failure.cause().message.contains("after the stop was asked for"), "{failure}");
}

/// As a person's answer may take half an hour, the instance may have stopped by itself when it comes.
#[test]
fn an_instance_that_has_stopped_since_the_question_is_started_and_not_forced() {
    let mut stage = Stage::new();
    stage.config.allow_force = true;
    stage.write("behave", "stop_lies");
    let prepared = stage.prepare().unwrap();
    is_a_question(&stage, &prepared, FORCE);
    stage.down();
    stage.force_as(&prepared, FORCE, &|| Ok(())).unwrap();
    assert_eq!(stage.calls(), ["stop PROD quietly", "start PROD quietly"]);
}

/// It is neither up nor down, and waiting longer would help nobody.
#[test]
fn an_instance_that_is_stuck_on_its_way_down_is_forced_with_a_yes() {
    let mut stage = Stage::new();
    stage.config.allow_force = true;
    stage.write("behave", "stop_midway");
    let prepared = stage.prepare().unwrap();
    is_a_question(&stage, &prepared, UNHURRIED);
    stage.force_as(&prepared, RestartInstance { start_seconds: None, ..UNHURRIED }, &|| Ok(())).unwrap();
    assert_eq!(stage.calls(), ["stop PROD quietly", "force PROD", "start PROD quietly"]);
}

/// Whoever says yes to force says it to this restart alone: the settings must still let it.
#[test]
fn a_yes_alone_forces_nothing() {
    let stage = Stage::new();
    stage.write("behave", "stop_lies");
    for restart in [FORCE, RestartInstance { force: false, ..FORCE }] {
        let failure = stage.force_as(&stage.prepare().unwrap(), restart, &|| Ok(())).unwrap_err();
        assert_eq!(code(&failure), "stop_failed");
    }
    assert_eq!(stage.calls(), ["stop PROD quietly", "stop PROD quietly"]);
}

#[test]
fn a_stop_that_failed_and_was_not_agreed_to_leaves_a_running_instance_alone() {
    let mut stage = Stage::new();
    stage.config.allow_force = true;
    stage.write("behave", "stop_lies");
    let prepared = stage.prepare().unwrap();
    is_a_question(&stage, &prepared, FORCE);
    stage.undo(&prepared).unwrap();
    assert_eq!(stage.calls(), ["stop PROD quietly"]);
}

#[test]
fn an_instance_that_stops_in_time_is_never_forced() {
    let mut stage = Stage::new();
    stage.config.allow_force = true;
    stage.restart_as(RestartInstance { stop_seconds: None, ..FORCE }).unwrap();
    assert_eq!(stage.calls(), ["stop PROD quietly", "start PROD quietly"]);
}

#[test]
fn nothing_is_started_after_force_that_failed() {
    let mut stage = Stage::new();
    stage.config.allow_force = true;
    stage.write("behave", "stop_midway force_fails");
    let prepared = stage.prepare().unwrap();
    is_a_question(&stage, &prepared, UNHURRIED);
    let failure = stage.force_as(&prepared, UNHURRIED, &|| Ok(())).unwrap_err();
    assert!(matches!(failure, Failure::Unknown { .. }), "{failure}");
    assert_eq!(code(&failure), "stop_failed");
    assert_eq!(stage.calls(), ["stop PROD quietly", "force PROD"]);
}

/// Runs the script for each connection, as `instance-iris@.service` does, and says nothing after this verb.
pub fn lose_the_answer_of(verb: &'static str, stage: &mut Stage) {
    let socket = stage.path("socket");
    let listener = UnixListener::bind(&socket).unwrap();
    let iris = stage.path("iris");
    stage.config.iris_socket = Some(socket);
    thread::spawn(move || {
        for connection in listener.incoming() {
            let mut connection = connection.unwrap();
            let mut line = String::new();
            BufReader::new(&connection).read_line(&mut line).unwrap();
            let question: Value = serde_json::from_str(&line).unwrap();
            let words: Vec<String> = serde_json::from_value(question["words"].clone()).unwrap();
            let output = Command::new(&iris).args(&words).output().unwrap();
            if words[0] != verb {
                let [stdout, stderr] =
                    [output.stdout, output.stderr].map(|it| String::from_utf8(it).unwrap());
                let finished = json!({"code": output.status.code(), "signal": null, "stdout": stdout,
                    "stderr": stderr, "timed_out": false});
                writeln!(connection, "{}", json!({ "finished": finished })).unwrap();
            }
        }
    });
}

#[test]
fn force_whose_answer_is_lost_may_have_been_done() {
    let mut stage = Stage::new();
    stage.config.allow_force = true;
    stage.write("behave", "stop_lies");
    lose_the_answer_of("force", &mut stage);
    let prepared = stage.prepare().unwrap();
    is_a_question(&stage, &prepared, FORCE);
    let applied = stage.force_as(&prepared, FORCE, &|| Ok(())).unwrap();
    assert_eq!(stage.calls(), ["stop PROD quietly", "force PROD", "start PROD quietly"]);
    assert!(figure(&applied, "force_ms").is_some());

    let mut stage = Stage::new();
    stage.config.allow_force = true;
    stage.write("behave", "stop_midway force_fails");
    lose_the_answer_of("force", &mut stage);
    let prepared = stage.prepare().unwrap();
    is_a_question(&stage, &prepared, UNHURRIED);
    let failure = stage.force_as(&prepared, UNHURRIED, &|| Ok(())).unwrap_err();
    assert!(matches!(failure, Failure::Unknown { .. }), "{failure}");
}

#[test]
fn who_may_no_longer_act_does_not_force() {
    let mut stage = Stage::new();
    stage.config.allow_force = true;
    stage.write("behave", "stop_lies");
    let asked = std::cell::Cell::new(0);
    // The last of them comes directly before force.
    let last_look = || {
        asked.set(asked.get() + 1);
        if asked.get() == 1 { Ok(()) } else { Err(Failure::refused("halted", "stopped by a person")) }
    };
    let prepared = stage.prepare().unwrap();
    is_a_question(&stage, &prepared, FORCE);
    let failure = stage.force_as(&prepared, FORCE, &last_look).unwrap_err();
    assert_eq!((code(&failure), stage.calls().len()), ("halted", 1));
}

#[test]
fn a_forecast_calls_force_dangerous_and_says_what_it_is() {
    let mut stage = Stage::new();
    let forecast = crate::restart::forecast(&stage.site(), &FORCE).unwrap();
    assert!(forecast.dangerous);
    assert!(forecast.warnings.iter().any(|warning| warning.contains("\"allow_force\"")), "{forecast:?}");
    stage.config.allow_force = true;
    let forecast = crate::restart::forecast(&stage.site(), &FORCE).unwrap();
    assert!(forecast.warnings.iter().any(|warning| warning.contains("is killed")), "{forecast:?}");
    assert!(!stage.forecast().unwrap().dangerous);
}

#[test]
fn down_is_believed_only_when_no_process_is_left() {
    let mut stage = Stage::new();
    stage.config.stop_seconds = 5;
    stage.write("behave", "processes_stay");
    let failure = stage.restart().unwrap_err();
    assert_eq!((code(&failure), stage.calls()), ("stop_failed", vec!["stop PROD quietly".to_owned()]));
    assert!(failure.cause().message.contains("its processes 100 still run"), "{failure}");
    assert!(matches!(failure, Failure::Unknown { .. }), "{failure}");
}

#[test]
fn a_stop_that_hangs_leaves_no_process_behind() {
    let mut stage = Stage::new();
    stage.config.stop_seconds = 1;
    stage.write("behave", "stop_hangs");
    assert_eq!(code(&stage.restart().unwrap_err()), "stop_failed");
    assert!(!stage.left_behind_runs());
}
