//! A test that is skipped, in a run of this program of its own.

use std::{env, fs, process::Command};

use crate::skipped;

/// Set in the run of this program that skips.
const SKIPS: &str = "INSTANCE_TEST_SKIPS";
const NAME: &str = "skipped_tests::what_is_skipped_is_heard_through_the_harness_and_stands_in_the_list";

#[test]
fn what_is_skipped_is_heard_through_the_harness_and_stands_in_the_list() {
    if env::var_os(SKIPS).is_some() {
        return skipped("no moon tonight");
    }
    let folder = tempfile::tempdir().unwrap();
    let list = folder.path().join("skipped");
    // As `cargo test` runs it: what a passed test prints is kept back.
    let mut again = Command::new(env::current_exe().unwrap());
    again.args(["--exact", NAME, "--test-threads", "2"]).env(SKIPS, "1").env("INSTANCE_SKIPPED", &list);
    let ran = again.env("CARGO_PKG_NAME", "instance-testkit").output().unwrap();
    assert!(ran.status.success(), "{ran:?}");
    let told = format!("skipped: instance-testkit {NAME}: no moon tonight\n");
    assert_eq!(String::from_utf8(ran.stderr).unwrap(), told);
    assert_eq!(fs::read_to_string(&list).unwrap(), told);
}
