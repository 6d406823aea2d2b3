//! A real process under real signals: the example `one-step`, with and without a NATS server.

#![expect(clippy::unwrap_used, reason = "the whole file is a test; a helper that panics is what is wanted")]

use std::fs;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::os::unix::net::UnixDatagram;
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use instance_testkit::{NatsServer, SmallDisk};
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
        let mut command = self.command(arguments);
        Running(command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap())
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(example());
        command
            .args(arguments)
            .env_clear()
            .env("INSTANCE_ONE_STEP__FOLDER", self.folder.path())
            .env("NOTIFY_SOCKET", self.folder.path().join("notify"))
            .stdin(Stdio::null());
        command
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

/// Standard error is a file, as under a supervisor that keeps it, and the disk below it is full.
#[test]
fn a_full_disk_under_the_log_stops_no_work_and_lines_come_again_when_there_is_room() {
    let (server, place) = (NatsServer::start(), Place::new());
    let below = tempfile::tempdir().unwrap();
    let disk = SmallDisk::mount(below.path(), "size=64k");
    let log = fs::OpenOptions::new().create(true).append(true).open(below.path().join("log")).unwrap();
    disk.fill();
    assert!((&log).write_all(b"x").is_err(), "the disk is full");
    let mut command = place.command(&["--nats", &server.url()]);
    let mut service = Running(command.stdout(Stdio::null()).stderr(log).spawn().unwrap());
    assert_eq!(place.next_state(), "READY=1");
    assert_eq!(fs::metadata(below.path().join("log")).unwrap().len(), 0);
    disk.give_back();
    service.signal("TERM");
    assert_eq!(place.next_state(), "STOPPING=1");
    fs::write(place.folder.path().join("finish"), "").unwrap();
    assert_eq!(service.ended().code(), Some(0));
    assert!(place.has("finished"), "the step in hand is finished");
    let told = fs::read_to_string(below.path().join("log")).unwrap();
    assert!(told.lines().any(|line| line.contains("\"ended\"")), "{told}");
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

/// Status and body of a GET; OpenMetrics is asked for.
fn get(address: &str, path: &str) -> (u16, String) {
    let mut connection = TcpStream::connect(address).unwrap();
    connection.set_read_timeout(Some(DEADLINE)).unwrap();
    let request = format!("GET {path} HTTP/1.1\r\nhost: x\r\naccept: application/openmetrics-text\r\n\r\n");
    connection.write_all(request.as_bytes()).unwrap();
    let mut answer = String::new();
    connection.read_to_string(&mut answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    (head.split(' ').nth(1).unwrap().parse().unwrap(), body.to_owned())
}

/// Where it answers, by its own word; what it says afterwards is thrown away.
fn listens_at(service: &mut Running) -> String {
    let mut lines = BufReader::new(service.0.stderr.take().unwrap()).lines().map_while(Result::ok);
    let told = lines.find(|line| line.contains("answers /livez")).unwrap();
    thread::spawn(move || lines.count());
    let told: serde_json::Value = serde_json::from_str(&told).unwrap();
    told["fields"]["address"].as_str().unwrap().to_owned()
}

#[test]
fn health_and_metrics_are_answered_where_the_settings_say() {
    let (server, place) = (NatsServer::start(), Place::new());
    let listen = ["--set", "telemetry.listen=127.0.0.1:0"];
    let mut alone = place.service(&[&listen[..], &["--nats", &nobody()]].concat());
    let address = listens_at(&mut alone);
    assert_eq!(get(&address, "/livez"), (200, "ok\n".to_owned()));
    assert_eq!(get(&address, "/readyz"), (503, "not ready\n".to_owned()));
    let (_, report) = get(&address, "/readyz?verbose");
    assert!(report.contains("[+]drain ok") && report.contains("[-]bus failed: not connected"), "{report}");
    assert_eq!(get(&address, "/anything").0, 404);

    let mut connected = place.service(&[&listen[..], &["--nats", &server.url()]].concat());
    let address = listens_at(&mut connected);
    assert_eq!(place.next_state(), "READY=1");
    let (status, report) = get(&address, "/readyz?verbose");
    assert!(
        status == 503 && report.contains("[+]bus ok") && report.contains("[-]streams failed"),
        "{report}"
    );
    let (status, page) = get(&address, "/metrics");
    assert_eq!(status, 200);
    for line in
        ["instance_health_ready{instance_health_check=\"bus\"} 1", "# UNIT process_memory_usage_bytes bytes"]
    {
        assert!(page.lines().any(|told| told == line), "{line} is not in\n{page}");
    }
    assert!(page.contains("service_name=\"instance-one-step\"") && page.ends_with("# EOF\n"), "{page}");
}

#[test]
fn a_storm_of_scrapes_is_answered_a_few_at_a_time() {
    let place = Place::new();
    let mut service = place.service(&["--nats", &nobody(), "--set", "telemetry.listen=127.0.0.1:0"]);
    let address = listens_at(&mut service);
    let scrapers: Vec<_> = (0..64)
        .map(|_| {
            let address = address.clone();
            thread::spawn(move || get(&address, "/metrics").0)
        })
        .collect();
    assert!(scrapers.into_iter().all(|scraper| scraper.join().unwrap() == 200));
}
