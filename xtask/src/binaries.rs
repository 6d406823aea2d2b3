//! Building the workspace's programs, so that what one task built is not built again by the next.

use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::Instant;

use anyhow::{Context, Result};
use serde_json::Value;

use crate::command;
use crate::workspace::Workspace;

/// The agents can be made to lie, for `instance demo --sabotage` and the tests of it; router and agents can be made to
/// die at named points, for `cargo xtask crash`, and given a planted fault, for `cargo xtask mutants`. All of it waits for
/// an environment variable. A release build cannot.
const PROVABLE: &str = "instance-config-agent/sabotage,instance-os-agent/sabotage,instance-restart-agent/sabotage,\
    instance-router/crashpoints,instance-config-agent/crashpoints,instance-os-agent/crashpoints,\
    instance-restart-agent/crashpoints,instance-router/mutants,instance-config-agent/mutants,\
    instance-os-agent/mutants,instance-restart-agent/mutants,instance-analyst/crashpoints";

/// What to build. Dev-dependencies switch on features of crates that the programs use too (of serde_json,
/// above all), so programs built beside the tests share nearly nothing with programs built alone.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    /// The programs alone: the shortest way from a plain clone to a demo.
    Programs,
    /// As [`Scope::Programs`], optimised, and honest by construction.
    ReleasePrograms,
    /// Programs and tests in one resolution, which `cargo test` then finds ready.
    ProgramsAndTests,
    /// As [`Scope::ProgramsAndTests`], with the programs under `tests/proofs`.
    ProgramsAndProofs,
}

/// Build; cargo shows its own progress.
pub fn build(workspace: &Workspace, scope: Scope) -> Result<()> {
    let started = Instant::now();
    let mut cargo = command::cargo_in(workspace);
    cargo.arg("build");
    match scope {
        Scope::Programs => whole_tree(&mut cargo).arg("--bins"),
        Scope::ReleasePrograms => cargo.args(["--workspace", "--bins", "--release"]),
        Scope::ProgramsAndTests => whole_tree(&mut cargo).args([
            "--bins",
            "--tests",
            "--example",
            "telemetry-page",
            "--example",
            "scripted-model",
        ]),
        Scope::ProgramsAndProofs => {
            whole_tree(&mut cargo).args(["--bins", "--tests", "--example", "crash", "--example", "broker"])
        }
    };
    command::run(&mut cargo)?;
    eprintln!("xtask: built in {:.1} s", started.elapsed().as_secs_f64());
    Ok(())
}

/// What every cargo command over the debug build says, so that features resolve the same way each time.
pub fn whole_tree(cargo: &mut Command) -> &mut Command {
    cargo.args(["--workspace", "--features", PROVABLE])
}

/// A built test program.
#[derive(Debug, PartialEq, Eq)]
pub struct TestProgram {
    pub path: PathBuf,
    /// Of the package that it is a test of.
    pub manifest: PathBuf,
    /// The unit tests of the package's library?
    pub is_of_library: bool,
    /// The file under `tests`, or the library.
    pub name: String,
}

/// The built test programs of the tree.
pub fn test_programs(workspace: &Workspace) -> Result<Vec<TestProgram>> {
    let mut cargo = command::cargo_in(workspace);
    cargo.arg("test");
    whole_tree(&mut cargo).args(["--no-run", "--message-format", "json-render-diagnostics"]);
    cargo.stderr(Stdio::inherit());
    let output = cargo.output().context("could not start cargo")?;
    command::must_succeed(&command::line(&cargo), output.status)?;
    let messages = String::from_utf8_lossy(&output.stdout);
    Ok(messages.lines().filter_map(test_program).collect())
}

/// The program of one line of cargo's messages, when it is a test.
fn test_program(message: &str) -> Option<TestProgram> {
    let message: Value = serde_json::from_str(message).ok()?;
    if message["reason"] != "compiler-artifact" || message["profile"]["test"] != true {
        return None;
    }
    let is_of_library =
        message["target"]["kind"].as_array().is_some_and(|kinds| kinds.contains(&"lib".into()));
    let (path, manifest) = (message["executable"].as_str()?, message["manifest_path"].as_str()?);
    let name = message["target"]["name"].as_str()?.to_owned();
    Some(TestProgram { path: path.into(), manifest: manifest.into(), is_of_library, name })
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    #[test]
    fn only_test_programs_are_taken() {
        let message = |kind: &str, test: bool| {
            serde_json::json!({
                "reason": "compiler-artifact",
                "manifest_path": "/tree/shared/bus/Cargo.toml",
                "profile": {"test": test},
                "target": {"kind": [kind], "name": "bus"},
                "executable": "/target/debug/deps/bus-1",
            })
            .to_string()
        };
        let of_library = test_program(&message("lib", true)).unwrap();
        assert!(of_library.is_of_library);
        assert_eq!(of_library.manifest, Path::new("/tree/shared/bus/Cargo.toml"));
        assert!(!test_program(&message("test", true)).unwrap().is_of_library);
        assert_eq!(test_program(&message("lib", false)), None);
        assert_eq!(test_program("warning: not json"), None);
    }
}
