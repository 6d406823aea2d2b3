//! An instance in a temporary folder, driven as an operator drives it: `iris`, files and ports.

#![expect(dead_code, reason = "each test file uses its part")]
#![expect(clippy::unwrap_used, reason = "a test whose instance cannot be driven has failed")]

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use instance_iris::messages_log::{Entry, parse};
use serde_json::Value;
use tempfile::TempDir;

/// The instance of one test. Dropping it leaves no process behind.
pub struct Bench {
    folder: TempDir,
}

impl Bench {
    /// An instance PROD on a made-up host of 16 GB, a hundred times faster than a real one.
    pub fn new() -> Self {
        Self::with(&[])
    }

    /// The same with more words for `create`.
    pub fn with(words: &[&str]) -> Self {
        let bench = Self { folder: TempDir::new().unwrap() };
        let host = bench.path("host");
        let mut command = Command::new(env!("CARGO_BIN_EXE_instance-iris-sim"));
        command.args(["create", "--name", "prod", "--make-host-root", "--speed", "100", "--dir"]);
        command.arg(bench.folder.path()).arg("--host-root").arg(host).args(words);
        let made = command.output().unwrap();
        assert!(made.status.success(), "{}", text(&made.stderr));
        // The linked program is the one under test.
        let linked = fs::canonicalize(bench.path("bin/iris")).unwrap();
        assert_eq!(linked, fs::canonicalize(env!("CARGO_BIN_EXE_iris")).unwrap());
        bench
    }

    pub fn path(&self, inside: &str) -> PathBuf {
        self.folder.path().join(inside)
    }

    /// Runs `iris` as agents do: absolute path, no environment, no terminal.
    pub fn iris(&self, words: &[&str]) -> Output {
        self.iris_with(&[], words)
    }

    /// The same with these variables as its whole environment.
    pub fn iris_with(&self, variables: &[(&str, &Path)], words: &[&str]) -> Output {
        let mut command = Command::new(self.path("bin/iris"));
        command.env_clear().envs(variables.iter().copied()).args(words).stdin(Stdio::null());
        command.output().unwrap()
    }

    /// Runs `iris` and demands exit code 0; what it printed.
    pub fn iris_ok(&self, words: &[&str]) -> String {
        let output = self.iris(words);
        let printed = text(&output.stdout);
        assert!(output.status.success(), "iris {words:?}: {printed}{}", text(&output.stderr));
        printed
    }

    pub fn start(&self) -> String {
        self.iris_ok(&["start", "PROD", "quietly"])
    }

    pub fn stop(&self) -> String {
        self.iris_ok(&["stop", "PROD", "quietly"])
    }

    /// The fields of `iris qlist PROD`.
    pub fn qlist(&self) -> Vec<String> {
        self.iris_ok(&["qlist", "PROD"]).trim_end().split('^').map(str::to_owned).collect()
    }

    /// First word of the status, and health.
    pub fn state(&self) -> (String, String) {
        let fields = self.qlist();
        (fields[3].split(',').next().unwrap().to_owned(), fields[8].clone())
    }

    /// Runs a subcommand of the simulator on this instance.
    pub fn sim(&self, subcommand: &str, words: &[&str]) -> String {
        let mut command = Command::new(env!("CARGO_BIN_EXE_instance-iris-sim"));
        command.arg(subcommand).arg("--dir").arg(self.folder.path()).args(["--name", "PROD"]).args(words);
        let output = command.output().unwrap();
        assert!(output.status.success(), "{subcommand} {words:?}: {}", text(&output.stderr));
        text(&output.stdout)
    }

    /// Role and pid of every process of the instance.
    pub fn processes(&self) -> Vec<(String, u32)> {
        let status: Value = serde_json::from_str(&self.sim("status", &["--json"])).unwrap();
        let one = |it: &Value| {
            (it["role"].as_str().unwrap().to_owned(), u32::try_from(it["pid"].as_u64().unwrap()).unwrap())
        };
        status["processes"].as_array().unwrap().iter().map(one).collect()
    }

