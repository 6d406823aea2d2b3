//! A write that the kernel does not finish: a pipe that nobody reads stands for it, on which opening blocks for ever.

#![expect(clippy::unwrap_used, reason = "a test whose world cannot be made has failed")]

use std::{
    fs,
    path::Path,
    process::Command,
    time::{Duration, Instant},
};

use nix::{sys::stat::Mode, unistd::mkfifo};

const PROGRAM: &str = env!("CARGO_BIN_EXE_instance-os-agent");

fn write(path: &Path, value: &str) -> std::process::Output {
    Command::new(PROGRAM).arg("write-kernel-value").arg(path).arg(value).output().unwrap()
}

#[test]
fn a_value_is_written_by_a_process_of_its_own_that_tells_the_error() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("nr_hugepages");
    fs::write(&file, "0\n").unwrap();
    assert!(write(&file, "900").status.success());
    assert_eq!(fs::read_to_string(&file).unwrap(), "900\n");
    let code = |path: &Path| write(path, "1").status.code();
    assert_eq!(code(&folder.path().join("none")), Some(nix::libc::ENOENT));
    assert_eq!(code(folder.path()), Some(nix::libc::EISDIR));
    assert_eq!(code(Path::new("/dev/full")), Some(nix::libc::ENOSPC));
}

#[test]
fn a_write_that_does_not_end_is_ended_with_its_time() {
    let folder = tempfile::tempdir().unwrap();
    let pipe = folder.path().join("nr_hugepages");
    mkfifo(&pipe, Mode::S_IRWXU).unwrap();
    for limit in [Duration::from_millis(500), Duration::from_secs(2)] {
        let began = Instant::now();
        let error = instance_os_agent::write_apart(Path::new(PROGRAM), &pipe, "900", limit).unwrap_err();
        let took = began.elapsed();
        assert!(error.to_string().contains("in time"), "{error}");
        assert!(took >= limit && took < limit + limit / 2, "{took:?} for a limit of {limit:?}");
    }
}
