//! What lies in the way of an instance: each is a file that is there and should not be, or the other way round, and
//! each goes with it.

mod support;

use std::fs::{self, Permissions};
use std::io::Write as _;
use std::net::TcpStream;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use instance_clock::{Clock as _, SystemClock};
use support::{Bench, kill, wait_until};

/// Severity of the last entry that holds this text.
fn severity_of(bench: &Bench, text: &str) -> Option<u8> {
    let entries = bench.entries();
    let entry = entries.iter().rev().find(|entry| entry.message_text().contains(text))?;
    Some(entry.header.as_ref()?.severity?.as_u8())
}

/// The start that follows says it; the one after the cause is gone does not.
fn caused(bench: &Bench, text: &str, severity: u8, cause: impl Fn(), cure: impl Fn()) {
    bench.start();
    bench.stop();
    cause();
    bench.start();
    assert_eq!(severity_of(bench, text), Some(severity), "{text}");
    let told = bench.log().matches(text).count();
    cure();
    bench.iris_ok(&["restart", "PROD", "quietly"]);
    assert_eq!(bench.log().matches(text).count(), told, "{text}: it goes with its cause");
    assert_eq!(bench.state().0, "running");
}

#[test]
fn a_mismatch_wij_ends_the_start_in_single_user_mode() {
    let bench = Bench::new();
    let file = bench.path("PROD/mgr/MISMATCH.WIJ");
    let cure = || {
        assert_eq!(bench.state().0, "sign-on inhibited");
        assert!(
            bench.log().contains("\nStartup aborted, entering single user mode.\nEnter the instance with \n")
        );
        fs::rename(&file, bench.path("PROD/mgr/MISMATCH.WIJ.seen")).unwrap();
    };
    caused(&bench, "There exists a MISMATCH.WIJ file.", 1, || fs::write(&file, "x").unwrap(), cure);
}

#[test]
fn a_journal_that_recovery_needs_and_that_is_gone_ends_the_start_in_single_user_mode() {
    let bench = Bench::new();
    bench.start();
    let journal = fs::read_dir(bench.path("PROD/mgr/journal")).unwrap().next().unwrap().unwrap().path();
    kill("-KILL", bench.pid("CONTROL"));
    wait_until("it is down", || bench.state().0 == "down");
    fs::remove_file(journal).unwrap();
    bench.start();
    assert_eq!(
        severity_of(&bench, "Journal restore failed. Startup aborted, entering single user mode."),
        Some(2)
    );
    assert_eq!(bench.state().0, "sign-on inhibited");
    bench.stop();
    bench.start();
    assert_eq!(bench.state().0, "running", "a stop in order leaves nothing to restore");
}

#[test]
fn another_host_than_at_the_last_start_is_told() {
    let bench = Bench::new();
    bench.start();
    bench.stop();
    let name = bench.path("host/sys/kernel/hostname");
    fs::create_dir_all(name.parent().unwrap()).unwrap();
    fs::write(&name, "db-2\n").unwrap();
    bench.start();
    assert_eq!(severity_of(&bench, "System appears to have failed over from node "), Some(2));
    bench.stop();
    bench.start();
    assert_eq!(bench.log().matches("failed over from node").count(), 1, "it is the same host again");
}

#[test]
fn a_cpf_that_its_owner_may_not_write_ends_the_start_also_for_root() {
    let bench = Bench::new();
    let cpf = bench.path("PROD/iris.cpf");
    fs::set_permissions(&cpf, Permissions::from_mode(0o440)).unwrap();
    assert_eq!(bench.iris(&["start", "PROD", "quietly"]).status.code(), Some(1));
    assert_eq!(severity_of(&bench, "Unable to copy file '"), Some(3));
    assert_eq!(bench.state().0, "down");
    fs::set_permissions(&cpf, Permissions::from_mode(0o640)).unwrap();
    bench.start();
    assert_eq!(bench.log().matches("Unable to copy file '").count(), 1, "it goes with its cause");
}

#[test]
fn without_the_right_to_lock_memory_huge_pages_are_of_no_use() {
    let bench = Bench::with(&["--host-huge-pages", "800"]);
    let status = bench.path("host/self/status");
    fs::create_dir_all(status.parent().unwrap()).unwrap();
    caused(
        &bench,
        "Insufficient privileges to allocate Huge Pages; ",
        1,
        || fs::write(&status, "CapEff:\t0000000000000000\n").unwrap(),
        || fs::write(&status, "CapEff:\t0000000000004000\n").unwrap(),
    );
    assert_eq!(bench.told()["huge_pages"], true);
}

#[test]
fn a_missing_encryption_key_ends_the_start_in_single_user_mode() {
    let bench = Bench::new();
    let key = bench.path("PROD/mgr/db.key");
    fs::write(&key, "key").unwrap();
    fs::write(bench.path("PROD/mgr/encryption.conf"), format!("key={}\n", key.display())).unwrap();
    let cure = || {
        assert_eq!(bench.state().0, "sign-on inhibited");
        fs::write(&key, "key").unwrap();
    };
    let text =
        "Failure activating required database encryption key. Startup aborted, entering single user mode.";
    caused(&bench, text, 2, || fs::remove_file(&key).unwrap(), cure);
}

#[test]
fn a_database_that_another_host_has_is_left_alone() {
    let bench = Bench::new();
    let lock = bench.path("PROD/mgr/irisaudit/iris.lck");
    caused(
        &bench,
        "might be in use from (db-host-2) sfn(",
        1,
        || fs::write(&lock, "db-host-2\n").unwrap(),
        || fs::remove_file(&lock).unwrap(),
    );
}

