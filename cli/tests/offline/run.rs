//! Runs the real program and keeps what it said.

use std::{
    ffi::OsStr,
    io::Write as _,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

/// What one run gave.
#[derive(Debug)]
pub struct Run {
    pub code: i32,
    pub stdout: String,
    pub stderr: String,
}

pub fn instance(arguments: &[&dyn AsRef<OsStr>]) -> Run {
    instance_with(arguments, b"", &[])
}

/// With bytes on stdin and variables of its own; none of ours that could matter.
pub fn instance_with(arguments: &[&dyn AsRef<OsStr>], stdin: &[u8], variables: &[(&str, &str)]) -> Run {
    let mut command = Command::new(env!("CARGO_BIN_EXE_instance"));
    for argument in arguments {
        command.arg(argument);
    }
    let ours = |name: &str| {
        ["NO_COLOR", "CLICOLOR_FORCE", "FORCE_COLOR", "OTEL_EXPORTER_OTLP_ENDPOINT"].contains(&name)
            || name.starts_with("NATS_")
            || name.starts_with("INSTANCE_")
    };
    for (name, _) in std::env::vars_os().filter(|(name, _)| ours(&name.to_string_lossy())) {
        command.env_remove(name);
    }
    // Nobody's own settings may matter.
    command.env("XDG_CONFIG_HOME", "/nonexistent");
    command.envs(variables.iter().copied()).current_dir(root());
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let mut input = child.stdin.take().unwrap();
    let bytes = stdin.to_vec();
    let writer = std::thread::spawn(move || {
        // A command that refuses early closes its stdin.
        let _ = input.write_all(&bytes);
    });
    let output = child.wait_with_output().unwrap();
    writer.join().unwrap();
    Run {
        code: output.status.code().unwrap_or(-1),
        stdout: String::from_utf8(output.stdout).unwrap(),
        stderr: String::from_utf8(output.stderr).unwrap(),
    }
}

impl Run {
    /// The exit code is the expected one; whatever was said is shown when not.
    #[track_caller]
    pub fn exits(self, code: i32) -> Self {
        assert_eq!(self.code, code, "stdout:\n{}\nstderr:\n{}", self.stdout, self.stderr);
        self
    }

    /// Stdout as one JSON document, whose `schema` is the expected one.
    #[track_caller]
    pub fn document(&self, schema: &str) -> serde_json::Value {
        let document: serde_json::Value = serde_json::from_str(&self.stdout).unwrap();
        assert_eq!(document["schema"], schema, "{}", self.stdout);
        document
    }
}

/// The root of the tree.
pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

/// Files of the extra samples with one of the endings; none where the samples are not at hand.
pub fn extra_samples(folder: &str, ending: &str) -> Vec<PathBuf> {
    let Ok(listing) = root().join("../shared/reference/iris/samples").join(folder).read_dir() else {
        return Vec::new();
    };
    let paths = listing.map(|entry| entry.unwrap().path());
    paths.filter(|path| path.extension().is_some_and(|found| found == ending)).collect()
}
