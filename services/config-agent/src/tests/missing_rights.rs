//! As a user who lacks a right: the kernel itself says no, and the answer names the cure. Where the tests run as root (as
//! in CI), a thread of its own gives up root for everything that has to do with files.

use std::{
    fs::{self, Permissions},
    os::unix::fs::{PermissionsExt, chown},
    thread,
};

use instance_contract::Failure;
use instance_testkit::skipped;
use nix::unistd::{Gid, Uid, geteuid, setfsgid, setfsuid};

use super::{CPF, Stage, code};

/// Owner of the instance in the tests, and somebody else, in no group of theirs.
const OWNER: u32 = 51773;
const OTHER: u32 = 60_001;

/// The same, as a user without any right of root. Rights to files belong to a thread, so only this one loses them.
fn without_rights<T: Send>(act: impl FnOnce() -> T + Send) -> T {
    thread::scope(|scope| {
        let thread = scope.spawn(|| {
            if geteuid().is_root() {
                setfsgid(Gid::from_raw(OTHER));
                setfsuid(Uid::from_raw(OTHER));
            }
            act()
        });
        thread.join().unwrap()
    })
}

/// A folder and a CPF with these modes; they belong to the instance's owner where we may give them away.
fn stage(folder_mode: u32, cpf_mode: u32) -> Stage {
    let stage = Stage::new(CPF);
    for (name, mode) in [("iris.cpf", cpf_mode), ("", folder_mode)] {
        let path = stage.path(name);
        fs::set_permissions(&path, Permissions::from_mode(mode)).unwrap();
        if geteuid().is_root() {
            chown(&path, Some(OWNER), Some(OWNER)).unwrap();
        }
    }
    stage
}

fn is_a_missing_right(failure: &Failure) {
    assert!(matches!(failure, Failure::Permanent { .. }), "{failure}");
    assert_eq!(code(failure), "missing_right", "{failure}");
    let message = &failure.cause().message;
    assert!(message.contains("run config-agent as the owner of the instance, or as root"), "{message}");
    assert!(message.contains("iris.cpf"), "{message}");
}

#[test]
fn a_cpf_that_may_not_be_read_is_told_before_anything_is_planned() {
    let stage = stage(0o755, 0o200);
    let failure = without_rights(|| stage.prepare("globals", "0,0,512,0,0,0")).unwrap_err();
    is_a_missing_right(&failure);
}

#[test]
fn a_folder_that_may_not_be_written_keeps_its_file_and_gets_no_other() {
    let stage = stage(0o555, 0o644);
    let failure = without_rights(|| stage.change("globals", "0,0,512,0,0,0")).unwrap_err();
    is_a_missing_right(&failure);
    assert_eq!((stage.cpf(), stage.others()), (CPF.to_vec(), Vec::new()));
    // So that the folder can be removed.
    fs::set_permissions(stage.path(""), Permissions::from_mode(0o755)).unwrap();
}

#[test]
fn a_file_that_could_not_keep_its_owner_is_not_replaced() {
    if !geteuid().is_root() {
        return skipped("only root can give a file to somebody else");
    }
    let stage = stage(0o777, 0o644);
    let failure = without_rights(|| stage.change("globals", "0,0,512,0,0,0")).unwrap_err();
    is_a_missing_right(&failure);
    assert!(failure.cause().message.contains("could not keep the owner"), "{failure}");
    assert_eq!((stage.cpf(), stage.others()), (CPF.to_vec(), Vec::new()));
}
