//! When an instance counts as started, and what is said when it does not.

use std::net::TcpListener;

use instance_agent::Probe;
use instance_contract::Failure;

use super::{CPF, Stage, code, figure, forced::lose_the_answer_of};

/// A restart that cannot be finished, and what it says.
fn check_not_ready(behaviour: &str, says: &str) {
    let mut stage = Stage::new();
    stage.config.start_seconds = 5;
    stage.write("behave", behaviour);
    if behaviour == "closed" {
        stage.close_superserver();
    }
    let failure = stage.restart().unwrap_err();
    assert_eq!(code(&failure), "start_failed");
    assert!(failure.cause().message.contains(says), "{failure}");
}

#[test]
fn running_is_not_ready() {
    check_not_ready("no_logons", "Enabling logons");
    check_not_ready("closed", "does not accept");
}

#[test]
fn a_start_whose_answer_is_lost_is_looked_for() {
    let mut stage = Stage::new();
    lose_the_answer_of("start", &mut stage);
    stage.restart().unwrap();
    assert_eq!(stage.calls(), ["stop PROD quietly", "start PROD quietly"]);

    // It came to nothing, and nobody said so: its own log does.
    let mut stage = Stage::new();
    stage.config.start_seconds = 2;
    stage.write("behave", "bad_cpf");
    lose_the_answer_of("start", &mut stage);
    let failure = stage.restart().unwrap_err();
    assert_eq!(code(&failure), "start_failed");
    let says = &failure.cause().message;
    assert!(says.contains("frobs") && says.contains("the answer of iris start was lost"), "{failure}");
}

#[test]
fn a_look_that_fails_tells_nothing_of_the_start() {
    let stage = Stage::new();
    stage.write("behave", "qlist_fails_once");
    stage.restart().unwrap();

    let mut stage = Stage::new();
    stage.config.start_seconds = 2;
    stage.write("behave", "qlist_fails_then");
    let failure = stage.restart().unwrap_err();
    assert!(matches!(failure, Failure::Unknown { .. }), "{failure}");
    assert!(failure.cause().message.contains("whether the instance is up is not known"), "{failure}");
}

#[test]
fn somebody_elses_port_is_not_the_superserver() {
    check_not_ready(
        "foreign_port",
        "a process of user 1000, not of the instance, holds its superserver port",
    );
}

/// `[Startup] DefaultPortBindAddress`: nobody listens on the loopback's own address then.
#[test]
fn a_superserver_that_is_bound_to_another_address_is_asked_there() {
    let stage = Stage::new();
    let elsewhere = TcpListener::bind("127.0.0.2:0").unwrap();
    stage.close_superserver();
    stage.write("port", &elsewhere.local_addr().unwrap().port().to_string());
    stage.write("address", "0200007F");
    stage.run(&["appear", "5000"]);
    stage.restart().unwrap();
    // Every address there is: tried at the loopback's.
    let everywhere = TcpListener::bind("0.0.0.0:0").unwrap();
    stage.write("port", &everywhere.local_addr().unwrap().port().to_string());
    stage.write("address", "00000000");
    stage.run(&["appear", "6000"]);
    stage.restart().unwrap();
}

#[test]
fn a_database_that_was_mounted_before_must_be_mounted_again() {
    check_not_ready("user_unmounted", "database /prod/mgr/user/ is not mounted");
    // One that the CPF no longer knows is not expected.
    let stage = Stage::new();
    stage.write("behave", "user_unmounted");
    stage.write("iris.cpf", "[ConfigFile]\nVersion=2024.2\n[Databases]\nIRISSYS=/prod/mgr/\n");
    let (prepared, applied) = stage.restart().unwrap();
    assert_eq!(figure(&applied, "databases_mounted"), Some(1));
    let (_, change) = applied.changes.iter().find(|(name, _)| name == "databases_mounted").unwrap();
    assert_eq!(change.old_value.as_deref(), Some("2"));
    assert!(matches!(stage.probe(&prepared), Probe::Done(_)));
}

#[test]
fn an_instance_that_calls_alert_itself_is_not_ready() {
    check_not_ready("alerted", "its health is \"alert\"");
    let stage = Stage::new();
    stage.write("behave", "warned");
    stage.restart().unwrap();
}

