//! Building the workspace's programs, so that what one task built is not built again by the next.

use std::process::Command;
use std::time::Instant;

use anyhow::Result;

use crate::command;
use crate::workspace::Workspace;

/// The agents can be made to lie, for `instance demo --sabotage` and the tests of it; router and agents can be made to
/// die at named points, for `cargo xtask crash`. Both wait for an environment variable. A release build cannot.
const PROVABLE: &str = "instance-config-agent/sabotage,instance-os-agent/sabotage,instance-restart-agent/sabotage,\
    instance-router/crashpoints,instance-config-agent/crashpoints,instance-os-agent/crashpoints,\
    instance-restart-agent/crashpoints";

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
        Scope::ProgramsAndProofs => whole_tree(&mut cargo).args(["--bins", "--tests", "--example", "crash"]),
    };
    command::run(&mut cargo)?;
    eprintln!("xtask: built in {:.1} s", started.elapsed().as_secs_f64());
    Ok(())
}

/// What every cargo command over the debug build says, so that features resolve the same way each time.
pub fn whole_tree(cargo: &mut Command) -> &mut Command {
    cargo.args(["--workspace", "--features", PROVABLE])
}
