//! The three faults of the demo: each is caused, seen, and cured by plain tools.

mod support;

use std::collections::BTreeSet;
use std::fs;
use std::io::Read as _;
use std::net::TcpStream;
use std::time::Duration;

use instance_knowledge::Matcher;
use support::{Bench, kill, runs, wait_until};

const PANIC: &str = "Insufficient global buffers - WRTDMN in panic mode";

#[test]
fn too_small_globals_are_cured_by_the_cpf_and_a_restart() {
    let bench = Bench::with(&["--globals", "256"]);
    bench.start();
    bench.sim("load", &["--dirty-mb", "200"]);
    wait_until("the panic", || bench.log().contains(PANIC));
    assert_eq!(bench.last_entry(PANIC), Some((3, u64::from(bench.pid("WRTDMN")))));
    // The log is written first.
    wait_until("its health", || bench.state().1 == "alert");
    let alerts = fs::read_to_string(bench.path("PROD/mgr/alerts.log")).unwrap();
    assert_eq!(alerts.matches(PANIC).count(), 1);

    // A new value in the file is no cure before the restart.
    bench.edit_cpf("globals=0,0,256,0,0,0", "globals=0,0,512,0,0,0");
    let passes = bench.told()["passes"].as_u64().unwrap();
    wait_until("another pass", || bench.told()["passes"].as_u64().unwrap() > passes);
    assert_eq!(
        (bench.told()["in_panic"].clone(), bench.told()["globals_8k_mb"].clone()),
        (true.into(), 256.into())
    );

    bench.stop();
    assert_eq!(bench.log().matches(PANIC).count(), 2, "once, and once with the count of its repeats");
    let counted = bench.entries().iter().filter(|entry| entry.repeated() > 0).count();
    assert_eq!(counted, 1);
    bench.start();
    wait_until("a pass", || bench.told()["passes"].as_u64().unwrap() > passes + 2);
    assert_eq!(
        (bench.told()["in_panic"].clone(), bench.told()["globals_8k_mb"].clone()),
        (false.into(), 512.into())
    );
    assert_eq!(bench.log().matches(PANIC).count(), 2, "never again");
    assert_eq!(bench.state(), ("running".to_owned(), "ok".to_owned()));
}

#[test]
fn too_few_huge_pages_are_cured_on_the_host_and_a_restart() {
    let bench = Bench::with(&["--host-huge-pages", "100"]);
    bench.start();
    let failed =
        "Failed to allocate 742MB shared memory using Huge Pages.  Startup will retry with standard pages.";
    assert_eq!(bench.last_entry(failed).map(|entry| entry.0), Some(2));
    assert_eq!(bench.state(), ("running".to_owned(), "warn".to_owned()));
    assert_eq!(bench.told()["huge_pages"], false);

    fs::write(bench.path("host/sys/vm/nr_hugepages"), "371\n").unwrap();
    bench.iris_ok(&["restart", "PROD", "quietly"]);
    assert_eq!(
        bench.last_entry("Allocated 742MB shared memory using Huge Pages").map(|entry| entry.0),
        Some(0)
    );
    assert_eq!(bench.log().matches(failed).count(), 1);
    assert_eq!(bench.state(), ("running".to_owned(), "ok".to_owned()));
}

#[test]
fn a_dead_write_daemon_freezes_until_stop_forces_and_start_recovers() {
    let bench = Bench::new();
    bench.start();
    let processes = bench.processes();
    let write_daemon = bench.pid("WRTDMN");
    kill("-KILL", write_daemon);
    wait_until("the freeze", || bench.state().1 == "hung");
    assert_eq!(bench.state().0, "running");
    let control = u64::from(bench.pid("CONTROL"));
    let died = format!("System Process 'WRTDMN' terminated abnormally (pid {write_daemon})");
    assert_eq!(bench.last_entry(&died), Some((2, control)));
    let frozen = format!("Daemon WRTDMN (pid {write_daemon}) died. Freezing system");
    assert_eq!(bench.last_entry(&frozen), Some((3, control)));

    // The port still answers, and the session hangs.
    let mut session = TcpStream::connect(("127.0.0.1", bench.port())).unwrap();
    session.set_read_timeout(Some(Duration::from_millis(50))).unwrap();
    assert!(session.read(&mut [0; 8]).is_err());

    bench.stop();
    assert_eq!(bench.last_entry("Shutdown detected WDSTOP set").map(|entry| entry.0), Some(1));
    assert_eq!(bench.last_entry("WDSTOP set, system being forced").map(|entry| entry.0), Some(3));
    assert!(!bench.log().contains("Shutdown complete"));
    assert!(processes.iter().all(|(_, pid)| !runs(*pid)));

    bench.start();
    let abnormal = "Previous system shutdown was abnormal, system forced down or crashed";
    assert_eq!(bench.last_entry(abnormal).map(|entry| entry.0), Some(2));
    assert!(bench.log().contains("Restoring from journal "));
    // One alert during the start is yellow, until half an hour without another has passed.
    assert_eq!(bench.state(), ("running".to_owned(), "warn".to_owned()));
}

