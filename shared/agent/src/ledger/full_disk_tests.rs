//! The ledger on file systems that are really full or read-only. Mounting one needs root, as CI has.

use std::io::ErrorKind;

use instance_testkit::SmallDisk;
use jiff::Timestamp;

use super::{Folder, Ledger, LedgerError, State, tests::intent};
use crate::sample;

const NOW: Timestamp = Timestamp::constant(1_790_000_000, 0);

fn open(folder: &tempfile::TempDir) -> Result<Ledger, LedgerError> {
    Ledger::open(Folder::open(folder.path()).unwrap(), NOW)
}

/// Steps are begun until one cannot be; how many could, and why the next could not.
fn begin_until_refused(ledger: &Ledger) -> (u32, LedgerError) {
    let refused =
        (0..1000).find_map(|step| Some((step, ledger.intend(intent(&format!("s{step}"), 1, NOW)).err()?)));
    refused.expect("a disk that is full refuses at last")
}

fn kind(error: &LedgerError) -> Option<ErrorKind> {
    match error {
        LedgerError::Io { source, .. } => Some(source.kind()),
        _ => None,
    }
}

#[test]
fn a_full_disk_begins_nothing_and_what_was_begun_before_stays_known() {
    let folder = tempfile::tempdir().unwrap();
    let disk = SmallDisk::mount(folder.path(), "size=64k");
    let ledger = open(&folder).unwrap();
    disk.fill();
    let (begun, error) = begin_until_refused(&ledger);
    assert_eq!(kind(&error), Some(ErrorKind::StorageFull), "{error}");
    assert!(ledger.intend(intent("later", 1, NOW)).is_err(), "only a restart can tell what is on the disk");
    drop(ledger);

    // Opening needs no space; with space, the same step begins.
    disk.give_back();
    let ledger = open(&folder).unwrap();
    for step in 0..begun {
        let key = sample::order(&format!("s{step}"), 1).key();
        assert!(matches!(ledger.state(&key).unwrap(), State::Intent(_)), "s{step}");
    }
    let refused = sample::order(&format!("s{begun}"), 1).key();
    assert!(matches!(ledger.state(&refused).unwrap(), State::Nothing));
    ledger.intend(intent(&format!("s{begun}"), 1, NOW)).unwrap();
    assert!(matches!(ledger.state(&refused).unwrap(), State::Intent(_)));
}

#[test]
fn a_ledger_on_a_read_only_disk_is_not_opened() {
    let folder = tempfile::tempdir().unwrap();
    let disk = SmallDisk::mount(folder.path(), "size=64k");
    open(&folder).unwrap().intend(intent("s1", 1, NOW)).unwrap();
    disk.becomes("ro");
    let error = Folder::open(folder.path()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ReadOnlyFilesystem, "{error}");
    disk.becomes("rw");
    let key = sample::order("s1", 1).key();
    assert!(matches!(open(&folder).unwrap().state(&key).unwrap(), State::Intent(_)));
}
