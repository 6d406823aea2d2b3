//! The world driven by hand: what it writes for which state.

mod measured;
mod recovered;

use std::fmt::Write as _;

use expect_test::{Expect, expect};

use crate::world::act::{Act, Alarm, Daemon, Ending, Writer};
use crate::world::check_cpf::CpfFault;
use crate::world::facts::{
    Directory, HostMemory, JournalFacts, Obstacles, Previous, StartFacts, SystemName, WijInfo,
};
use crate::world::metrics::Surroundings;
use crate::world::parameters::Parameters;
use crate::world::release::Release;
use crate::world::{Event, Identity, Load, World};

/// 256 MB of global buffers on a host of 16 GB without huge pages.
fn facts() -> StartFacts {
    let value = |section: &str, name: &str| {
        let text = match (section, name) {
            ("config", "globals") => "0,0,256,0,0,0",
            ("Startup", "DefaultPort") => "1972",
            ("Journal", "CurrentDirectory") => "/iris/PROD/mgr/journal/",
            ("Journal", "AlternateDirectory") => "/iris/PROD/mgr/journal2/",
            _ => return None,
        };
        Some(text.to_owned())
    };
    let databases =
        [("IRISSYS", ""), ("IRISLIB", "irislib/"), ("IRISTEMP", "iristemp/"), ("IRISAUDIT", "irisaudit/")]
            .map(|(name, folder)| (name.to_owned(), format!("/iris/PROD/mgr/{folder}")));
    let word = |text: &str| text.to_owned();
    StartFacts {
        directory: word("/iris/PROD/"),
        databases_there: databases.iter().map(|(_, directory)| directory.clone()).collect(),
        private_web_server: false,
        at: "2026-02-03T04:05:06.789[UTC]".parse().unwrap(),
        user: word("irisowner"),
        without_startup_routine: false,
        parameters: Parameters::read(value, databases.to_vec()),
        cpf_faults: Vec::new(),
        cpf_changed: false,
        memory: HostMemory { total_mb: 16384, huge_pages: 0, huge_page_kb: 2048, may_lock: true },
        system: SystemName {
            node: word("h1"),
            version: word("#1"),
            release: word("6.1"),
            machine: word("x86_64"),
        },
        previous: Previous::Never,
        journal: JournalFacts { current: Directory::Usable, alternate: Directory::Usable, next_number: 1 },
        licensed_users: Some(64),
        obstacles: Obstacles::default(),
    }
}

/// A world, and every line it wrote.
struct Run {
    world: World,
    acts: Vec<Act>,
}

impl Run {
    fn of(facts: StartFacts) -> Self {
        Self::of_release("2025.2", facts)
    }

    fn of_release(version: &str, facts: StartFacts) -> Self {
        let identity = Identity {
            name: "PROD".to_owned(),
            directory: "/iris/PROD/".to_owned(),
            bin_directory: "/iris/bin/".to_owned(),
            cpf_path: "/iris/PROD/iris.cpf".to_owned(),
            release: Release::try_from(version.to_owned()).unwrap(),
        };
        let mut run = Self { world: World::new(identity, 7), acts: Vec::new() };
        run.feed(Event::StartAsked(Box::new(facts)));
        run
    }

    /// Feeds an event and answers what the world asks the shell; returns what was written.
    fn feed(&mut self, event: Event) -> String {
        let before = self.acts.len();
        let mut events = vec![event];
        while let Some(event) = events.pop() {
            for act in self.world.apply(event) {
                match &act {
                    Act::RewriteCpf => events.push(Event::CpfRewritten(Ok(()))),
                    Act::OpenSuperserver { .. } => events.push(Event::SuperserverOpened(Ok(()))),
                    _ => {}
                }
                self.acts.push(act);
            }
        }
        printed(&self.acts[before..])
    }

    fn log(&self) -> String {
        printed(&self.acts)
    }

    fn health(&self) -> &'static str {
        self.world.view().health
    }
}