    pub fn pid(&self, role: &str) -> u32 {
        let found = self.processes().into_iter().find(|(known, _)| known == role);
        found.unwrap_or_else(|| panic!("no process {role}")).1
    }

    /// What the instance tells about itself.
    pub fn told(&self) -> Value {
        let status: Value = serde_json::from_str(&self.sim("status", &["--json"])).unwrap();
        status["told"].clone()
    }

    pub fn port(&self) -> u16 {
        self.qlist()[5].parse().unwrap()
    }

    pub fn web_port(&self) -> u16 {
        self.qlist()[6].parse().unwrap()
    }

    /// Asks the private web server, as a collector does; status line and body.
    pub fn get(&self, path: &str) -> (String, String) {
        let mut stream = TcpStream::connect(("127.0.0.1", self.web_port())).unwrap();
        write!(stream, "GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n").unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        (head.lines().next().unwrap().to_owned(), body.to_owned())
    }

    /// The value of the first sample that begins so.
    pub fn metric(&self, beginning: &str) -> Option<f64> {
        let (_, body) = self.get("/api/monitor/metrics");
        let line = body.lines().find(|line| line.starts_with(beginning))?;
        line.rsplit_once(' ')?.1.parse().ok()
    }

    pub fn log_path(&self) -> PathBuf {
        self.path("PROD/mgr/messages.log")
    }

    pub fn log(&self) -> String {
        fs::read_to_string(self.log_path()).unwrap_or_default()
    }

    /// The entries of the log, each of which must be a stamped entry or the recovery banner.
    pub fn entries(&self) -> Vec<Entry> {
        let bytes = fs::read(self.log_path()).unwrap();
        let entries = parse(&bytes);
        let again: Vec<u8> = entries.iter().flat_map(|entry| entry.raw.clone()).collect();
        assert_eq!(again, bytes);
        for entry in &entries {
            let known = entry.header.is_some() || entry.is_recovery_banner();
            assert!(known, "not an entry: {:?}", text(&entry.raw));
        }
        entries
    }

    /// Severity and pid of the last entry that begins so.
    pub fn last_entry(&self, beginning: &str) -> Option<(u8, u64)> {
        let entries = self.entries();
        let found = entries.iter().rev().find(|entry| entry.message_text().starts_with(beginning))?;
        let header = found.header.as_ref().unwrap();
        Some((header.severity.unwrap().as_u8(), header.process_id))
    }

    /// Changes one line of the CPF, as a plain editor would.
    pub fn edit_cpf(&self, from: &str, to: &str) {
        let path = self.path("PROD/iris.cpf");
        let before = fs::read_to_string(&path).unwrap();
        assert!(before.contains(from), "no {from:?} in the CPF");
        fs::write(&path, before.replacen(from, to, 1)).unwrap();
    }
}

impl Drop for Bench {
    fn drop(&mut self) {
        self.iris(&["force", "PROD"]);
    }
}

/// Waits until it is so, a minute at most.
pub fn wait_until(what: &str, mut is_so: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_mins(1);
    while !is_so() {
        assert!(Instant::now() < deadline, "still waiting: {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// Whether a process runs; a zombie does not.
pub fn runs(pid: u32) -> bool {
    let Ok(stat) = fs::read_to_string(format!("/proc/{pid}/stat")) else { return false };
    let state = stat.rsplit_once(')').unwrap().1.split_whitespace().next().unwrap();
    state != "Z" && state != "X"
}

/// Sends a signal with the plain tool.
pub fn kill(signal: &str, pid: u32) {
    let status = Command::new("kill").args([signal, &pid.to_string()]).status().unwrap();
    assert!(status.success());
}

pub fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

pub fn exists(path: &Path) -> bool {
    path.try_exists().unwrap()
}
