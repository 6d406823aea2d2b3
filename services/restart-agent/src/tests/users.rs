//! Users and open transactions: found before the stop, waited for, and told.

use std::{
    fs,
    io::{Read as _, Write as _},
    net::TcpListener,
    sync::{Arc, Mutex},
    thread,
    time::{Duration, Instant},
};

use instance_contract::{Failure, RestartInstance, WhenUsersStay};

use super::{Stage, code, figure};

/// The web port of an instance: tells what is in it now; nothing means that it does not answer.
pub struct WebPort {
    pub url: String,
    body: Arc<Mutex<String>>,
}

impl WebPort {
    pub fn new(body: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let body = Arc::new(Mutex::new(body.to_owned()));
        let shown = Arc::clone(&body);
        thread::spawn(move || {
            for mut stream in listener.incoming().flatten() {
                let _ = stream.read(&mut [0; 4096]);
                let body = shown.lock().unwrap().clone();
                if !body.is_empty() {
                    let _ = stream
                        .write_all(format!("HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n{body}").as_bytes());
                }
            }
        });
        Self { url: format!("http://127.0.0.1:{port}/api/monitor/metrics"), body }
    }

    fn tells(&self, body: &str) {
        body.clone_into(&mut self.body.lock().unwrap());
    }
}

fn stage_with(web: &WebPort) -> Stage {
    let mut stage = Stage::new();
    stage.config.metrics_url.insert("PROD".parse().unwrap(), web.url.clone());
    stage
}

#[test]
fn who_stays_is_listed_and_nothing_is_stopped() {
    let web = WebPort::new("iris_trans_open_count 1\niris_trans_open_secs_max 12\niris_license_consumed 2\n");
    let mut stage = stage_with(&web);
    stage.config.users_seconds = 1;
    stage.connect(&[40112, 40113]);
    let began = Instant::now();
    let failure = stage.restart().unwrap_err();
    assert!(began.elapsed() >= Duration::from_secs(1));
    assert!(matches!(failure, Failure::Permanent { .. }), "{failure}");
    assert_eq!((code(&failure), stage.calls().len()), ("users_remain", 0));
    let listed = "2 sessions (127.0.0.1:40112, 127.0.0.1:40113), 1 open transaction for up to 12 s";
    assert!(failure.cause().message.contains(listed), "{failure}");
    let forecast = stage.forecast().unwrap();
    assert!(forecast.warnings.contains(&format!("there are {listed}")), "{forecast:?}");
}

#[test]
fn users_who_leave_in_time_are_waited_for_and_counted() {
    let web = WebPort::new("iris_trans_open_count 0\niris_license_consumed 3\n");
    let stage = stage_with(&web);
    stage.connect(&[40112]);
    let prepared = stage.prepare().unwrap();
    let (connections, iris) = (stage.path("connections"), stage.path("iris"));
    let leaving = thread::spawn(move || {
        thread::sleep(Duration::from_millis(700));
        fs::write(connections, "").unwrap();
        std::process::Command::new(iris).args(["appear", "5000"]).status().unwrap();
    });
    let applied = stage.apply(&prepared).unwrap();
    leaving.join().unwrap();
    assert_eq!((figure(&applied, "sessions"), figure(&applied, "open_transactions")), (Some(1), Some(0)));
    assert_eq!(figure(&applied, "license_units"), Some(3));
    assert!(figure(&applied, "drain_ms") >= Some(600), "{applied:?}");
    assert!(applied.warnings.is_empty(), "{applied:?}");
}

#[test]
fn a_transaction_alone_is_waited_for() {
    let web = WebPort::new("iris_trans_open_count 2\n");
    let mut stage = stage_with(&web);
    stage.config.users_seconds = 1;
    let failure = stage.restart().unwrap_err();
    assert_eq!(code(&failure), "users_remain");
    assert!(failure.cause().message.contains("0 sessions, 2 open transactions"), "{failure}");
    web.tells("iris_trans_open_count 0\n");
    stage.restart().unwrap();
}

#[test]
fn the_command_can_say_how_long_and_what_then() {
    let mut stage = Stage::new();
    stage.connect(&[40112]);
    let began = Instant::now();
    let stay = RestartInstance {
        users_seconds: Some(0),
        when_users_stay: Some(WhenUsersStay::Stop),
        ..RestartInstance::default()
    };
    let applied = stage.restart_as(stay).unwrap();
    assert!(began.elapsed() < Duration::from_secs(25), "nobody was waited for");
    let told = "stopped although users were there: 1 session (127.0.0.1:40112)";
    assert!(applied.warnings.iter().any(|warning| warning == told), "{applied:?}");

    // And against settings that would stop.
    stage.config.when_users_stay = WhenUsersStay::Stop;
    stage.connect(&[40112]);
    let answer = RestartInstance { when_users_stay: Some(WhenUsersStay::Answer), ..stay };
    assert_eq!(code(&stage.restart_as(answer).unwrap_err()), "users_remain");
}

#[test]
fn connections_of_the_web_gateway_are_no_users() {
    let web = WebPort::new(
        "iris_csp_actual_connections{id=\"127.0.0.1:80\"} 2\niris_trans_open_count 0\niris_csp_sessions 5\n",
    );
    let stage = stage_with(&web);
    stage.connect(&[40112, 40113]);
    stage.restart().unwrap();
    assert_eq!(stage.calls().len(), 2);
}

#[test]
fn whatever_the_web_port_says_is_no_reason_to_die() {
    let one = "iris_csp_actual_connections{id=\"1\"} 1e19\niris_csp_actual_connections{id=\"2\"} 1e19\n";
    let web = WebPort::new(&format!("{one}iris_trans_open_count 0\n"));
    stage_with(&web).restart().unwrap();
}