/// Five system alerts at a start make it "alert", and half an hour passes before that goes: it was so before.
#[test]
fn alert_is_not_held_against_a_start_where_it_was_no_better_before() {
    for before in ["alert", "hung", "down"] {
        let stage = Stage::new();
        if before == "down" {
            stage.down();
        } else {
            stage.write("health", before);
        }
        stage.write("behave", "alerted");
        let (prepared, applied) = stage.restart().unwrap();
        assert!(applied.warnings.iter().any(|told| told.contains("was not better before")), "{applied:?}");
        assert!(matches!(stage.probe(&prepared), Probe::Done(_)), "{before}");
    }
    // The undo of a restart that has made it worse does not take that for how it was.
    let mut stage = Stage::new();
    stage.config.start_seconds = 5;
    stage.write("behave", "alerted");
    let prepared = stage.prepare().unwrap();
    stage.apply(&prepared).unwrap_err();
    let failure = stage.undo(&prepared).unwrap_err();
    assert!(failure.cause().message.contains("its health is \"alert\""), "{failure}");
}

#[test]
fn a_web_server_that_answered_before_must_answer_again() {
    let wanted = format!("{CPF}WebServer=1\n");
    // What the CPF says by the time of the start, and whether the instance counts as ready without its web server.
    for (cpf, ready) in [(wanted.as_str(), false), (CPF, true)] {
        let mut stage = Stage::new();
        stage.config.start_seconds = 5;
        stage.write("iris.cpf", &wanted);
        let web = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = web.local_addr().unwrap().port();
        stage.write("web_port", &port.to_string());
        let prepared = stage.prepare().unwrap();
        drop(web);
        stage.write("iris.cpf", cpf);
        match stage.apply(&prepared) {
            Ok(_) => assert!(ready),
            Err(failure) => {
                assert!(!ready, "{failure}");
                let told = format!("its web server does not accept on port {port}");
                assert!(failure.cause().message.contains(&told), "{failure}");
            }
        }
    }
    // One that did not answer before is not this restart's to bring back.
    let stage = Stage::new();
    stage.write("iris.cpf", &wanted);
    stage.write("web_port", "1");
    stage.restart().unwrap();
}

#[test]
fn at_a_first_start_the_cpf_tells_which_databases_to_expect() {
    for (mount_at_start, ready) in [("1", false), ("0", true)] {
        let mut stage = Stage::new();
        stage.config.start_seconds = 5;
        stage.down();
        std::fs::remove_file(stage.path("mgr/messages.log")).unwrap();
        let cpf = format!(
            "[ConfigFile]\nVersion=2024.2\n[Databases]\nIRISSYS=/prod/mgr/\nUSER=/prod/mgr/user/,,{mount_at_start}\n"
        );
        stage.write("iris.cpf", &cpf);
        stage.write("behave", "user_unmounted");
        match stage.restart() {
            Ok(_) => assert!(ready),
            Err(failure) => {
                assert!(!ready, "{failure}");
                assert!(
                    failure.cause().message.contains("database /prod/mgr/user/ is not mounted"),
                    "{failure}"
                );
            }
        }
    }
}

#[test]
fn a_start_that_fails_names_the_cause_and_the_next_step() {
    let stage = Stage::new();
    stage.write("behave", "bad_cpf");
    let failure = stage.restart().unwrap_err();
    let row = instance_knowledge::condition("cpf-parameter-unknown").unwrap();
    let message = &failure.cause().message;
    assert!(message.starts_with("instance did not start: cpf-parameter-unknown; it is down"), "{message}");
    assert!(message.contains(&format!("remedy: {}", row.remedy)), "{message}");
}

#[test]
fn a_start_that_hangs_ends_with_its_time_and_leaves_nothing_behind() {
    let mut stage = Stage::new();
    stage.config.start_seconds = 2;
    stage.down();
    stage.write("behave", "start_hangs");
    let began = std::time::Instant::now();
    let failure = stage.restart().unwrap_err();
    let took = began.elapsed();
    assert_eq!(code(&failure), "start_failed");
    assert!(
        took >= std::time::Duration::from_secs(2) && took < std::time::Duration::from_secs(20),
        "{took:?}"
    );
    assert!(!stage.left_behind_runs());
}
