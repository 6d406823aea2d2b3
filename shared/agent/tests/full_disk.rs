//! The ledger on a file system that is really full, then read-only. Mounting one needs root, as CI has.
//!
//! A process of its own, with one test: a program that another test starts at the same moment would hold the lock of a
//! ledger for as long as its start takes.

#![expect(clippy::unwrap_used, reason = "a test")]

mod intents; // Steps whose intent goes into a ledger.

use std::{io::ErrorKind, path::Path};

use instance_agent::ledger::{Folder, Ledger, LedgerError, State};
use instance_testkit::SmallDisk;
use intents::{NOW, begin, order};

fn state(ledger: &Ledger, step: &str) -> State {
    ledger.state(&order(step).key()).unwrap()
}

fn open(folder: &Path) -> Ledger {
    Ledger::open(Folder::open(folder).unwrap(), NOW).unwrap()
}

/// Steps are begun until one cannot be; how many could, and why the next could not.
fn begin_until_refused(ledger: &Ledger) -> (u32, LedgerError) {
    let refused = (0..1000).find_map(|step| Some((step, begin(ledger, &format!("s{step}")).err()?)));
    refused.expect("a disk that is full refuses at last")
}

#[test]
fn on_a_disk_that_takes_nothing_no_step_begins_and_what_was_begun_before_stays_known() {
    let folder = tempfile::tempdir().unwrap();
    let disk = SmallDisk::mount(folder.path(), "size=64k");
    let ledger = open(folder.path());
    disk.fill();
    let (begun, error) = begin_until_refused(&ledger);
    let LedgerError::Io { source, .. } = &error else { panic!("{error}") };
    assert_eq!(source.kind(), ErrorKind::StorageFull);
    assert!(begin(&ledger, "later").is_err(), "only a restart can tell what is on the disk");
    drop(ledger);

    // Opening needs no space; with space, the same step begins.
    let refused = format!("s{begun}");
    let ledger = open(folder.path());
    assert!(matches!(state(&ledger, &refused), State::Nothing));
    disk.give_back();
    begin(&ledger, &refused).unwrap();
    for step in 0..=begun {
        assert!(matches!(state(&ledger, &format!("s{step}")), State::Intent(_)), "s{step}");
    }
    drop(ledger);

    disk.becomes("ro");
    assert_eq!(Folder::open(folder.path()).unwrap_err().kind(), ErrorKind::ReadOnlyFilesystem);
    disk.becomes("rw");
    assert!(matches!(state(&open(folder.path()), &refused), State::Intent(_)));
}
