//! Building the workspace's programs, always with the same features so that every task shares the artefacts.

use std::process::Command;
use std::time::Instant;

use anyhow::Result;

use crate::command;
use crate::workspace::{Profile, Workspace};

/// The agents can be made to lie, for `instance demo --sabotage` and the tests of it. A release build cannot.
const SABOTAGE: &str =
    "instance-config-agent/sabotage,instance-os-agent/sabotage,instance-restart-agent/sabotage";

/// Build all programs; cargo shows its own progress.
pub fn build(workspace: &Workspace, profile: Profile) -> Result<()> {
    let started = Instant::now();
    let mut cargo = command::cargo_in(workspace);
    cargo.arg("build");
    match profile {
        Profile::Debug => whole_tree(&mut cargo),
        Profile::Release => cargo.args(["--workspace", "--release"]),
    };
    cargo.arg("--bins");
    command::run(&mut cargo)?;
    eprintln!("xtask: built in {:.1} s", started.elapsed().as_secs_f64());
    Ok(())
}

/// What every cargo command over the debug build says, so that features resolve the same way each time.
pub fn whole_tree(cargo: &mut Command) -> &mut Command {
    cargo.args(["--workspace", "--features", SABOTAGE])
}