/// A restart of an instance that somebody may work in unseen: refused with these words, and done only where somebody says so.
fn check_unseen(mut stage: Stage, unseen: &str) {
    stage.config.users_seconds = 0;
    let failure = stage.restart().unwrap_err();
    assert!(matches!(failure, Failure::Permanent { .. }), "{failure}");
    assert_eq!((code(&failure), stage.calls().len()), ("users_unseen", 0));
    assert!(failure.cause().message.contains(unseen), "{failure}");
    let told = format!("could not see {unseen}");
    let forecast = stage.forecast().unwrap();
    assert!(
        forecast.warnings.iter().any(|it| it.contains(&told) && it.contains("nothing is stopped")),
        "{forecast:?}"
    );
    let stop = RestartInstance { when_users_stay: Some(WhenUsersStay::Stop), ..RestartInstance::default() };
    let applied = stage.restart_as(stop).unwrap();
    let told = format!("could not see before the stop: {unseen}");
    assert!(applied.warnings.iter().any(|it| it.contains(&told)), "{applied:?}");
    // Or by the settings; nobody is to be waited for then.
    (stage.config.when_users_stay, stage.config.users_seconds) = (WhenUsersStay::Stop, 600);
    let (_, applied) = stage.restart().unwrap();
    assert!(figure(&applied, "drain_ms") < Some(30_000), "{applied:?}");
}

#[test]
fn what_cannot_be_seen_is_not_taken_for_nobody() {
    let silent = WebPort::new("");
    check_unseen(stage_with(&silent), "open transactions (");
    let other = WebPort::new("iris_license_consumed 3\n");
    check_unseen(stage_with(&other), "open transactions (the metrics do not tell of them)");
    // Neither a setting nor a web server of its own.
    let mut stage = Stage::new();
    stage.config.metrics_url.clear();
    check_unseen(stage, "open transactions (it has no web port)");
}

#[test]
fn processes_that_are_hidden_may_be_somebodys() {
    let mut stage = Stage::new();
    stage.config.users_seconds = 0;
    stage.run(&["vanish"]);
    let failure = stage.restart().unwrap_err();
    assert_eq!((code(&failure), stage.calls().len()), ("users_unseen", 0));
    assert!(failure.cause().message.contains("sessions (no process of it is to be seen)"), "{failure}");
}

#[test]
fn its_own_web_server_is_the_door_without_a_setting() {
    let web = WebPort::new("iris_trans_open_count 0\n");
    let mut stage = Stage::new();
    stage.config.metrics_url.clear();
    stage.write("web_port", web.url.trim_start_matches("http://127.0.0.1:").split('/').next().unwrap());
    let (_, applied) = stage.restart().unwrap();
    assert_eq!((figure(&applied, "open_transactions"), applied.warnings.len()), (Some(0), 0));
}

#[test]
fn who_is_connected_to_another_port_of_the_superserver_is_a_user_too() {
    let mut stage = Stage::new();
    stage.config.users_seconds = 0;
    stage.connect_to(1973, &[40112]);
    // Nobody has said yet that the port is the superserver's.
    stage.restart().unwrap();
    let calls = stage.calls().len();
    let own = fs::read_to_string(stage.path("port")).unwrap();
    stage.write("ports", &format!("{},1973", own.trim()));
    stage.connect_to(1973, &[40112]);
    let failure = stage.restart().unwrap_err();
    assert_eq!((code(&failure), stage.calls().len()), ("users_remain", calls));
    assert!(failure.cause().message.contains("1 session (127.0.0.1:40112)"), "{failure}");
}

#[test]
fn nobody_is_waited_for_in_an_instance_that_hangs() {
    let web = WebPort::new("");
    let stage = stage_with(&web);
    stage.connect(&[40112]);
    stage.write("health", "hung");
    let (_, applied) = stage.restart().unwrap();
    assert!(applied.warnings.iter().any(|warning| warning.contains("it hangs")), "{applied:?}");
}

#[test]
fn terminals_are_sessions_too_and_a_short_qlist_is_enough() {
    let mut stage = Stage::new();
    stage.config.users_seconds = 0;
    stage.write("behave", "old_qlist");
    let terminal = stage.path("proc/200");
    fs::create_dir(&terminal).unwrap();
    std::os::unix::fs::symlink(stage.path("mgr").canonicalize().unwrap(), terminal.join("cwd")).unwrap();
    let rest = "0 ".repeat(30);
    let line = format!("200 (irisdb) S 1 200 200 34816 200 0 0 0 0 0 0 0 0 0 20 0 1 0 6000 1 1 {rest}\n");
    fs::write(terminal.join("stat"), line).unwrap();
    let failure = stage.restart().unwrap_err();
    assert!(failure.cause().message.contains("1 session (terminal of process 200)"), "{failure}");
}

#[test]
fn a_primary_hands_over_only_when_asked_to() {
    for (failover, stop) in [(false, "stop PROD nofailover quietly"), (true, "stop PROD quietly")] {
        let stage = Stage::new();
        stage.write("mirror", "Failover^Primary");
        stage.restart_as(RestartInstance { failover, ..RestartInstance::default() }).unwrap();
        assert_eq!(stage.calls()[0], stop);
    }
    let stage = Stage::new();
    stage.write("mirror", "Failover^Backup");
    stage.restart().unwrap();
    assert_eq!(stage.calls()[0], "stop PROD quietly");
}
