//! One service as a process: its signals, its end, what it wrote.

use std::{
    fs::{self, File},
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    time::Duration,
};

use instance_testkit::eventually;
use nix::{
    sys::signal::{self, Signal},
    unistd::Pid,
};
use serde_json::Value;

/// A running process. Dropping it kills it and waits until it is gone.
pub struct Process {
    name: String,
    child: Child,
    log: PathBuf,
}

impl Process {
    /// Starts it; what it writes to stderr goes to the end of `<name>.log`.
    pub fn start(name: &str, logs: &Path, command: &mut Command) -> Self {
        let log = logs.join(format!("{name}.log"));
        let stderr = File::options().create(true).append(true).open(&log).unwrap();
        let child = command
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(stderr)
            .spawn()
            .unwrap_or_else(|error| panic!("could not start {name}: {error}"));
        Self { name: name.to_owned(), child, log }
    }

    pub fn name(&self) -> &str {
        &self.name
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    pub fn is_running(&mut self) -> bool {
        self.child.try_wait().unwrap().is_none()
    }

    /// SIGTERM: please drain.
    pub fn terminate(&self) {
        self.signal(Signal::SIGTERM);
    }

    pub fn signal(&self, signal: Signal) {
        signal::kill(Pid::from_raw(i32::try_from(self.pid()).unwrap()), signal).unwrap();
    }

    /// SIGKILL, and waits until it is gone.
    pub fn kill9(&mut self) {
        // Fails only when it has ended and was waited for.
        let _ = self.child.kill();
        self.child.wait().unwrap();
    }

    /// How it ended, within a time.
    pub async fn ended(&mut self, within: Duration) -> ExitStatus {
        let name = self.name.clone();
        let log = self.log();
        let child = &mut self.child;
        let waited = tokio::time::timeout(
            within,
            eventually(within * 2, || {
                let status = child.try_wait().unwrap();
                async move { status }
            }),
        );
        waited.await.unwrap_or_else(|_| panic!("{name} has not ended within {within:?}:\n{log}"))
    }

    /// Everything that it has written to stderr.
    pub fn log(&self) -> String {
        fs::read_to_string(&self.log).unwrap_or_default()
    }

    /// The same, line by line; each must be one JSON object.
    pub fn log_lines(&self) -> Vec<Value> {
        let parse = |line: &str| {
            serde_json::from_str(line).unwrap_or_else(|error| panic!("not a JSON line: {line}: {error}"))
        };
        self.log().lines().map(parse).collect()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill9();
    }
}
