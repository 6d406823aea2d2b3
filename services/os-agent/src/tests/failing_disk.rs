//! A place for drop-ins whose disk fails: each call of a change, and of its undo, in turn gets an error of a real file
//! system. Mounting one needs root, as CI has.

use instance_agent::Probe;
use instance_contract::Failure;
use instance_testkit::{Fault, MemoryDisk};
use nix::libc::{EDQUOT, EIO, EROFS};

use super::{Stage, code};
use crate::{apply, undo};

const SWAPPINESS: &str = "proc/sys/vm/swappiness";
/// What a change rests on. All else is looks that it can do without: what a crash has left, who else sets the parameter.
const NEEDED: [&str; 7] = ["create", "write", "setattr", "fsync", "rename", "unlink", "fsyncdir"];

/// A stage whose drop-ins lie on a disk that can be told to fail.
fn stage(disk: &MemoryDisk) -> Stage {
    let mut stage = Stage::new();
    stage.config.sysctl_dir = disk.folder().to_owned();
    stage
}

/// The drop-ins that `sysctl` would read.
fn kept(disk: &MemoryDisk) -> Vec<(String, String)> {
    let names = std::fs::read_dir(disk.folder()).unwrap().map(|entry| entry.unwrap().path());
    let read = |path: std::path::PathBuf| {
        let name = path.file_name().unwrap().to_str().unwrap().to_owned();
        let is_read = path.extension().is_some_and(|extension| extension == "conf");
        is_read.then(|| (name, std::fs::read_to_string(path).unwrap()))
    };
    names.filter_map(read).collect()
}

fn drop_in(value: &str) -> Vec<(String, String)> {
    let text = crate::host::drop_in_text("vm.swappiness", value);
    vec![("90-instance-vm.swappiness.conf".to_owned(), text)]
}

/// Every call in turn, until the work needs no more; the calls that failed.
fn every_call(
    errno: i32,
    for_ever: bool,
    check: impl Fn(&'static str, Result<(), Failure>, &Stage, &MemoryDisk),
    before: impl Fn(&Stage),
    work: impl Fn(&Stage) -> Result<(), Failure>,
) -> Vec<&'static str> {
    let mut calls = Vec::new();
    for at in 0.. {
        let disk = MemoryDisk::mount();
        let stage = stage(&disk);
        before(&stage);
        disk.arm(Fault { errno, at, for_ever });
        let outcome = work(&stage);
        let Some(call) = disk.disarm() else { break };
        check(call, outcome, &stage, &disk);
        calls.push(call);
    }
    calls
}

/// The value is set only with its drop-in, and whatever failed, the next attempt ends well.
fn a_change_that_fails(errno: i32, word: &str, for_ever: bool) -> Vec<&'static str> {
    let check = |call: &str, outcome: Result<(), Failure>, stage: &Stage, disk: &MemoryDisk| {
        let (value, held) = (stage.value(SWAPPINESS), kept(disk));
        assert!(held.is_empty() || held == drop_in("5"), "{call}: {held:?}");
        match outcome {
            Ok(()) if NEEDED.contains(&call) => panic!("{call} failed, and nobody was told"),
            Ok(()) => assert_eq!((value.as_str(), &held), ("5\n", &drop_in("5")), "{call}"),
            Err(failure) => {
                assert_eq!((value.as_str(), code(&failure)), ("60\n", word), "{call}: {failure}");
                let is_unknown = matches!(failure, Failure::Unknown { .. });
                assert!(held.is_empty() || is_unknown, "{call}: {failure}, and {held:?}");
                let is_again = matches!(failure, Failure::Transient { .. });
                assert_eq!(is_again, word == "no_space" && !is_unknown, "{call}: {failure}");
            }
        }
        stage.change("vm.swappiness", "5").unwrap();
        assert_eq!((stage.value(SWAPPINESS), kept(disk)), ("5\n".to_owned(), drop_in("5")));
    };
    every_call(errno, for_ever, check, |_| (), |stage| stage.change("vm.swappiness", "5").map(drop))
}

#[test]
fn whichever_call_fails_the_value_is_not_set_without_its_drop_in() {
    if !MemoryDisk::can_be_mounted() {
        return;
    }
    let calls = a_change_that_fails(EIO, "file_error", false);
    for call in ["lookup", "create", "setattr", "write", "fsync", "rename", "fsyncdir"] {
        assert!(calls.contains(&call), "no {call} among {calls:?}");
    }
    a_change_that_fails(EIO, "file_error", true);
}

#[test]
fn a_quota_and_a_read_only_disk_are_told_as_that() {
    if !MemoryDisk::can_be_mounted() {
        return;
    }
    a_change_that_fails(EDQUOT, "no_space", false);
    a_change_that_fails(EROFS, "missing_right", false);
}

#[test]
fn an_undo_whose_disk_fails_is_never_told_as_done() {
    if !MemoryDisk::can_be_mounted() {
        return;
    }
    for for_ever in [false, true] {
        let check = |call: &str, outcome: Result<(), Failure>, stage: &Stage, disk: &MemoryDisk| {
            let (value, held) = (stage.value(SWAPPINESS), kept(disk));
            assert!(held.is_empty() || held == drop_in("5"), "{call}: {held:?}");
            match outcome {
                Ok(()) if NEEDED.contains(&call) => panic!("{call} failed, and nobody was told"),
                Ok(()) => assert_eq!((value.as_str(), held.len()), ("60\n", 0), "{call}"),
                Err(failure) => assert_eq!(code(&failure), "file_error", "{call}: {failure}"),
            }
            // With the disk back the rest is done, and it is known to be.
            stage.undo(&done()).unwrap();
            assert_eq!((stage.value(SWAPPINESS), kept(disk).len()), ("60\n".to_owned(), 0));
            assert!(matches!(undo::probe(&stage.host(), &done()).unwrap(), Probe::Done(_)), "{call}");
        };
        let begin = |stage: &Stage| drop(stage.change("vm.swappiness", "5").unwrap());
        let calls = every_call(EIO, for_ever, check, begin, |stage| stage.undo(&done()).map(drop));
        for call in ["lookup", "unlink", "fsyncdir"] {
            assert!(for_ever || calls.contains(&call), "no {call} among {calls:?}");
        }
    }
}

/// What the ledger would hold of the change from 60 to 5.
fn done() -> instance_agent::Prepared {
    let material = apply::Material {
        parameter: "vm.swappiness".to_owned(),
        drop_in: Some(apply::DropInChange {
            before: None,
            after: crate::host::drop_in_text("vm.swappiness", "5"),
        }),
    };
    instance_agent::Prepared {
        before: "60".to_owned(),
        wanted: "5".to_owned(),
        already: false,
        material: serde_json::to_value(material).unwrap(),
    }
}
