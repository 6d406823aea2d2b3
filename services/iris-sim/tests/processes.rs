//! Ends that nobody asked the instance for: forced, killed, terminated.

mod support;

use std::io::Write as _;
use std::net::TcpStream;

use support::{Bench, exists, kill, runs, wait_until};

#[test]
fn force_kills_everything_and_says_how_many() {
    let bench = Bench::new();
    bench.start();
    let processes = bench.processes();
    let printed = bench.iris_ok(&["force", "PROD"]);
    assert_eq!(printed, "irisforce killed 6 system and 0 user processes.\n");
    assert!(processes.iter().all(|(_, pid)| !runs(*pid)));
    assert_eq!(
        bench.last_entry("irisforce killed 6 system and 0 user processes.").map(|entry| entry.0),
        Some(0)
    );
    assert_eq!(bench.state().0, "down");
    assert!(!exists(&bench.path("PROD/mgr/iris.ids")));
    bench.start();
    assert!(bench.log().contains("Previous system shutdown was abnormal"));

    bench.stop();
    let nothing = bench.iris(&["force", "PROD"]);
    assert_eq!(nothing.status.code(), Some(1));
}

#[test]
fn a_transaction_that_a_force_cuts_off_is_rolled_back_by_the_next_start() {
    let bench = Bench::new();
    bench.start();
    let mut session = TcpStream::connect(("127.0.0.1", bench.port())).unwrap();
    session.write_all(b"TSTART\n").unwrap();
    wait_until("a transaction", || bench.metric("iris_trans_open_count ") == Some(1.0));
    bench.iris_ok(&["force", "PROD"]);
    bench.start();
    let log = bench.log();
    assert!(log.contains("Rolling back transactions ...\n"), "{log}");
    assert!(!log.contains("No open transactions to roll back"), "{log}");
    bench.iris_ok(&["force", "PROD"]);
    bench.start();
    assert!(bench.log().contains("No open transactions to roll back"), "that one is gone");
}

#[test]
fn a_killed_control_process_takes_its_daemons_along() {
    let bench = Bench::new();
    bench.start();
    let processes = bench.processes();
    kill("-KILL", bench.pid("CONTROL"));
    wait_until("all gone", || processes.iter().all(|(_, pid)| !runs(*pid)));
    assert_eq!(bench.state(), ("down".to_owned(), String::new()));
    let write_daemon = processes.iter().find(|(role, _)| role == "WRTDMN").unwrap().1;
    let told = "Write Daemon: Control Daemon has exited - freezing system";
    assert_eq!(bench.last_entry(told), Some((3, u64::from(write_daemon))));
    assert!(exists(&bench.path("PROD/mgr/iris.ids")), "nobody was left to remove it");
    bench.start();
    assert_eq!(bench.state().0, "running");
    assert!(bench.log().contains("Previous system shutdown was abnormal"));
}

#[test]
fn a_host_that_goes_down_ends_it_abnormally() {
    let bench = Bench::new();
    bench.start();
    let processes = bench.processes();
    for (_, pid) in processes.iter().rev() {
        kill("-TERM", *pid);
    }
    wait_until("all gone", || processes.iter().all(|(_, pid)| !runs(*pid)));
    let control = u64::from(processes[0].1);
    assert_eq!(bench.last_entry("CONTROL exited due to SIGTERM received"), Some((0, control)));
    assert!(!bench.log().contains("terminated abnormally"));
    bench.start();
    assert!(bench.log().contains("Previous system shutdown was abnormal"));
}

#[test]
fn two_starts_at_once_give_one_instance() {
    let bench = Bench::new();
    let codes = std::thread::scope(|scope| {
        let starts =
            [(); 2].map(|()| scope.spawn(|| bench.iris(&["start", "PROD", "quietly"]).status.code()));
        starts.map(|start| start.join().unwrap())
    });
    let mut codes = codes.map(Option::unwrap);
    codes.sort_unstable();
    assert_eq!(codes, [0, 1]);
    assert_eq!(bench.state().0, "running");
    assert_eq!(bench.log().matches("Enabling logons").count(), 1);
}