fn printed(acts: &[Act]) -> String {
    let mut text = String::new();
    for act in acts {
        match act {
            Act::Log(entry) | Act::LogWithMoment(entry) => {
                let writer = match entry.writer {
                    Writer::Control => "CONTROL".to_owned(),
                    Writer::Daemon(daemon) => daemon.to_string(),
                    Writer::Job(job) => format!("{job:?}"),
                    Writer::Asker => "asker".to_owned(),
                };
                writeln!(text, "{writer} {} {}", entry.severity.as_u8(), entry.text).unwrap();
            }
            Act::Banner(banner) => write!(text, "{banner}").unwrap(),
            Act::Say(_) => {}
            other => writeln!(text, "-- {other:?}").unwrap(),
        }
    }
    text
}

fn check(actual: &str, expected: &Expect) {
    expected.assert_eq(actual);
}

fn stop() -> Event {
    Event::StopAsked { user: "irisowner".to_owned(), without_routines: false }
}

fn dirty(dirty_mb_per_pass: u64) -> Load {
    Load { dirty_mb_per_pass, ..Load::default() }
}

/// What a run left that ended with so many open transactions.
fn crashed(open_transactions: u32) -> WijInfo {
    WijInfo { journal_file: "/j/20260202.009".to_owned(), journal_count: 9, passes: 5, open_transactions }
}

fn kill(daemon: Daemon) -> Event {
    Event::DaemonDied { daemon, pid: 4242 }
}

#[test]
fn a_first_start_ends_with_logons() {
    let run = Run::of(facts());
    let log = run.log();
    let in_order = [
        "CONTROL 0 Allocated 741MB shared memory",
        "CONTROL 0 No journaling info from prior system",
        "-- StartDaemons",
        "WRTDMN 0 Write daemon started.",
        "asker 0 Mounted database /iris/PROD/mgr/ (SFN 0) read-write.",
        "asker 0 Instance 'PROD' starting on node h1 by user 'irisowner' on \n",
        "asker 0 Using parameters from file '/iris/PROD/iris.cpf'",
        "LogMonitor 0 Log Monitor Started",
        "CleanDaemon 0 Clean Daemon Started",
        "-- RewriteCpf",
        "asker 0 WIJ indicates no open transactions\n",
        "asker 0 START: /iris/PROD/mgr/journal/20260203.001",
        "LicenseMonitor 0 LMF Info:  Licensed for 64 users.",
        "Superserver 0 Starting superserver on port 1972",
        "SystemMonitor 0 [SYSTEM MONITOR] System Monitor started in %SYS",
        "asker 0 Enabling logons",
        "TaskManager 0 Starting TASKMGR",
        "-- KeepLastGood",
        "-- Ready",
    ];
    let mut rest = log.as_str();
    for line in in_order {
        let at = rest.find(line).unwrap_or_else(|| panic!("no \"{line}\" in the rest of\n{log}"));
        rest = &rest[at + line.len()..];
    }
    assert!(!log.contains("Recovery started"), "a first start has nothing to recover");
    assert_eq!((run.world.view().status, run.health()), ("running", "ok"));
}

