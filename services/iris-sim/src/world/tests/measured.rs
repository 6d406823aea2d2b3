//! What the instance finds and measures while it runs: certificates, purges, free space, its own state.

use expect_test::expect;

use super::{Run, check, facts, kill};
use crate::world::act::{Act, Alarm, Daemon};
use crate::world::facts::{EndingCertificate, Obstacles, StartFacts};
use crate::world::metrics::Surroundings;
use crate::world::{Event, Load};

/// The value of a metric without labels.
fn metric(run: &Run, name: &str) -> String {
    let around = Surroundings {
        at: "2026-02-03T04:06:00Z[UTC]".parse().unwrap(),
        alerts: [0; 3],
        databases: Vec::new(),
        journals: Vec::new(),
        memory_percent: 0.0,
    };
    let page = run.world.metrics(&around);
    let line = page.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    line.unwrap_or_else(|| panic!("no {name} in\n{page}")).to_owned()
}

#[test]
fn certificates_are_summed_up_first_and_each_tells_who_uses_it() {
    let certificate = |serial: &str, days_left: i64| EndingCertificate {
        serial: serial.to_owned(),
        issuer: "CN=CA".to_owned(),
        subject: "CN=service".to_owned(),
        used_by: "Root Certificates - \"iris.cer\"".to_owned(),
        last_day: "2025-05-17".parse().unwrap(),
        days_left,
    };
    let ending_certificates = vec![certificate("17", -187), certificate("18", 12)];
    let obstacles = Obstacles { ending_certificates, ..Obstacles::default() };
    let log = Run::of(StartFacts { obstacles, ..facts() }).log();
    let told: Vec<&str> = log.lines().filter(|line| line.contains("ertificate")).collect();
    check(
        &(told.join("\n") + "\n"),
        &expect![[r#"
            SystemMonitor 3 1 SSL/TLS, X.509 Certificate(s) have expired. See messages.log for details.
            SystemMonitor 3 Certificate 17 Issuer CN=CA (Subject CN=service)  expired 187 days ago (2025-05-17).
            SystemMonitor 0 Certificate 17 Issuer CN=CA used by configuration(s) Root Certificates - "iris.cer"
            SystemMonitor 1 Certificate 18 Issuer CN=CA (Subject CN=service) expires in 12 days
        "#]],
    );
}

#[test]
fn each_journal_file_that_is_purged_is_named() {
    let mut run = Run::of(facts());
    let purged = ["/j/20260131.001", "/j/20260131.002"].map(str::to_owned).to_vec();
    check(
        &run.feed(Event::JournalsPurged(purged)),
        &expect![[r"
            TaskManager 0 DELETE: /j/20260131.001
            TaskManager 0 DELETE: /j/20260131.002
        "]],
    );
    assert_eq!(run.feed(Event::JournalsPurged(Vec::new())), "");
}

#[test]
fn what_a_database_has_grown_by_and_not_filled_is_free() {
    let mut facts = facts();
    facts.parameters.databases.push(("USER".to_owned(), "/iris/PROD/mgr/user/".to_owned()));
    let mut run = Run::of(facts);
    assert_eq!(run.world.free_mb("USER"), 0);
    run.feed(Event::LoadSet(Load { database_mb_per_pass: 4, ..Load::default() }));
    run.feed(Event::Rang(Alarm::Pass));
    let asked = run.acts.iter().any(|act| matches!(act, Act::ExpandDatabase { mb: 10, .. }));
    assert!(asked, "{}", run.log());
    run.feed(Event::DatabaseExpanded("/iris/PROD/mgr/user/".to_owned(), true));
    assert_eq!(run.world.free_mb("USER"), 6);
    assert_eq!(run.world.free_mb("IRISSYS"), 0);
}

#[test]
fn an_instance_whose_updates_wait_is_measured_as_one_that_hangs() {
    let mut run = Run::of(facts());
    let state = |run: &Run| (metric(run, "iris_system_state"), metric(run, "iris_wd_suspended"));
    assert_eq!(state(&run), ("0".to_owned(), "0".to_owned()));
    // One pass is missed, then it is slow, then the users are paused.
    for _ in 0..3 {
        run.feed(Event::WriteDaemonStands);
    }
    assert_eq!(state(&run), ("-1".to_owned(), "1".to_owned()));
    run.feed(Event::Rang(Alarm::Pass));
    assert_ne!(state(&run).0, "-1", "the pass came to its end");
    run.feed(kill(Daemon::WriteDaemon));
    assert_eq!(state(&run), ("-1".to_owned(), "1".to_owned()));
}
