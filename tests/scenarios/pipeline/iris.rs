//! The stand-in instance, driven and looked at as an operator does: `iris`, files and ports.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
    time::Duration,
};

use instance_testkit::eventually;
use serde_json::Value;

use super::programs;

/// What the write daemon says when the global buffers are too small.
pub const PANIC: &str = "Insufficient global buffers - WRTDMN in panic mode";

/// One instance, PROD, on a made-up host of 16 GB; a hundred times faster than a real one.
pub struct Iris {
    folder: PathBuf,
}

impl Iris {
    /// Makes it, stopped. `words` are more words for `instance-iris-sim create`.
    pub fn create(folder: &Path, words: &[&str]) -> Self {
        let iris = Self { folder: folder.to_owned() };
        let mut command = programs::command("instance-iris-sim");
        command.args(["create", "--name", "prod", "--make-host-root", "--speed", "100"]);
        command.arg("--dir").arg(folder).arg("--host-root").arg(iris.host()).args(words);
        finished(&mut command);
        iris
    }

    pub fn start(&self) {
        self.iris(&["start", "PROD", "quietly"]);
    }

    /// The `iris` program of this instance.
    pub fn program(&self) -> PathBuf {
        self.folder.join("bin/iris")
    }

    /// The folder that stands for `/proc`.
    pub fn host(&self) -> PathBuf {
        self.folder.join("host")
    }

    pub fn cpf_path(&self) -> PathBuf {
        self.folder.join("PROD/iris.cpf")
    }

    pub fn log_path(&self) -> PathBuf {
        self.folder.join("PROD/mgr/messages.log")
    }

    /// `iris.cpf`, byte for byte.
    pub fn cpf(&self) -> String {
        fs::read_to_string(self.cpf_path()).unwrap()
    }

    pub fn log(&self) -> String {
        fs::read_to_string(self.log_path()).unwrap_or_default()
    }

    /// For somebody who must find out why a test failed: what `iris` says, and the end of the log.
    pub fn account(&self) -> String {
        const LINES: usize = 40;
        let mut command = Command::new(self.program());
        let listed = programs_clean(&mut command).args(["list", "PROD"]).output();
        let listed = listed.map(|output| String::from_utf8_lossy(&output.stdout).into_owned());
        let log = self.log();
        let from = log.lines().count().saturating_sub(LINES);
        let end: Vec<&str> = log.lines().skip(from).collect();
        format!("iris list: {}\n--- messages.log\n{}\n", listed.unwrap_or_default(), end.join("\n"))
    }

    /// How often the instance was started.
    pub fn starts(&self) -> usize {
        self.log().matches("] Enabling logons").count()
    }

    /// The copies of the CPF that config-agent has left: one for each change it made.
    pub fn backups(&self) -> usize {
        let names = fs::read_dir(self.folder.join("PROD")).unwrap();
        names.filter(|name| is_backup(&name.as_ref().unwrap().file_name().to_string_lossy())).count()
    }

    /// A kernel value of the made-up host, `vm/nr_hugepages`.
    pub fn kernel(&self, name: &str) -> String {
        fs::read_to_string(self.host().join("sys").join(name)).unwrap().trim().to_owned()
    }

    /// `iris` as an operator calls it; it must succeed. What it printed.
    pub fn iris(&self, words: &[&str]) -> String {
        let mut command = Command::new(self.program());
        finished(programs_clean(&mut command).args(words))
    }

    /// `instance-iris-sim`, on this instance.
    pub fn sim(&self, subcommand: &str, words: &[&str]) -> String {
        let mut command = programs::command("instance-iris-sim");
        finished(command.arg(subcommand).arg("--dir").arg(&self.folder).args(["--name", "PROD"]).args(words))
    }

    /// What the instance tells about itself.
    pub fn status(&self) -> Value {
        serde_json::from_str(&self.sim("status", &["--json"])).unwrap()
    }

    /// State and health, as `iris qlist` tells them.
    pub fn state(&self) -> (String, String) {
        let fields = self.qlist();
        (fields[3].split(',').next().unwrap().to_owned(), fields[8].clone())
    }

    /// The superserver port, as `iris qlist` tells it.
    pub fn port(&self) -> u16 {
        self.qlist()[5].parse().unwrap()
    }

    /// The port of the private web server, as `iris qlist` tells it.
    pub fn web_port(&self) -> u16 {
        self.qlist()[6].parse().unwrap()
    }

    fn qlist(&self) -> Vec<String> {
        self.iris(&["qlist", "PROD"]).trim_end().split('^').map(str::to_owned).collect()
    }

    /// Process id of a daemon that is alive.
    pub fn daemon(&self, role: &str) -> Option<u64> {
        let status = self.status();
        let found = status["processes"].as_array()?.iter().find(|it| it["role"] == role)?;
        (found["alive"] == true).then(|| found["pid"].as_u64()).flatten()
    }

    /// Waits until the log says so, after the bytes that were there before.
    pub async fn says(&self, text: &str, after: usize) {
        eventually(Duration::from_secs(15), || async move {
            self.log().get(after..)?.contains(text).then_some(())
        })
        .await;
    }

    /// Ends it whatever its state.
    pub fn force(&self) {
        let mut command = Command::new(self.program());
        let _ = programs_clean(&mut command).args(["force", "PROD"]).output();
    }
}

/// Is it a copy of the CPF that config-agent has made?
pub fn is_backup(name: &str) -> bool {
    name.starts_with("iris.cpf_instance_")
}

fn programs_clean(command: &mut Command) -> &mut Command {
    programs::clean(command);
    command
}

/// Runs a program to its end; it must succeed. What it printed.
fn finished(command: &mut Command) -> String {
    let Output { status, stdout, stderr } = command.stdin(Stdio::null()).output().unwrap();
    let text = String::from_utf8_lossy(&stdout).into_owned();
    assert!(status.success(), "{command:?}: {text}{}", String::from_utf8_lossy(&stderr));
    text
}
