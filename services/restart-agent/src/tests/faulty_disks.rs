//! A state folder that is really full or read-only: what cannot be noted is not done. Mounting one needs root, as CI has.

use std::fs;

use instance_contract::Failure;
use instance_testkit::SmallDisk;

use super::{Stage, code};

/// The stage's `state_dir`, on a small file system of its own.
fn state_disk(stage: &Stage, options: &str) -> SmallDisk {
    let place = stage.path("state_dir");
    fs::create_dir(&place).unwrap();
    SmallDisk::mount(&place, options)
}

#[test]
fn a_restart_that_cannot_be_noted_is_not_begun() {
    for (options, read_only) in [("size=16k", false), ("size=1m,nr_inodes=1", false), ("size=64k", true)] {
        let stage = Stage::new();
        let disk = state_disk(&stage, options);
        if read_only {
            disk.becomes("ro");
        } else {
            disk.fill();
        }
        let prepared = stage.prepare().unwrap();
        let failure = stage.apply(&prepared).unwrap_err();
        // Space may come back; a file system that is read-only waits for a person.
        let expected = if read_only { "restart_times" } else { "no_space" };
        let transient = matches!(failure, Failure::Transient { .. });
        assert_eq!((code(&failure), transient), (expected, !read_only), "{options}: {failure}");
        assert!(failure.cause().message.contains("state_dir/restarts"), "{options}: {failure}");
        assert_eq!(stage.calls(), [""; 0], "{options}");
    }
}

#[test]
fn with_space_again_the_same_step_restarts_once() {
    let stage = Stage::new();
    let disk = state_disk(&stage, "size=16k");
    disk.fill();
    let prepared = stage.prepare().unwrap();
    stage.apply(&prepared).unwrap_err();
    disk.give_back();
    stage.apply(&prepared).unwrap();
    assert_eq!(stage.calls(), ["stop PROD quietly", "start PROD quietly"]);
    // What is noted outlives the disk's next shortage.
    disk.fill();
    stage.apply(&prepared).unwrap();
    assert_eq!(stage.calls().len(), 2);
}
