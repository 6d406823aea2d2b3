//! A whole life: made, started, looked at, stopped.

mod support;

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use support::{Bench, exists, runs, text, wait_until};

#[test]
fn a_new_instance_is_down_and_writes_nothing() {
    let bench = Bench::new();
    let fields = bench.qlist();
    assert_eq!(fields.len(), 14, "{fields:?}");
    assert_eq!(
        (fields[0].as_str(), fields[2].as_str(), fields[8].as_str()),
        ("PROD", "2025.2.0.227.0com", "")
    );
    assert!(fields[3].starts_with("down, last used "), "{}", fields[3]);
    assert!(!exists(&bench.log_path()));
    assert!(TcpStream::connect(("127.0.0.1", bench.port())).is_err());
}

#[test]
fn a_start_returns_with_logons_enabled_and_a_stop_leaves_nothing() {
    let bench = Bench::new();
    let cpf = fs::read(bench.path("PROD/iris.cpf")).unwrap();
    let began = Instant::now();
    let printed = bench.start();
    let took = began.elapsed();
    assert!(took < Duration::from_mins(1), "a start takes {took:?}");
    assert!(printed.contains("Allocated 741MB shared memory\n256MB global buffers, 80MB routine buffers\n"));
    assert_eq!(bench.state(), ("running".to_owned(), "ok".to_owned()));
    assert_eq!(fs::read(bench.path("PROD/iris.cpf")).unwrap(), cpf);
    assert_eq!(fs::read(bench.path("PROD/_LastGood_.cpf")).unwrap(), cpf);

    let (severity, starter) = bench.last_entry("Enabling logons").unwrap();
    assert_eq!(severity, 0);
    assert!(
        !bench.processes().iter().any(|(_, pid)| u64::from(*pid) == starter),
        "`iris start` itself is gone"
    );
    assert_eq!(bench.last_entry("Write daemon started.").unwrap().1, u64::from(bench.pid("WRTDMN")));
    let superserver = bench.last_entry("Starting superserver").unwrap().1;
    assert!(runs(u32::try_from(superserver).unwrap()), "the number is one of a thread that lives");
    assert!(
        !bench.processes().iter().any(|(_, pid)| u64::from(*pid) == superserver || superserver == starter)
    );

    let processes = bench.processes();
    assert_eq!(processes.len(), 6);
    assert!(processes.iter().all(|(_, pid)| runs(*pid)));
    let port = bench.port();
    bench.stop();
    assert_eq!(bench.state(), ("down".to_owned(), String::new()));
    assert!(processes.iter().all(|(_, pid)| !runs(*pid)), "{processes:?}");
    assert!(TcpStream::connect(("127.0.0.1", port)).is_err());
    assert!(bench.log().ends_with(" 0 [Utility.Event] Shutdown complete\n"));
    for file in ["iris.ids", "iris.shid", "iris.sock"] {
        assert!(!exists(&bench.path("PROD/mgr").join(file)), "{file}");
    }
    assert!(!exists(&bench.path("PROD/mgr/alerts.log")), "nothing was severe");
}

#[test]
fn a_second_start_recovers_nothing_and_a_running_one_is_not_started() {
    let bench = Bench::new();
    bench.start();
    let again = bench.iris(&["start", "PROD", "quietly"]);
    assert_eq!(again.status.code(), Some(1));
    assert!(text(&again.stdout).contains("already running"));
    bench.stop();
    bench.start();
    let log = bench.log();
    assert_eq!(log.matches("*** Recovery started at ").count(), 1);
    assert!(!log.contains("abnormal"));
    assert_eq!(bench.entries().iter().filter(|entry| entry.is_recovery_banner()).count(), 1);
    assert!(exists(&bench.path("PROD/mgr/journal")));
    assert_eq!(fs::read_dir(bench.path("PROD/mgr/journal")).unwrap().count(), 2, "a journal file each start");
}

#[test]
fn list_has_the_lines_of_the_real_one() {
    let bench = Bench::new();
    bench.start();
    let listed = bench.iris_ok(&["list", "prod"]);
    let lines: Vec<&str> = listed.lines().filter(|line| !line.is_empty()).collect();
    assert_eq!(lines[0], "Configuration 'PROD'   (default)");
    let keys: Vec<&str> =
        lines[1..].iter().map(|line| line.trim_start().split(':').next().unwrap()).collect();
    assert_eq!(keys, ["directory", "versionid", "datadir", "conf file", "status", "state", "product"]);
    assert!(lines.iter().all(|line| line.starts_with("Configuration") || line.starts_with('\t')));
    assert!(listed.contains(&format!(
        "(SuperServer port = {}, WebServer = {})",
        bench.port(),
        bench.web_port()
    )));
    assert!(bench.iris_ok(&["allw"]).lines().any(|line| line.starts_with("up >PROD")));
    // The version column is as wide as the version.
    let whole = bench.iris_ok(&["allw"]);
    let whole = whole.lines().find(|line| line.starts_with("up >PROD")).unwrap();
    for (word, width) in [("all", 80), ("qall", 78)] {
        let cut = if whole.len() > width { format!("{}~", &whole[..width]) } else { whole.to_owned() };
        assert!(bench.iris_ok(&[word]).lines().any(|line| line == cut), "{word}: {cut}");
    }
    assert!(bench.iris_ok(&["view", "prod"]).contains("Instance 'PROD'"));
    bench.stop();
    assert!(!bench.iris_ok(&["list"]).contains("state:"));
}