#[test]
fn a_clean_stop_writes_what_real_logs_have() {
    let mut run = Run::of(facts());
    run.feed(Event::SessionOpened(1));
    run.feed(Event::SessionOpened(2));
    check(
        &run.feed(stop()),
        &expect![[r#"
            asker 0 User 'irisowner' shutting down InterSystems IRIS
            asker 0 Notifying Clients
            SystemMonitor 0 [SYSTEM MONITOR] System Monitor stopped in %SYS
            asker 0 No user shutdown routines to execute
            asker 0 Stopping User Jobs
            asker 0 Stopping Network Servers
            asker 0 Withdrawing from License Domain
            asker 0 Waiting for users to stop
            asker 0 2 user process(es) remain
            -- CloseSuperserver
            asker 0 Auditing stopped
            asker 0 Stopping Client Networking
            asker 0 Updating Journal File
            asker 0 Journal restore not required at next startup
            asker 0 Transaction rollback not required at next startup
            asker 0 Removing database locks
            -- UnlockDatabase("/iris/PROD/mgr/")
            -- UnlockDatabase("/iris/PROD/mgr/irislib/")
            -- UnlockDatabase("/iris/PROD/mgr/iristemp/")
            -- UnlockDatabase("/iris/PROD/mgr/irisaudit/")
            asker 0 Waiting for database updates to complete
            asker 0 Database updates complete
            asker 0 Stopping System Jobs
            -- StopDaemons
            EXPDMN 0 EXPDMN exited due to system shutdown
            AUXWD #1 0 AUXWD #1 exited due to system shutdown
            JRNDMN 0 JRNDMN exited due to system shutdown
            GARCOL 0 GARCOL exited due to system shutdown
            WRTDMN 0 No blocks pending in WIJ file
            WRTDMN 0 WRTDMN exited due to system shutdown
            CONTROL 0 CONTROL exited due to system shutdown
            asker 0 Shutdown complete
            -- End(Clean)
        "#]],
    );
}

#[test]
fn too_few_buffers_for_the_load_are_a_panic_and_enough_are_none() {
    let mut run = Run::of(facts());
    run.feed(Event::LoadSet(dirty(128)));
    let pass = run.feed(Event::Rang(Alarm::Pass));
    assert!(!pass.contains("panic"), "half of 256 MB is enough for 128 MB:\n{pass}");
    run.feed(Event::LoadSet(dirty(129)));
    check(
        &run.feed(Event::Rang(Alarm::Pass)),
        &expect![[r"
            WRTDMN 3 Insufficient global buffers - WRTDMN in panic mode
            -- Wake(1800s, Quiet)
            -- Wake(80s, Pass)
        "]],
    );
    assert_eq!(run.health(), "alert");
    run.feed(Event::LoadSet(dirty(128)));
    assert!(!run.feed(Event::Rang(Alarm::Pass)).contains("panic"), "the cause is gone");
    run.feed(Event::Rang(Alarm::Quiet));
    assert_eq!(run.health(), "warn");
    run.feed(Event::Rang(Alarm::Quiet));
    assert_eq!(run.health(), "ok");
}

#[test]
fn a_killed_write_daemon_freezes_until_the_instance_is_forced() {
    let mut run = Run::of(facts());
    check(
        &run.feed(kill(Daemon::WriteDaemon)),
        &expect![[r"
            CONTROL 2 System Process 'WRTDMN' terminated abnormally (pid 4242)
            CONTROL 3 Daemon WRTDMN (pid 4242) died. Freezing system
        "]],
    );
    assert_eq!((run.world.view().status, run.health()), ("running", "hung"));
    assert_eq!(run.feed(Event::Rang(Alarm::Pass)), "", "no pass without a write daemon");
    check(
        &run.feed(stop()),
        &expect![[r"
            asker 0 User 'irisowner' shutting down InterSystems IRIS
            asker 1 Shutdown detected WDSTOP set
            asker 0 Attempting to write journal buffers to disk
            asker 0 Journal buffers written to disk
            -- Wake(60s, Overdue)
        "]],
    );
    assert_eq!(run.feed(stop()), "", "a second stop waits for the first");
    let forced = run.feed(Event::Rang(Alarm::Overdue));
    assert!(forced.starts_with("asker 3 WDSTOP set, system being forced\n"), "{forced}");
    assert!(!forced.contains("WRTDMN exited"), "it is dead already:\n{forced}");
    assert_eq!(run.acts.last(), Some(&Act::End(Ending::Abnormal)));
}

#[test]
fn a_daemon_that_writes_no_database_freezes_nothing() {
    let mut run = Run::of(facts());
    run.feed(kill(Daemon::GarbageCollector));
    assert_eq!((run.world.view().status, run.health()), ("running", "warn"));
}

#[test]
fn a_bad_cpf_shuts_the_instance_down() {
    let fault =
        CpfFault::Unknown { parameter: "globals".to_owned(), text: "globals=20000".to_owned(), line: 12 };
    let mut run = Run::of(StartFacts { cpf_faults: vec![fault], ..facts() });
    let log = run.log();
    assert!(
        log.contains("asker 3 Invalid parameter name 'globals', LINE:'globals=20000' at line 12\n"),
        "{log}"
    );
    assert!(log.contains(
        "asker 3 Error: Parsing CPF file /iris/PROD/iris.cpf - Shutting down the system : $zu(56,2)="
    ));
    assert!(!log.contains("RewriteCpf") && !log.contains("Enabling logons"));
    assert_eq!(run.world.view().status, "starting");
    run.feed(Event::Rang(Alarm::GiveUp));
    assert_eq!(run.acts.last(), Some(&Act::End(Ending::StartFailed)));
}

#[test]
fn a_cpf_that_cannot_be_replaced_shuts_the_instance_down() {
    let mut run = Run::of(facts());
    run.acts.clear();
    // The same start, but the shell cannot write.
    let mut world = Run::of(facts()).world;
    world.apply(stop());
    world.apply(Event::StartAsked(Box::new(facts())));
    run.acts = world.apply(Event::CpfRewritten(Err("/iris/PROD/iris.cpf_77".to_owned())));
    assert!(run.log().starts_with(
        "asker 3 Unable to copy file '/iris/PROD/iris.cpf_77' to '/iris/PROD/iris.cpf'\n\
         asker 3 Error: Parsing CPF file /iris/PROD/iris.cpf - Shutting down the system"
    ));
}

#[test]
fn nostu_stops_before_logons() {
    let run = Run::of(StartFacts { without_startup_routine: true, ..facts() });
    assert!(run.log().contains("started with NOSTU option"));
    assert!(!run.log().contains("Enabling logons"));
    assert_eq!(run.world.view().status, "sign-on inhibited");
}

#[test]
fn the_same_seed_and_events_give_the_same_text() {
    let life = || {
        let mut run = Run::of(StartFacts { previous: Previous::Abnormal(crashed(0)), ..facts() });
        run.feed(Event::LoadSet(dirty(4000)));
        run.feed(Event::Rang(Alarm::Pass));
        run.feed(kill(Daemon::AuxiliaryWriteDaemon));
        run.feed(Event::Terminated);
        run.log()
    };
    assert_eq!(life(), life());
}

#[test]
fn the_days_of_a_license_count_down_while_the_instance_runs() {
    let days_at = |left: Option<i64>, at: &str| {
        let obstacles = Obstacles { license_days_left: left, ..Obstacles::default() };
        let run = Run::of(StartFacts { obstacles, ..facts() });
        let around = Surroundings {
            at: at.parse().unwrap(),
            alerts: [0; 3],
            databases: Vec::new(),
            journals: Vec::new(),
            memory_percent: 0.0,
        };
        let page = run.world.metrics(&around);
        let days = page.lines().find_map(|line| line.strip_prefix("iris_license_days_remaining "));
        days.map(|text| text.parse::<i64>().unwrap())
    };
    assert_eq!(days_at(Some(40), "2026-02-03T23:00:00[UTC]"), Some(40));
    assert_eq!(days_at(Some(40), "2026-03-05T00:30:00[UTC]"), Some(10));
    assert_eq!(days_at(Some(40), "2026-04-05T00:30:00[UTC]"), Some(0));
    assert_eq!(days_at(None, "2026-02-03T23:00:00[UTC]"), None, "a key that never ends");
}

#[test]
fn the_longest_open_transaction_is_told_when_it_is_long_and_when_it_is_very_long() {
    let mut run = Run::of(facts());
    let at: jiff::Timestamp = "2026-02-03T04:06:00Z".parse().unwrap();
    run.feed(Event::SessionOpened(1));
    run.feed(Event::SessionOpened(2));
    run.feed(Event::TransactionBegan(1, at));
    let mut told = |passes: u32| -> Vec<String> {
        let log: String = (0..passes).map(|_| run.feed(Event::Rang(Alarm::Pass))).collect();
        log.lines().filter(|line| line.contains("open transaction")).map(str::to_owned).collect()
    };
    assert_eq!(told(7), [""; 0]);
    assert_eq!(told(8), ["SystemMonitor 1 [SYSTEM MONITOR] Longest open transaction is 10 minutes old"]);
    assert_eq!(told(8), ["SystemMonitor 2 [SYSTEM MONITOR] Longest open transaction is 21 minutes old"]);
    run.feed(Event::TransactionEnded(1));
    run.feed(Event::TransactionBegan(2, at));
    let log: String = (0..7).map(|_| run.feed(Event::Rang(Alarm::Pass))).collect();
    assert!(!log.contains("open transaction"), "another one began: {log}");
}
