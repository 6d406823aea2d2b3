//! A real process under real signals: the example `one-step`, with and without a NATS server.

#![expect(clippy::unwrap_used, reason = "the whole file is a test; a helper that panics is what is wanted")]

use std::fs;
use std::io::{BufRead as _, BufReader, Read as _};
use std::net::TcpListener;
use std::os::unix::net::UnixDatagram;
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use instance_testkit::NatsServer;
use tempfile::TempDir;

const DEADLINE: Duration = Duration::from_secs(30);

/// A service of one test: its folder, and the socket that it tells its state.
struct Place {
    folder: TempDir,
    states: UnixDatagram,
}

impl Place {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let states = UnixDatagram::bind(folder.path().join("notify")).unwrap();
        states.set_read_timeout(Some(DEADLINE)).unwrap();
        Self { folder, states }
    }

    fn service(&self, arguments: &[&str]) -> Running {
        let child = Command::new(example())
            .args(arguments)
            .env_clear()
            .env("INSTANCE_ONE_STEP__FOLDER", self.folder.path())
            .env("NOTIFY_SOCKET", self.folder.path().join("notify"))
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        Running(child)
    }

    fn next_state(&self) -> String {
        let mut bytes = [0; 64];
        let length = self.states.recv(&mut bytes).expect("the service tells its state in time");
        String::from_utf8_lossy(&bytes[..length]).into_owned()
    }

    fn has(&self, name: &str) -> bool {
        self.folder.path().join(name).exists()
    }
}

/// A child that does not outlive its test.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        // Fails when it has ended, which is what is wanted.
        let _ended = self.0.kill();
        let _ended = self.0.wait();
    }
}

impl Running {
    fn signal(&self, name: &str) {
        let done =
            Command::new("kill").arg(format!("-{name}")).arg(self.0.id().to_string()).status().unwrap();
        assert!(done.success());
    }

    fn is_running(&mut self) -> bool {
        self.0.try_wait().unwrap().is_none()
    }

    fn ended(&mut self) -> ExitStatus {
        let begun = Instant::now();
        loop {
            if let Some(status) = self.0.try_wait().unwrap() {
                return status;
            }
            assert!(begun.elapsed() < DEADLINE, "the service does not end");
            thread::sleep(Duration::from_millis(10));
        }
    }

    /// The exit code, and everything it said on stdout and stderr.
    fn ended_saying(mut self) -> (Option<i32>, String, String) {
        let code = self.ended().code();
        let (mut stdout, mut stderr) = (String::new(), String::new());
        self.0.stdout.take().unwrap().read_to_string(&mut stdout).unwrap();
        self.0.stderr.take().unwrap().read_to_string(&mut stderr).unwrap();
        (code, stdout, stderr)
    }
}

/// Built by cargo together with the tests of this package, unless a single test target is asked for.
fn example() -> PathBuf {
    let tests = std::env::current_exe().unwrap();
    let program = tests.parent().unwrap().parent().unwrap().join("examples/one-step");
    assert!(program.exists(), "build it first: cargo build -p instance-chassis --example one-step");
    program
}

/// An address where nobody listens.
fn nobody() -> String {
    let free = TcpListener::bind("127.0.0.1:0").unwrap();
    format!("nats://{}", free.local_addr().unwrap())
}

#[test]
fn the_step_in_hand_is_finished_after_sigterm() {
    let (server, place) = (NatsServer::start(), Place::new());
    let mut service = place.service(&["--nats", &server.url()]);
    assert_eq!(place.next_state(), "READY=1");
    service.signal("TERM");
    assert_eq!(place.next_state(), "STOPPING=1");
    assert!(service.is_running() && !place.has("finished"), "it waits for its step");
    fs::write(place.folder.path().join("finish"), "").unwrap();
    let (code, stdout, stderr) = service.ended_saying();
    assert_eq!(code, Some(0), "{stderr}");
    assert!(place.has("finished"));
    assert_eq!(stdout, "", "logs go to stderr");
    let lines: Vec<serde_json::Value> =
        stderr.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert!(lines.iter().all(|line| line["service"] == "instance-one-step"), "{stderr}");
    assert!(
        lines.iter().any(|line| line["message"] == "draining" && line["fields"]["asked_by"] == "SIGTERM")
    );
}

#[test]
fn a_second_signal_ends_it_at_once() {
    let (server, place) = (NatsServer::start(), Place::new());
    let service = place.service(&["--nats", &server.url()]);
    assert_eq!(place.next_state(), "READY=1");
    service.signal("INT");
    assert_eq!(place.next_state(), "STOPPING=1");
    service.signal("TERM");
    let (code, _, stderr) = service.ended_saying();
    assert_eq!(code, Some(130), "{stderr}");
    assert!(!place.has("finished"));
}

#[test]
fn the_grace_period_ends_it_too() {
    let (server, place) = (NatsServer::start(), Place::new());
    let service = place.service(&["--nats", &server.url(), "--set", "grace_seconds=1"]);
    assert_eq!(place.next_state(), "READY=1");
    service.signal("TERM");
    let (code, _, stderr) = service.ended_saying();
    assert_eq!(code, Some(143), "{stderr}");
}

#[test]
fn a_service_that_fails_says_why() {
    let (server, place) = (NatsServer::start(), Place::new());
    let service = place.service(&["--nats", &server.url(), "--set", "one-step.folder=/nowhere/at/all"]);
    let (code, _, stderr) = service.ended_saying();
    assert_eq!(code, Some(1));
    assert!(stderr.contains("one-step failed") && stderr.contains("No such file"), "{stderr}");
}

#[test]
fn it_waits_for_nats_and_can_be_drained_while_waiting() {
    let place = Place::new();
    let mut service = place.service(&["--nats", &nobody()]);
    let mut stderr = BufReader::new(service.0.stderr.take().unwrap()).lines();
    let told = stderr.find(|line| line.as_ref().unwrap().contains("trying again")).unwrap().unwrap();
    assert!(told.contains("NATS does not answer"), "{told}");
    assert!(service.is_running());
    service.signal("TERM");
    assert_eq!(service.ended().code(), Some(0));
}

#[test]
fn it_does_not_wait_for_nats_when_told_so() {
    let (code, _, stderr) = Place::new().service(&["--nats", &nobody(), "--no-wait"]).ended_saying();
    assert_eq!(code, Some(7), "{stderr}");
}

#[test]
fn bad_settings_are_all_told_before_anything_starts() {
    let place = Place::new();
    let wrong = ["--nats", "", "--log", "=", "--set", "one-step.foldr=x", "--set", "grace_seconds=no"];
    let (code, stdout, stderr) = place.service(&wrong).ended_saying();
    assert_eq!((code, stdout.as_str()), (Some(78), ""));
    for said in ["flag --log: telemetry.log_filter", "did you mean \"folder\"?", "flag --set grace_seconds"] {
        assert!(stderr.contains(said), "{said} is missing in:\n{stderr}");
    }

    let (code, ..) = place.service(&["--check-config", "--log", "="]).ended_saying();
    assert_eq!(code, Some(78));
    let (code, stdout, stderr) = place.service(&["--check-config"]).ended_saying();
    assert_eq!((code, stdout.as_str(), stderr.as_str()), (Some(0), "", ""));
    let (code, stdout, _) = place.service(&["--print-config", "--nats", "nats://a"]).ended_saying();
    assert_eq!(code, Some(0));
    assert!(
        stdout.contains("flag --nats") && stdout.contains("environment INSTANCE_ONE_STEP__FOLDER"),
        "{stdout}"
    );
}
