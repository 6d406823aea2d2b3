//! `cargo xtask simulate`: the router's core over many seeds of a bus, a world and people that misbehave.

use anyhow::Result;

use crate::command;
use crate::workspace::Workspace;

/// How many seeds CI runs.
pub const SEEDS_IN_CI: u64 = 10_000;

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

pub fn run(workspace: &Workspace, options: &Options) -> Result<()> {
    let mut cargo = command::cargo_in(workspace);
    cargo.args(["run", "--package", "instance-engine", "--example", "simulate", "--"]);
    match options.seed {
        Some(seed) => cargo.args(["--seed", &seed.to_string()]),
        None => cargo.args(["--seeds", &options.seeds.to_string(), "--from", &options.from.to_string()]),
    };
    command::run(&mut cargo)
}
