//! File systems that are really full, out of inodes or read-only. Mounting one needs root, as CI has; each is a small
//! one in memory, gone at the end of its test.

use instance_contract::Failure;
use instance_testkit::SmallDisk;

use super::{Stage, code, free, set};
use crate::apply;

/// The stage's `sysctl.d`, on a file system of its own.
fn small_disk(stage: &Stage, options: &str) -> SmallDisk {
    SmallDisk::mount(&stage.path("sysctl.d"), options)
}

const SWAPPINESS: &str = "proc/sys/vm/swappiness";

/// Neither the value nor a drop-in, nor a draft of one.
fn nothing_happened(stage: &Stage, left: &[(String, String)]) {
    let ours = |(name, _): &&(String, String)| !name.starts_with("filler-");
    let found: Vec<_> = stage.drop_ins();
    assert_eq!(found.iter().filter(ours).collect::<Vec<_>>(), left.iter().collect::<Vec<_>>());
    assert_eq!(stage.value(SWAPPINESS), "60\n");
}

#[test]
fn without_space_for_the_drop_in_the_value_is_not_set() {
    for (options, fill) in [("size=16k", true), ("size=1m,nr_inodes=1", false)] {
        let stage = Stage::new();
        let disk = small_disk(&stage, options);
        if fill {
            disk.fill();
        }
        let failure = stage.change("vm.swappiness", "5").unwrap_err();
        assert!(matches!(failure, Failure::Transient { .. }), "{options}: {failure}");
        assert_eq!(code(&failure), "no_space", "{options}");
        nothing_happened(&stage, &[]);
    }
}

#[test]
fn a_read_only_place_for_drop_ins_is_a_missing_right() {
    let stage = Stage::new();
    let disk = small_disk(&stage, "size=64k");
    disk.becomes("ro");
    let failure = stage.change("vm.swappiness", "5").unwrap_err();
    assert!(matches!(failure, Failure::Permanent { .. }), "{failure}");
    assert_eq!(code(&failure), "missing_right");
    nothing_happened(&stage, &[]);
}

#[test]
fn an_undo_that_cannot_remove_the_drop_in_says_that_a_part_is_left() {
    let stage = Stage::new();
    let disk = small_disk(&stage, "size=64k");
    let (prepared, _) = stage.change("vm.swappiness", "5").unwrap();
    let kept = stage.drop_ins();
    disk.becomes("ro");
    let failure = stage.undo(&prepared).unwrap_err();
    assert!(matches!(failure, Failure::Unknown { .. }), "{failure}");
    nothing_happened(&stage, &kept);
    // With the right back, the rest is done.
    disk.becomes("rw");
    stage.undo(&prepared).unwrap();
    nothing_happened(&stage, &[]);
}

#[test]
fn a_value_that_cannot_be_written_leaves_no_drop_in() {
    let stage = Stage::new();
    let place = stage.path("proc/sys/vm");
    let wanted = set("vm.swappiness", "5");
    let prepared = stage.prepare("vm.swappiness", "5").unwrap();
    // As a container's /proc/sys is: readable, and read-only.
    let disk = SmallDisk::bind(&place);
    disk.becomes("bind,ro");
    let failure = apply::apply(&stage.config, &stage.host(), &wanted, &prepared, &free()).unwrap_err();
    assert!(matches!(failure, Failure::Permanent { .. }), "{failure}");
    assert_eq!(code(&failure), "missing_right");
    assert!(failure.cause().message.contains("in a container"), "{failure}");
    nothing_happened(&stage, &[]);
}
