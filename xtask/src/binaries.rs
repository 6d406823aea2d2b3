//! Building the workspace's programs, so that what one task built is not built again by the next.

use std::path::{Path, PathBuf};
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
    instance-os-agent/mutants,instance-restart-agent/mutants";

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
        Scope::ProgramsAndTests => whole_tree(&mut cargo).args(["--bins", "--tests"]),
        Scope::ProgramsAndProofs => {
            whole_tree(&mut cargo).args(["--bins", "--tests", "--example", "crash", "--example", "broker"]);
            cargo.args(["--example", "simulate"])
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
    /// The unit tests of the package's library?
    pub is_of_library: bool,
}

/// The built test programs of the package that lies in `folder`.
pub fn test_programs(workspace: &Workspace, folder: &Path) -> Result<Vec<TestProgram>> {
    let mut cargo = command::cargo_in(workspace);
    cargo.arg("test");
    whole_tree(&mut cargo).args(["--no-run", "--message-format", "json-render-diagnostics"]);
    cargo.stderr(Stdio::inherit());
    let output = cargo.output().context("could not start cargo")?;
    command::must_succeed(&command::line(&cargo), output.status)?;
    let manifest = folder.join("Cargo.toml");
    let messages = String::from_utf8_lossy(&output.stdout);
    let programs = messages.lines().filter_map(|line| test_program(line, &manifest)).collect();
    Ok(programs)
}

/// The program of one line of cargo's messages, when it is a test of the package with this manifest.
fn test_program(message: &str, manifest: &Path) -> Option<TestProgram> {
    let message: Value = serde_json::from_str(message).ok()?;
    let is_test = message["reason"] == "compiler-artifact" && message["profile"]["test"] == true;
    let is_ours = message["manifest_path"].as_str().is_some_and(|path| manifest == path);
    if !is_test || !is_ours {
        return None;
    }
    let is_of_library =
        message["target"]["kind"].as_array().is_some_and(|kinds| kinds.contains(&"lib".into()));
    Some(TestProgram { path: message["executable"].as_str()?.into(), is_of_library })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_test_programs_of_the_package_are_taken() {
        let message = |manifest: &str, test: bool| {
            serde_json::json!({
                "reason": "compiler-artifact",
                "manifest_path": manifest,
                "profile": {"test": test},
                "target": {"kind": ["lib"]},
                "executable": "/target/debug/deps/contract-1",
            })
            .to_string()
        };
        let bus = Path::new("/tree/shared/bus/Cargo.toml");
        let taken = |line: &str| test_program(line, bus).is_some_and(|program| program.is_of_library);
        assert!(taken(&message("/tree/shared/bus/Cargo.toml", true)));
        assert!(!taken(&message("/tree/shared/bus/Cargo.toml", false)));
        assert!(!taken(&message("/tree/cli/Cargo.toml", true)));
        assert!(!taken("warning: not json"));
    }
}
