//! A file system that fails: each call of a change in turn gets an error of a real file system (FUSE, served by the
//! test itself). Mounting one needs root, as CI has.

use instance_contract::Failure;
use instance_testkit::{Fault, MemoryDisk};
use nix::libc::{EDQUOT, EIO, ENOSPC, EROFS};

use super::{Stage, code, several::FULL};

/// What one attempt came to with the fault at one call.
struct Attempt {
    /// The call that failed; none when the change needs fewer.
    failed_call: Option<&'static str>,
    failure: Option<Failure>,
    cpf: Vec<u8>,
    left: Vec<String>,
}

const WANTED: (&str, &str) = ("globals", "0,0,512,0,0,0");

/// With an exchange of draft and CPF, and without.
const DISKS: [fn() -> MemoryDisk; 2] = [MemoryDisk::mount, MemoryDisk::mount_plain];

fn changed() -> Vec<u8> {
    String::from_utf8(FULL.to_vec()).unwrap().replace("globals=0,0,256", "globals=0,0,512").into_bytes()
}

/// A change whose call number `at` fails, and, when `for_ever`, every one after it.
fn attempt(disk: fn() -> MemoryDisk, errno: i32, at: u64, for_ever: bool) -> Attempt {
    let disk = disk();
    let stage = Stage::at(disk.folder(), FULL);
    let prepared = stage.prepare(WANTED.0, WANTED.1).unwrap();
    disk.arm(Fault { errno, at, for_ever });
    let outcome = stage.apply(WANTED.0, WANTED.1, &prepared, &|| Ok(()));
    let failed_call = disk.disarm();
    let (cpf, left) = (stage.cpf(), stage.others());
    if let Err(failure) = &outcome {
        // Whatever it was, the next attempt finds a world that it can work with.
        let again = stage.change(WANTED.0, WANTED.1);
        assert!(again.is_ok(), "call {at} ({failed_call:?}) failed with {failure}, and then {again:?}");
        assert_eq!(stage.cpf(), changed());
    }
    Attempt { failed_call, failure: outcome.err(), cpf, left }
}

/// Every call in turn, until the change needs no more; the calls that failed.
fn every_call(
    disk: fn() -> MemoryDisk,
    errno: i32,
    for_ever: bool,
    check: impl Fn(&Attempt),
) -> Vec<&'static str> {
    let mut calls = Vec::new();
    for at in 0.. {
        let attempt = attempt(disk, errno, at, for_ever);
        let Some(call) = attempt.failed_call else { break };
        check(&attempt);
        calls.push(call);
    }
    calls
}

/// The whole old or the whole new file; and when the new one, nobody says that nothing has changed.
fn whole(attempt: &Attempt) {
    let call = attempt.failed_call;
    match &attempt.failure {
        None => assert_eq!(attempt.cpf, changed(), "{call:?}"),
        Some(Failure::Unknown { .. }) => {
            assert!(attempt.cpf == FULL || attempt.cpf == changed(), "{call:?}");
        }
        Some(failure) => assert!(attempt.cpf == FULL, "{call:?}: {failure}"),
    }
}

#[test]
fn whichever_call_fails_once_the_file_is_whole_and_no_draft_stays() {
    if !MemoryDisk::can_be_mounted() {
        return;
    }
    let both = DISKS.map(|disk| {
        every_call(disk, EIO, false, |attempt| {
            whole(attempt);
            let draft = attempt.left.iter().any(|name| name.starts_with('.'));
            assert!(
                !draft || attempt.failed_call == Some("unlink"),
                "{:?}: {:?}",
                attempt.failed_call,
                attempt.left
            );
            if let Some(failure) = &attempt.failure {
                assert_eq!(code(failure), "file_error", "{:?}", attempt.failed_call);
                assert!(
                    !matches!(failure, Failure::Transient { .. }),
                    "a disk that fails is not asked again"
                );
            }
        })
    });
    for (calls, renames) in both.iter().zip(["rename2", "rename"]) {
        for call in ["lookup", "open", "read", "create", "write", "setattr", "fsync", renames, "fsyncdir"] {
            assert!(calls.contains(&call), "no {call} among {calls:?}");
        }
        assert!(calls.len() > 30, "{calls:?}");
    }
}

#[test]
fn a_disk_that_is_gone_for_good_leaves_the_file_whole() {
    if !MemoryDisk::can_be_mounted() {
        return;
    }
    for disk in DISKS {
        every_call(disk, EIO, true, whole);
    }
}

#[test]
fn a_disk_that_is_full_at_any_call_leaves_the_file_whole_and_says_so() {
    if !MemoryDisk::can_be_mounted() {
        return;
    }
    for (errno, word) in [(ENOSPC, "no_space"), (EDQUOT, "no_space"), (EROFS, "read_only_file_system")] {
        for disk in DISKS {
            every_call(disk, errno, false, |attempt| {
                whole(attempt);
                if let Some(failure) = &attempt.failure {
                    assert_eq!(code(failure), word, "{:?}", attempt.failed_call);
                }
            });
        }
    }
}
