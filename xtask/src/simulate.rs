//! `cargo xtask simulate`: the router's core over many seeds of a bus, a world and people that misbehave.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::Result;

use crate::command;
use crate::workspace::Workspace;

/// How many seeds CI runs.
pub const SEEDS_IN_CI: u64 = 10_000;

/// For the build. A run that hangs must not eat CI's time.
const LIMIT_OF_BUILD: Duration = Duration::from_mins(10);
/// A seed takes a millisecond or two.
const LIMIT_OF_SEED: Duration = Duration::from_millis(50);

/// Seeds that failed once.
const KEPT: &str = "shared/engine/examples/simulate/seeds.txt";

#[derive(clap::Args)]
pub struct Options {
    /// How many seeds.
    #[arg(long, default_value_t = SEEDS_IN_CI)]
    pub seeds: u64,
    /// The first of them.
    #[arg(long, default_value_t = 1)]
    pub from: u64,
    /// This seed alone, every happening printed.
    #[arg(long, conflicts_with_all = ["seeds", "from"])]
    pub seed: Option<u64>,
}

/// What cargo is asked to build or to run; see `profile.simulate` in the workspace's manifest.
pub const PROGRAM: [&str; 6] =
    ["--profile", "simulate", "--package", "instance-engine", "--example", "simulate"];

/// The program, once it is built.
pub fn program(workspace: &Workspace) -> PathBuf {
    workspace.target.join("simulate/examples/simulate")
}

pub fn run(workspace: &Workspace, options: &Options) -> Result<()> {
    let mut cargo = command::cargo_in(workspace);
    cargo.arg("run").args(PROGRAM).arg("--");
    match options.seed {
        Some(seed) => cargo.args(["--seed", &seed.to_string()]),
        None => cargo.args(["--seeds", &options.seeds.to_string(), "--from", &options.from.to_string()]),
    };
    // A seed that fails joins those that run first, and the program says that it did, or how to do it by hand.
    cargo.arg("--keep").arg(workspace.root.join(KEPT));
    let status = command::run_within(&mut cargo, limit(options.seeds))?;
    command::must_succeed(&command::line(&cargo), status)
}

fn limit(seeds: u64) -> Duration {
    LIMIT_OF_BUILD + LIMIT_OF_SEED.saturating_mul(u32::try_from(seeds).unwrap_or(u32::MAX))
}
