//! What the instance tells over its web port, and what its users are to it.

mod support;

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::time::Duration;

use instance_iris::messages_log::parse;
use serde_json::Value;
use support::{Bench, text, wait_until};

/// Somebody who works in the instance.
#[expect(clippy::unwrap_used, reason = "it is the body of the tests below")]
fn session(bench: &Bench) -> TcpStream {
    let stream = TcpStream::connect(("127.0.0.1", bench.port())).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    stream
}

#[test]
fn metrics_have_real_names_and_true_values() {
    let bench = Bench::new();
    bench.start();
    let (status, body) = bench.get("/api/monitor/metrics");
    assert_eq!(status, "HTTP/1.1 200 OK");
    assert_eq!(bench.metric("iris_system_state "), Some(0.0));
    assert_eq!(bench.metric("iris_process_count "), Some(6.0));
    assert_eq!(bench.metric("iris_license_available "), Some(64.0));
    let databases = body.lines().filter(|line| line.starts_with("iris_db_size_mb{")).count();
    assert_eq!(databases, bench.log().matches("] Mounted database ").count());
    let mine = format!("iris_db_size_mb{{id=\"IRISSYS\",dir=\"{}/\"}} ", bench.path("PROD/mgr").display());
    assert!(body.contains(&mine), "{body}");
    assert!(bench.metric("iris_jrn_free_space{id=\"primary\"").unwrap() > 0.0);
    for (path, status) in [("/api/monitor/nothing", "404 Not Found"), ("/", "404 Not Found")] {
        assert_eq!(bench.get(path).0, format!("HTTP/1.1 {status}"), "{path}");
    }
}

#[test]
fn sessions_transactions_and_license_units_are_counted() {
    let bench = Bench::new();
    bench.start();
    let mut first = session(&bench);
    let second = session(&bench);
    wait_until("two units", || bench.metric("iris_license_consumed ") == Some(2.0));
    assert_eq!(bench.metric("iris_process_count "), Some(8.0));
    first.write_all(b"TSTART\nTST").unwrap();
    wait_until("a transaction", || bench.metric("iris_trans_open_count ") == Some(1.0));
    first.write_all(b"ART\nTCOMMIT\n").unwrap();
    wait_until("no transaction", || bench.metric("iris_trans_open_count ") == Some(0.0));
    first.write_all(b"TSTART\n").unwrap();
    wait_until("a transaction again", || bench.metric("iris_trans_open_count ") == Some(1.0));
    // A session that ends takes its transaction along.
    drop(first);
    wait_until("rolled back", || bench.metric("iris_trans_open_count ") == Some(0.0));
    drop(second);
    wait_until("all free", || bench.metric("iris_license_available ") == Some(64.0));
}

#[test]
fn who_comes_when_all_units_are_taken_is_turned_away() {
    let bench = Bench::new();
    let key = bench.path("PROD/mgr/iris.key");
    fs::write(&key, fs::read_to_string(&key).unwrap().replace("users=64", "users=1")).unwrap();
    bench.start();
    let first = session(&bench);
    wait_until("one unit", || bench.metric("iris_license_consumed ") == Some(1.0));
    assert_eq!(session(&bench).read(&mut [0; 8]).unwrap(), 0, "closed at once");
    let told = "License limit exceeded 1 times since instance start.";
    wait_until("the word about it", || bench.last_entry(told).map(|entry| entry.0) == Some(2));
    drop(first);
    wait_until("it is free", || bench.metric("iris_license_available ") == Some(1.0));
    let _later = session(&bench);
    wait_until("the cause is gone", || bench.metric("iris_license_consumed ") == Some(1.0));
    assert_eq!(bench.log().matches("License limit exceeded").count(), 1);
}

#[test]
fn alerts_are_told_once_for_everybody() {
    let bench = Bench::new();
    bench.start();
    assert_eq!(bench.get("/api/monitor/alerts").1, "[]");
    bench.sim("kill-daemon", &["GARCOL"]);
    wait_until("the alert", || bench.metric("iris_system_alerts_new ") == Some(1.0));
    assert_eq!(bench.metric("iris_system_state "), Some(1.0));
    let told: Value = serde_json::from_str(&bench.get("/api/monitor/alerts").1).unwrap();
    assert_eq!((told.as_array().unwrap().len(), told[0]["severity"].as_str()), (1, Some("2")));
    assert!(told[0]["message"].as_str().unwrap().starts_with("System Process 'GARCOL' terminated"));
    assert!(told[0]["time"].as_str().unwrap().ends_with('Z'));
    assert_eq!(bench.get("/api/monitor/alerts").1, "[]", "read by somebody, gone for everybody");
    assert_eq!(bench.metric("iris_system_alerts "), Some(1.0));
}

#[test]
fn alerts_in_the_log_are_counted_by_entries_and_not_by_lines() {
    let bench = Bench::new();
    fs::remove_dir_all(bench.path("PROD/mgr/journal")).unwrap();
    bench.start();
    let alerts = fs::read(bench.path("PROD/mgr/alerts.log")).unwrap();
    let entries = u16::try_from(parse(&alerts).len()).unwrap();
    assert!(text(&alerts).lines().count() > usize::from(entries), "some have several lines");
    assert_eq!(bench.metric("iris_system_alerts_log "), Some(f64::from(entries)));
}

#[test]
fn an_instance_that_hangs_takes_questions_and_does_not_answer() {
    let bench = Bench::new();
    bench.start();
    bench.sim("kill-daemon", &["WRTDMN"]);
    wait_until("it hangs", || bench.state().1 == "hung");
    let mut stream = TcpStream::connect(("127.0.0.1", bench.web_port())).unwrap();
    stream.set_read_timeout(Some(Duration::from_millis(300))).unwrap();
    stream.write_all(b"GET /api/monitor/metrics HTTP/1.1\r\n\r\n").unwrap();
    let waited = stream.read(&mut [0; 8]).unwrap_err();
    assert!(matches!(waited.kind(), std::io::ErrorKind::WouldBlock | std::io::ErrorKind::TimedOut));
}

#[test]
fn a_web_port_in_use_and_a_web_server_that_is_not_installed_are_told() {
    let bench = Bench::new();
    let taken = TcpListener::bind(("127.0.0.1", bench.web_port())).unwrap();
    bench.start();
    let told = format!("Private webserver may not start on port {}", bench.web_port());
    // The start does not wait for its web server.
    wait_until("the warning", || bench.last_entry(&told).map(|entry| entry.0) == Some(1));
    bench.stop();
    drop(taken);
    fs::remove_file(bench.path("PROD/csp/bin/CSP.ini")).unwrap();
    bench.start();
    assert_eq!(bench.last_entry("Error: Could not open ").map(|entry| entry.0), Some(2));
    assert_eq!(bench.state(), ("running".to_owned(), "warn".to_owned()));
    bench.stop();
    bench.edit_cpf("WebServer=1\n", "WebServer=0\n");
    bench.start();
    assert_eq!(bench.state().1, "ok", "the cause is gone");
    assert!(TcpStream::connect(("127.0.0.1", bench.web_port())).is_err());
}

#[test]
fn a_database_whose_file_is_gone_is_not_mounted() {
    let bench = Bench::new();
    fs::remove_file(bench.path("PROD/mgr/irisaudit/IRIS.DAT")).unwrap();
    bench.start();
    let log = bench.log();
    assert!(!log.contains("irisaudit/ (SFN") && !log.contains("Auditing to"), "{log}");
    assert_eq!(bench.metric("iris_db_size_mb{id=\"IRISAUDIT\""), None);
}