/// The stand-in of CI runs as root, whom the kernel refuses nothing.
#[test]
fn a_right_that_is_missing_counts_also_for_root() {
    let mode = |path: &Path, bits| fs::set_permissions(path, Permissions::from_mode(bits)).unwrap();
    let bench = Bench::new();
    let journal = bench.path("PROD/mgr/journal");
    bench.start();
    bench.stop();
    let cpf = bench.path("PROD/iris.cpf");
    let other = format!("AlternateDirectory={}/", bench.path("PROD/mgr/journal2").display());
    fs::create_dir(bench.path("PROD/mgr/journal2")).unwrap();
    let text = fs::read_to_string(&cpf).unwrap();
    let line = text.lines().find(|line| line.starts_with("AlternateDirectory=")).unwrap();
    fs::write(&cpf, text.replace(line, &other)).unwrap();
    let denied = "JRNCREATE in jrnstart() - Error 13=(Permission denied)";
    caused(&bench, denied, 2, || mode(&journal, 0o555), || mode(&journal, 0o755));

    let lock = bench.path("PROD/mgr/irisaudit/iris.lck");
    assert!(lock.exists(), "a database that is mounted is locked");
    bench.stop();
    assert!(!lock.exists(), "a stop gives the lock back");
    let audit = lock.parent().unwrap();
    let text = "err(13): will try accessing readonly";
    caused(&bench, text, 1, || mode(audit, 0o555), || mode(audit, 0o755));
    bench.stop();
    let unreadable = || {
        fs::write(&lock, "\n").unwrap();
        mode(&lock, 0o200);
    };
    let text = "iris.lck to check for database lock";
    caused(&bench, text, 1, unreadable, || fs::remove_file(&lock).unwrap());
    mode(audit, 0o555);
    bench.stop();
    assert_eq!(severity_of(&bench, "Cannot remove database lock"), Some(1));
    assert!(lock.exists());
    mode(audit, 0o755);
    bench.start();
    bench.stop();
    assert_eq!(bench.log().matches("Cannot remove database lock").count(), 1, "it goes with its cause");
}

#[test]
fn a_namespace_without_its_database_says_so() {
    let bench = Bench::new();
    let file = bench.path("PROD/mgr/user/IRIS.DAT");
    let text = "Error rebuilding Extent index: ERROR #5002: ObjectScript error: <DIRECTORY>";
    caused(&bench, text, 2, || fs::remove_file(&file).unwrap(), || fs::write(&file, b"").unwrap());
}

#[test]
fn certificates_and_licenses_have_a_last_day() {
    let bench = Bench::new();
    fs::create_dir(bench.path("PROD/mgr/certificates")).unwrap();
    let file = bench.path("PROD/mgr/certificates/old.txt");
    let certificate = "serial=17\nissuer=CN=CA\nsubject=CN=service.example.test\nexpires=2024-05-11\n";
    caused(
        &bench,
        "Certificate 17 Issuer CN=CA (Subject CN=service.example.test)  expired ",
        3,
        || fs::write(&file, certificate).unwrap(),
        || fs::remove_file(&file).unwrap(),
    );
    let today = SystemClock.now().to_zoned(jiff::tz::TimeZone::system()).date();
    let in_days = |days: i64| today.saturating_add(jiff::Span::new().days(days));
    bench.stop();
    let ending = |days: i64| certificate.replace("2024-05-11", &in_days(days).to_string());
    caused(
        &bench,
        "Certificate 17 Issuer CN=CA (Subject CN=service.example.test) expires in ",
        1,
        || fs::write(&file, ending(12)).unwrap(),
        || fs::write(&file, ending(400)).unwrap(),
    );
    fs::remove_file(&file).unwrap();
    let key = bench.path("PROD/mgr/iris.key");
    let good = fs::read_to_string(&key).unwrap();
    bench.stop();
    fs::write(&key, format!("{good}ExpirationDate=01/31/2024\n")).unwrap();
    bench.start();
    assert_eq!(bench.last_entry("LMF Error: No valid license key.").map(|entry| entry.0), Some(2));
}

#[test]
fn a_damaged_block_freezes_the_instance_when_it_is_met() {
    let bench = Bench::new();
    fs::write(bench.path("PROD/mgr/user/IRIS.DAT"), b"what a failing disk left").unwrap();
    bench.start();
    assert_eq!(bench.state().1, "ok", "nobody has met it yet");
    bench.sim("load", &["--database-mb", "1"]);
    wait_until("it freezes", || bench.state().1 == "hung");
    let text = "*** SERIOUS INTERSYSTEMS IRIS ERROR THAT COULD CAUSE DATABASE DEGRADATION";
    assert!(bench.log().contains(text));
    assert_eq!(bench.last_entry("Suspending system due to <DATABASE> error").map(|entry| entry.0), Some(0));
    fs::write(bench.path("PROD/mgr/user/IRIS.DAT"), b"").unwrap();
    bench.iris_ok(&["restart", "PROD", "quietly"]);
    let passes = bench.told()["passes"].as_u64().unwrap();
    wait_until("it writes again", || bench.told()["passes"].as_u64().unwrap() > passes);
    assert_ne!(bench.state().1, "hung");
}

#[test]
fn a_program_that_crashes_takes_its_session_along_and_nothing_else() {
    let bench = Bench::new();
    bench.start();
    let mut session = TcpStream::connect(("127.0.0.1", bench.port())).unwrap();
    wait_until("the session", || bench.told()["sessions"] == 1);
    session.write_all(b"CRASH\n").unwrap();
    wait_until("its end", || bench.told()["sessions"] == 0);
    assert_eq!(severity_of(&bench, "caught signal 11."), Some(3));
    assert_eq!(bench.state().0, "running");
}