#[test]
fn a_load_written_into_the_settings_is_felt_at_the_next_pass() {
    let bench = Bench::new();
    bench.start();
    let settings = bench.path("PROD/sim.toml");
    let text = fs::read_to_string(&settings).unwrap();
    fs::write(&settings, text.replace("dirty_mb_per_pass = 0", "dirty_mb_per_pass = 129")).unwrap();
    wait_until("the panic", || bench.log().contains(PANIC));
}

#[test]
fn the_catalogue_knows_every_severe_message() {
    let bench = Bench::with(&["--host-huge-pages", "1", "--dirty-mb", "200"]);
    bench.start();
    wait_until("the panic", || bench.log().contains(PANIC));
    bench.sim("kill-daemon", &["WRTDMN"]);
    wait_until("the freeze", || bench.state().1 == "hung");
    bench.stop();
    bench.start();
    let entries = bench.entries();
    let severe = entries.iter().filter(|entry| {
        entry.header.as_ref().and_then(|header| header.severity).is_some_and(|severity| severity.as_u8() >= 2)
    });
    let mut seen = BTreeSet::new();
    for entry in severe {
        let text = entry.message_text();
        let condition = Matcher::builtin().classify(&text).unwrap_or_else(|| panic!("nobody knows {text:?}"));
        seen.insert(condition.id.clone());
    }
    for expected in ["global-buffers-insufficient", "huge-pages-too-few", "write-daemon-died"] {
        assert!(seen.contains(expected), "no {expected} among {seen:?}");
    }
}

#[test]
fn the_simulator_kills_as_the_oom_killer_does() {
    let bench = Bench::new();
    bench.start();
    bench.sim("kill-daemon", &["wrtdmn"]);
    wait_until("the freeze", || bench.state().1 == "hung");
}

#[test]
fn a_write_daemon_that_stands_still_is_told_of_pauses_the_users_and_goes_on_by_itself() {
    let bench = Bench::new();
    bench.start();
    let writer = bench.pid("WRTDMN");
    kill("-STOP", writer);
    wait_until("the slow pass", || bench.log().contains("Write Daemon still on pass "));
    let slow = "[SYSTEM MONITOR] WriteDaemon Alert: Write Daemon still on pass";
    assert_eq!(bench.last_entry(slow).map(|entry| entry.0), Some(2));
    wait_until("the pause", || {
        bench.log().contains("CP: Pausing users because the Write Daemon has not shown")
    });
    wait_until("a state of it", || bench.state().1 == "hung");
    let passes = bench.told()["passes"].clone();
    let suspended = "Superserver detected that updates are suspended";
    let sessions = [(); 2].map(|()| TcpStream::connect(("127.0.0.1", bench.port())).unwrap());
    wait_until("a word to whoever connects", || bench.log().contains(suspended));
    assert_eq!(bench.told()["passes"], passes, "nothing is written meanwhile");

    kill("-CONT", writer);
    wait_until("the end of the pass", || bench.log().contains("Write Daemon completed a pass."));
    wait_until("health", || bench.state().1 != "hung");
    wait_until("the next pass", || bench.told()["passes"].as_u64() > passes.as_u64());
    assert_eq!(bench.log().matches(suspended).count(), 1, "the first is told");
    drop(sessions);
    // One that is stopped is still stopped in order.
    kill("-STOP", writer);
    bench.stop();
    assert!(!runs(writer));
}
