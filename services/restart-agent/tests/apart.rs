//! `iris` run by another process, started for each connection as systemd does.

#![expect(clippy::unwrap_used, reason = "a test whose world cannot be made has failed")]

use std::{
    fs,
    os::{
        fd::OwnedFd,
        unix::{
            fs::{PermissionsExt, symlink},
            net::UnixListener,
        },
    },
    path::{Path, PathBuf},
    process::Command,
    sync::OnceLock,
    thread,
    time::{Duration, Instant},
};

use instance_agent::host::HostError;
use instance_restart_agent::run_iris_apart;

const PROGRAM: &str = env!("CARGO_BIN_EXE_instance-restart-agent");
const LONG: Duration = Duration::from_mins(1);

/// An `iris`, and a listener that starts the program for each connection.
struct Site {
    folder: tempfile::TempDir,
    socket: PathBuf,
}

impl Site {
    fn new(script: &str) -> Self {
        let program = program();
        let folder = tempfile::tempdir().unwrap();
        let (iris, socket) = (folder.path().join("iris"), folder.path().join("socket"));
        symlink(program, &iris).unwrap();
        fs::write(folder.path().join("behave"), script).unwrap();
        let listener = UnixListener::bind(&socket).unwrap();
        thread::spawn(move || {
            for connection in listener.incoming() {
                let input = OwnedFd::from(connection.unwrap());
                let output = input.try_clone().unwrap();
                let mut child = Command::new(PROGRAM)
                    .arg("run-iris")
                    .arg(&iris)
                    .env("ISC_CPF_MERGE_FILE", "/etc/iris/merge.cpf")
                    .env("INVOCATION_ID", "of systemd")
                    .stdin(input)
                    .stdout(output)
                    .spawn()
                    .unwrap();
                thread::spawn(move || child.wait());
            }
        });
        Self { folder, socket }
    }

    fn file(&self, name: &str) -> Option<String> {
        fs::read_to_string(self.folder.path().join(name)).ok()
    }
}

/// Written once, before any test starts a process: a program that is open for writing anywhere cannot be run.
fn program() -> &'static Path {
    static PROGRAM: OnceLock<(tempfile::TempDir, PathBuf)> = OnceLock::new();
    let (_, path) = PROGRAM.get_or_init(|| {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("iris.sh");
        fs::write(&path, "#!/bin/sh\nhere=$(cd \"$(dirname \"$0\")\" && pwd -P)\n. \"$here/behave\"\n")
            .unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
        (folder, path)
    });
    path
}

#[test]
fn the_program_is_run_and_its_words_come_back() {
    let site = Site::new("echo \"$*\"; echo woe >&2; env >\"$here/environment\"; exit 7");
    let finished = run_iris_apart(&site.socket, &["stop", "IRIS", "nofailover", "quietly"], LONG).unwrap();
    assert_eq!((finished.code, finished.timed_out), (Some(7), false));
    assert_eq!(
        (finished.stdout, finished.stderr),
        (b"stop IRIS nofailover quietly\n".to_vec(), b"woe\n".to_vec())
    );
    let environment = site.file("environment").unwrap();
    assert!(environment.contains("ISC_CPF_MERGE_FILE=/etc/iris/merge.cpf"), "{environment}");
    assert!(!environment.contains("INVOCATION_ID"), "{environment}");
}

#[test]
fn other_words_and_other_programs_are_not_run() {
    let site = Site::new("touch \"$here/run\"");
    for words in [&["terminal", "IRIS"][..], &["start", "IRIS"], &["start", "IRIS", "/tmp/x.cpf", "quietly"]]
    {
        let refused = run_iris_apart(&site.socket, words, LONG).unwrap_err();
        assert!(matches!(refused, HostError::Start { .. }), "{refused:?}");
    }
    assert_eq!(site.file("run"), None);
    let nobody = run_iris_apart(Path::new("/no/such/socket"), &["qlist", "IRIS"], LONG).unwrap_err();
    assert!(matches!(nobody, HostError::Start { .. }), "{nobody:?}");
}

#[test]
fn what_is_started_outlives_both_and_keeps_no_connection_open() {
    let site = Site::new("setsid sleep 300 >/dev/null 2>&1 & echo $! >\"$here/database\"; echo started");
    let began = Instant::now();
    let finished = run_iris_apart(&site.socket, &["start", "IRIS", "quietly"], LONG).unwrap();
    assert!(finished.succeeded() && began.elapsed() < Duration::from_secs(30), "{finished:?}");
    let process = site.file("database").unwrap();
    let folder = PathBuf::from("/proc").join(process.trim());
    assert!(folder.exists(), "the database runs");
    for file in fs::read_dir(folder.join("fd")).unwrap() {
        let target = fs::read_link(file.unwrap().path()).unwrap();
        assert!(!target.to_str().unwrap().starts_with("socket:"), "it has {}", target.display());
    }
    let ended = Command::new("kill").arg(process.trim()).status().unwrap();
    assert!(ended.success());
}

#[test]
fn the_time_limit_ends_the_program() {
    let site = Site::new("echo $$ >\"$here/own\"; sleep 600");
    // Long enough for it to begin at all, however busy the machine is.
    let process = [3, 10, 30].into_iter().find_map(|seconds| {
        let limit = Duration::from_secs(seconds);
        let began = Instant::now();
        let finished = run_iris_apart(&site.socket, &["qlist", "IRIS"], limit).unwrap();
        assert!(finished.timed_out && began.elapsed() >= limit, "{finished:?}");
        site.file("own").filter(|process| process.ends_with('\n'))
    });
    let process = process.expect("it began within 30 s");
    let gone = || !PathBuf::from("/proc").join(process.trim()).exists();
    let began = Instant::now();
    while !gone() {
        assert!(began.elapsed() < Duration::from_secs(30), "it still runs");
        thread::sleep(Duration::from_millis(10));
    }
}