#[test]
fn unknown_instances_and_commands_fail() {
    let bench = Bench::new();
    for command in ["qlist", "view", "start", "stop", "stopnoshut", "restart", "force", "merge"] {
        let answer = bench.iris(&[command, "NOSUCH"]);
        assert_eq!(answer.status.code(), Some(1), "{command}");
        assert_eq!(text(&answer.stdout), "Instance 'NOSUCH' is not found.\n", "{command}");
    }
    let answer = bench.iris(&["dance", "PROD"]);
    assert_eq!(answer.status.code(), Some(1));
    assert!(text(&answer.stderr).starts_with("iris: cannot do \"dance\""), "{}", text(&answer.stderr));
    assert_eq!(bench.iris(&["stop", "PROD", "quietly"]).status.code(), Some(1), "it is not running");
}

#[test]
fn a_stop_without_quietly_needs_a_terminal() {
    let bench = Bench::new();
    bench.start();
    // A session of its own has no terminal, wherever the test runs.
    let stop = Command::new("setsid")
        .args(["--wait"])
        .arg(bench.path("bin/iris"))
        .args(["stop", "PROD"])
        .stdin(Stdio::null())
        .output()
        .unwrap();
    assert_eq!(stop.status.code(), Some(1));
    assert!(text(&stop.stderr).contains("quietly"), "{}", text(&stop.stderr));
    assert_eq!(bench.state().0, "running");
}

const QUESTION: &str = "Do you want to shut down PROD? <Yes> ";

/// `iris stop PROD` at a terminal on which somebody types this once asked; its exit code, and what the terminal showed.
#[expect(clippy::unwrap_used, reason = "it is the body of the test below")]
fn stop_at_a_terminal(bench: &Bench, typed: &str) -> (Option<i32>, String) {
    let mut terminal = Command::new("script")
        .args(["--quiet", "--return", "--command"])
        .arg(format!("'{}' stop PROD", bench.path("bin/iris").display()))
        .arg("/dev/null")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    // Kept open to the end: a terminal that is gone answers nothing.
    let mut keyboard = terminal.stdin.take().unwrap();
    let mut screen = terminal.stdout.take().unwrap();
    let mut shown = Vec::new();
    let mut some = [0; 256];
    let mut has_typed = false;
    loop {
        let count = screen.read(&mut some).unwrap();
        if count == 0 {
            break;
        }
        shown.extend_from_slice(&some[..count]);
        // Whoever types before the question is there mixes what is typed into it.
        if !has_typed && text(&shown).ends_with(QUESTION) {
            keyboard.write_all(typed.as_bytes()).unwrap();
            has_typed = true;
        }
    }
    (terminal.wait().unwrap().code(), text(&shown))
}

#[test]
fn a_stop_at_a_terminal_asks_and_only_no_leaves_the_instance_up() {
    let bench = Bench::new();
    bench.start();
    for no in ["no\n", "n\n", "what?\n"] {
        let (code, shown) = stop_at_a_terminal(&bench, no);
        assert!(shown.contains(QUESTION), "{shown}");
        assert_eq!((code, bench.state().0.as_str()), (Some(1), "running"), "{no:?}: {shown}");
    }
    for yes in ["yes\n", "Y\n", "\n"] {
        let (code, shown) = stop_at_a_terminal(&bench, yes);
        assert!(shown.contains(QUESTION), "{shown}");
        assert_eq!((code, bench.state().0.as_str()), (Some(0), "down"), "{yes:?}: {shown}");
        bench.start();
    }
}

#[test]
fn a_superserver_port_that_another_program_has_is_told_and_the_instance_is_up_without() {
    let bench = Bench::new();
    let port = bench.port();
    let taken = TcpListener::bind(("127.0.0.1", port)).unwrap();
    bench.start();
    let told = format!("Superserver could not listen on port {port}: ");
    let pid = bench.last_entry("Starting superserver").unwrap().1;
    assert_eq!(bench.last_entry(&told), Some((2, pid)));
    assert_eq!(bench.state(), ("running".to_owned(), "warn".to_owned()));
    bench.stop();
    drop(taken);
    bench.start();
    assert_eq!(bench.log().matches(&told).count(), 1, "the cause is gone");
    assert!(TcpStream::connect(("127.0.0.1", port)).is_ok());
    assert_eq!(bench.state().1, "ok");
}

#[test]
fn sessions_are_counted_and_closed_by_a_stop() {
    let bench = Bench::new();
    bench.start();
    let mut sessions: Vec<TcpStream> =
        (0..3).map(|_| TcpStream::connect(("127.0.0.1", bench.port())).unwrap()).collect();
    wait_until("three sessions", || bench.told()["sessions"] == 3);
    sessions.pop();
    wait_until("two sessions", || bench.told()["sessions"] == 2);
    bench.stop();
    assert!(bench.log().contains("2 user process(es) remain\n"));
    assert_eq!(sessions[0].read(&mut [0; 8]).unwrap(), 0, "the session is over");
}

#[test]
fn restart_and_stop_restart_bring_a_new_control_process() {
    let bench = Bench::new();
    bench.start();
    let first = bench.pid("CONTROL");
    bench.iris_ok(&["restart", "PROD", "quietly"]);
    let second = bench.pid("CONTROL");
    bench.iris_ok(&["stop", "PROD", "restart", "quietly"]);
    let third = bench.pid("CONTROL");
    assert!(first != second && second != third);
    assert_eq!(bench.state().0, "running");
}

#[test]
fn a_large_messages_log_is_moved_aside() {
    let bench = Bench::new();
    bench.edit_cpf("MaxConsoleLogSize=5", "MaxConsoleLogSize=1");
    fs::write(bench.log_path(), "x".repeat(1_100_000)).unwrap();
    bench.start();
    wait_until("the old log", || {
        let files = fs::read_dir(bench.path("PROD/mgr")).unwrap();
        files.flatten().any(|file| file.file_name().to_string_lossy().starts_with("messages.old_20"))
    });
    bench.stop();
    assert!(bench.log().len() < 100_000);
}
