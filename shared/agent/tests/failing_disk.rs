//! The ledger on a disk that fails: each call in turn gets EIO from a real file system. Mounting one needs root, as CI
//! has. A process of its own, as `full_disk` is.

#![expect(clippy::unwrap_used, reason = "a test")]

mod intents; // Steps whose intent goes into a ledger.

use instance_agent::ledger::{Folder, Ledger, State};
use instance_testkit::{Fault, MemoryDisk};
use intents::{NOW, begin, order};

const EIO: i32 = 5;

/// What a process does from its start to its second step; how many were begun, and what stopped it.
fn life(disk: &MemoryDisk) -> (Vec<&'static str>, Option<String>) {
    let mut begun = Vec::new();
    let mut live = || -> Result<(), Box<dyn std::error::Error>> {
        let ledger = Ledger::open(Folder::open(disk.folder())?, NOW)?;
        for step in ["one", "two"] {
            if let Err(error) = begin(&ledger, step) {
                // Nobody knows what the disk holds now, and the next sync may claim success.
                assert!(begin(&ledger, "after-it").is_err(), "{error}");
                return Err(error.into());
            }
            begun.push(step);
        }
        Ok(())
    };
    let stopped = live().err().map(|error| error.to_string());
    (begun, stopped)
}

#[test]
fn whichever_call_fails_what_was_acknowledged_is_there_and_nothing_else_is_believed() {
    if !MemoryDisk::can_be_mounted() {
        return;
    }
    for for_ever in [false, true] {
        let mut calls = Vec::new();
        for at in 0.. {
            let disk = MemoryDisk::mount();
            let former = Ledger::open(Folder::open(disk.folder()).unwrap(), NOW).unwrap();
            begin(&former, "former").unwrap();
            drop(former);
            disk.arm(Fault { errno: EIO, at, for_ever });
            let (begun, stopped) = life(&disk);
            let Some(call) = disk.disarm() else { break };
            assert!(stopped.is_some() || begun == ["one", "two"], "{call}");

            // As after the restart that a failed sync makes necessary.
            let ledger = Ledger::open(Folder::open(disk.folder()).unwrap(), NOW).unwrap();
            for step in begun.iter().chain(&["former"]) {
                let state = ledger.state(&order(step).key()).unwrap();
                assert!(matches!(state, State::Intent(_)), "{call}, number {at}: {step} is forgotten");
            }
            let never = ledger.state(&order("after-it").key()).unwrap();
            assert!(matches!(never, State::Nothing), "{call}, number {at}");
            begin(&ledger, "later").unwrap();
            calls.push(call);
        }
        for call in ["open", "read", "write", "fsync", "fsyncdir"] {
            assert!(for_ever || calls.contains(&call), "no {call} among {calls:?}");
        }
    }
}
