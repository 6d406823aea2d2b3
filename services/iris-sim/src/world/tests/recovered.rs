//! What a start says of the run before it, and of a journal that it cannot begin.

use expect_test::expect;

use super::{Run, check, crashed, facts, stop};
use crate::world::Event;
use crate::world::act::Act;
use crate::world::facts::{Directory, JournalFacts, LockTrouble, Obstacles, Previous, StartFacts};

#[test]
fn a_start_after_a_crash_recovers() {
    let run = Run::of(StartFacts { previous: Previous::Abnormal(crashed(0)), ..facts() });
    let log = run.log();
    assert!(log.starts_with("\n\n\n*** Recovery started at Tue Feb  3 04:05:06 2026\n"), "{log}");
    assert!(log.contains("asker 2 Previous system shutdown was abnormal, system forced down or crashed\n"));
    assert!(log.contains("asker 0 Restoring from journal /j/20260202.009\n"));
    assert!(log.contains("asker 0 No open transactions to roll back\n"));
    assert!(!log.contains("WIJ indicates") && !log.contains("Rolling back"));
    assert_eq!((run.world.view().status, run.health()), ("running", "warn"));
}

#[test]
fn a_transaction_that_a_crash_cuts_off_is_rolled_back_and_not_denied() {
    let mut run = Run::of(facts());
    run.feed(Event::SessionOpened(1));
    run.feed(Event::TransactionBegan(1, "2026-02-03T04:06:00Z".parse().unwrap()));
    assert_eq!(run.world.wij().open_transactions, 1);
    run.feed(Event::SessionCrashed(1));
    assert_eq!(run.world.wij().open_transactions, 0, "it went with its session");

    let run = Run::of(StartFacts { previous: Previous::Abnormal(crashed(1)), ..facts() });
    let log = run.log();
    assert!(!log.contains("No open transactions"), "{log}");
    let at = |text: &str| log.find(text).unwrap_or_else(|| panic!("no \"{text}\" in\n{log}"));
    assert!(at("asker 0 Rolling back transactions ...\n") > at("asker 0 Journaling to "));
    assert_eq!(run.world.wij().open_transactions, 0, "nothing is left of it");
}

#[test]
fn each_release_has_its_own_words_for_an_end_in_order() {
    let after_clean_stop = || StartFacts { previous: Previous::Clean(crashed(0)), ..facts() };
    let graceful = "asker 0 Graceful system shutdown, transaction rollback not required\n";
    let wij = "asker 0 WIJ indicates no open transactions\n";
    let told = |version: &str| {
        let log = Run::of_release(version, after_clean_stop()).log();
        (log.contains(graceful), log.contains(wij))
    };
    assert_eq!(told("2024.2"), (true, false));
    assert_eq!(told("2025.2"), (false, true));
}

#[test]
fn a_mismatch_wij_is_told_in_one_entry_and_its_wij_is_not_compared() {
    let obstacles = Obstacles { mismatch_wij: true, ..Obstacles::default() };
    let run = Run::of(StartFacts { obstacles, previous: Previous::Abnormal(crashed(0)), ..facts() });
    let log = run.log();
    assert!(log.contains("\nMISMATCH.WIJ exists; skip WIJ compare\nExiting with status 3"), "{log}");
    assert!(!log.contains("Finished comparing"));
    let told = log.lines().skip_while(|line| !line.contains("There exists")).take(5);
    assert_eq!(
        told.collect::<Vec<_>>(),
        [
            "asker 1 There exists a MISMATCH.WIJ file.",
            "Startup aborted, entering single user mode.",
            "Enter the instance with ",
            "     iris session PROD -B",
            "and D ^STURECOV for help recovering from this error.",
        ]
    );
    assert_eq!(log.matches("aborted").count(), 1, "{log}");
    assert_eq!(run.world.view().status, "sign-on inhibited");
}

/// What a start says between its first try to journal and the next section.
fn journaling(current: Directory, alternate: Directory) -> String {
    let journal = JournalFacts { current, alternate, next_number: 3 };
    let log = Run::of(StartFacts { journal, ..facts() }).log();
    let from = log.lines().skip_while(|line| !line.contains("START: "));
    let lines = from.take_while(|line| !line.contains("Processing WorkQueues"));
    written(&(lines.collect::<Vec<_>>().join("\n") + "\n"))
}

/// Without what is done beside.
fn written(log: &str) -> String {
    log.split_inclusive('\n').filter(|line| !line.starts_with("-- ")).collect()
}

#[test]
fn one_journal_directory_without_the_right_to_it_leaves_the_other() {
    check(
        &journaling(Directory::Denied, Directory::Usable),
        &expect![[r"
            asker 0 START: /iris/PROD/mgr/journal/20260203.003
            JRNDMN 2 JRNCREATE in jrnstart() - Error 13=(Permission denied)
            asker 0 START: /iris/PROD/mgr/journal2/20260203.003
            asker 0 INTERSYSTEMS IRIS JOURNALING SYSTEM MESSAGE
            Journaling started to: /iris/PROD/mgr/journal2/20260203.003
            asker 0 Journaling to /iris/PROD/mgr/journal2/20260203.003 started.
        "]],
    );
    check(
        &journaling(Directory::Usable, Directory::Denied),
        &expect![[r"
            asker 0 START: /iris/PROD/mgr/journal/20260203.003
            JRNDMN 2 INTERSYSTEMS IRIS JOURNALING SYSTEM MESSAGE
            Failed to lock alternate journal directory /iris/PROD/mgr/journal2/
            Journaling started but cannot failover to alternate directory until this problem is resolved.
            asker 0 INTERSYSTEMS IRIS JOURNALING SYSTEM MESSAGE
            Journaling started to: /iris/PROD/mgr/journal/20260203.003
            asker 0 Journaling to /iris/PROD/mgr/journal/20260203.003 started.
        "]],
    );
    let healthy = journaling(Directory::Usable, Directory::Usable);
    assert!(!healthy.contains("Failed to lock") && !healthy.contains("JRNCREATE"), "{healthy}");
}

/// Each line as a real log has it, and what follows from it.
#[test]
fn a_database_that_cannot_be_locked_comes_up_read_only() {
    let audit = "/iris/PROD/mgr/irisaudit/";
    for (trouble, told) in [
        (LockTrouble::NotWritable, format!("Cannot lock {audit} err(13): will try accessing readonly")),
        (LockTrouble::NotReadable, format!("Unable to open {audit}iris.lck to check for database lock")),
    ] {
        let lock_troubles = vec![(audit.to_owned(), trouble)];
        let obstacles = Obstacles { lock_troubles, ..Obstacles::default() };
        let mut run = Run::of(StartFacts { obstacles, ..facts() });
        let mounted = format!(
            "CONTROL 1 {told}\nasker 0 Mounted database {audit} (SFN 5) read-only. File or filesystem allows \
             read-only access. \n"
        );
        assert!(run.log().contains(&mounted), "{}", run.log());
        assert!(!run.acts.contains(&Act::LockDatabase(audit.to_owned())));
        run.feed(stop());
        assert!(!run.acts.contains(&Act::UnlockDatabase(audit.to_owned())), "it is not its own to remove");
    }
}

#[test]
fn a_stop_gives_the_locks_back_and_names_those_that_it_cannot() {
    let audit = "/iris/PROD/mgr/irisaudit/".to_owned();
    let mut run = Run::of(facts());
    assert!(run.acts.contains(&Act::LockDatabase(audit.clone())));
    run.feed(Event::LocksStuck(vec![audit.clone()]));
    let told = written(&run.feed(stop()));
    let line = "asker 0 Removing database locks\nasker 1 Cannot remove database lock \
                /iris/PROD/mgr/irisaudit/iris.lck: Delete failed\nasker 0 Waiting for database updates to complete\n";
    assert!(told.contains(line), "{told}");
    assert!(!run.acts.contains(&Act::UnlockDatabase(audit)));
    assert!(run.acts.contains(&Act::UnlockDatabase("/iris/PROD/mgr/".to_owned())));
    let mut run = Run::of(facts());
    assert!(!run.feed(stop()).contains("Cannot remove"), "it goes with its cause");
}

#[test]
fn a_journal_that_starts_nowhere_says_where_it_tried() {
    let told = |current: Directory| {
        journaling(current, if current == Directory::Denied { Directory::Denied } else { Directory::Absent })
    };
    check(
        &told(Directory::Denied),
        &expect![[r"
            asker 0 START: /iris/PROD/mgr/journal/20260203.003
            JRNDMN 2 INTERSYSTEMS IRIS JOURNALING SYSTEM MESSAGE
            Failed to lock alternate journal directory /iris/PROD/mgr/journal2/
            Journaling started but cannot failover to alternate directory until this problem is resolved.
            JRNDMN 2 JRNCREATE in jrnstart() - Error 13=(Permission denied)
            asker 0 START: /iris/PROD/mgr/journal2/20260203.003
            JRNDMN 2 INTERSYSTEMS IRIS JOURNALING SYSTEM MESSAGE
            Journaling cannot be started - Failed to lock journal directory /iris/PROD/mgr/journal2/
            asker 2 Journaling NOT  started.
            asker 2 ERROR: Cannot use /iris/PROD/mgr/journal2/ for journaling because of failure to lock the directory
        "]],
    );
    let absent = told(Directory::Absent);
    assert!(!absent.contains("JRNCREATE"), "there is nothing to create a file in: {absent}");
    assert_eq!(absent.matches("Failed to lock journal directory").count(), 2, "{absent}");
}

#[test]
fn no_journal_directory_stops_a_start_only_when_it_is_to_freeze() {
    let nowhere = JournalFacts { current: Directory::Absent, alternate: Directory::Absent, next_number: 1 };
    let run = Run::of(StartFacts { journal: nowhere.clone(), ..facts() });
    assert!(run.log().contains("asker 2 Journaling NOT  started.\n"));
    assert_eq!(run.world.view().status, "running");

    let mut freezing = StartFacts { journal: nowhere, ..facts() };
    freezing.parameters.freeze_on_journal_error = true;
    let run = Run::of(freezing);
    let log = run.log();
    let refused = "asker 3 Error: Startup stopped because system is set to freeze on journal error";
    assert!(log.find(refused) > log.find("asker 2 Journaling NOT  started.\n"), "{log}");
    assert!(!run.log().contains("Enabling logons"));
}
