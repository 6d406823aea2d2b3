//! The tasks of the tree, written once, in Rust: `cargo xtask <task>`.
//!
//! Invariant: imports nothing of ours, so that it builds first and checks the rest from outside.
//! Invariant: leaves nothing behind outside the target folder, except what `generate` regenerates.
//! Nobody may import it.

mod workspace; // Read this first: what cargo says about the tree.

// The tasks.
mod arrows;
mod bench;
mod broker;
mod census;
mod chaos;
mod ci;
mod containers;
mod coverage;
mod crash;
mod demo;
mod error_pages;
mod generate;
mod mutants;
mod phoenix;
mod simulate;
mod sizes;
mod soak;
mod supply_chain;
mod test;
mod tools;
mod units;

// What they are made of.
mod binaries;
mod command;
mod debian;
mod manifest;
mod nats_server;
mod pip;
mod python_tools;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::workspace::Workspace;

/// The tasks of this tree.
#[derive(Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask", max_term_width = 100)]
struct Arguments {
    #[command(subcommand)]
    task: Task,
}

#[derive(Subcommand)]
enum Task {
    /// Find or install what demo and tests need from outside: a nats-server (path on stdout) and nats-py.
    Tools(tools::Options),
    /// Build everything, then run the closed loop once: break an instance, heal it, prove it.
    Demo(demo::Options),
    /// Build everything, then run every test of the workspace against real nats-server children.
    Test(test::Options),
    /// Run the tests with counters and tell which lines of the product ran; fail below 85 % (not in CI: it builds all anew).
    Coverage(coverage::Options),
    /// Hold the real dependency graph to the table of who may import whom.
    CheckArrows,
    /// List Rust files that have grown long, and fail on those that are too long.
    CheckSizes,
    /// Hold the units of deploy/systemd against what systemd takes, and print how much each is exposed.
    CheckUnits,
    /// Hold the error codes of the sources to their pages in docs/errors.
    CheckErrors,
    /// Count what the agents rest on: rows and their sources, facts and their doors, proofs; fail on what has none.
    Census,
    /// Write the generated files (JSON schemas, AsyncAPI document) anew, or check that they are fresh.
    Generate(generate::Options),
    /// All that must hold before a change lands, cheap stages first.
    Ci(ci::Options),
    /// Drive the router's core over many seeds of a world that misbehaves.
    Simulate(simulate::Options),
    /// Let real processes die at every named point, and see that nothing is lost or done twice.
    Crash(crash::Options),
    /// Kill and freeze real nats-servers under load, and see that nothing is lost or done twice.
    Broker(broker::Options),
    /// Break stand-in instances for every built-in cause: is each real, who heals it, and does the truth stay sealed?
    Chaos(chaos::Options),
    /// Break and heal many instances without pause, and watch for loss and growth.
    Soak(soak::Options),
    /// Plant faults one at a time, and see that the proofs find each.
    Mutants(mutants::Options),
    /// Show the demo's spans to Phoenix, a consumer of others, and ask it for the tree (installs 855 MB).
    Phoenix,
    /// Hold licences and sources of dependencies to deny.toml, look for secrets, write the bill of materials.
    SupplyChain,
    /// Bring compose.yaml up on a real container engine, kill containers in the middle of a remediation, and judge.
    Containers(containers::Options),
    /// Run a benchmark.
    Bench(bench::Options),
}

fn main() -> ExitCode {
    match run(Arguments::parse().task) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("xtask: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(task: Task) -> anyhow::Result<()> {
    let workspace = Workspace::read()?;
    match task {
        Task::Tools(options) => tools::run(&workspace, &options),
        Task::Demo(options) => demo::run(&workspace, options),
        Task::Test(options) => test::run(&workspace, &options),
        Task::Coverage(options) => coverage::run(&workspace, &options),
        Task::CheckArrows => arrows::run(&workspace),
        Task::CheckSizes => sizes::run(&workspace),
        Task::CheckUnits => units::run(&workspace).map(drop),
        Task::Census => census::run(&workspace),
        Task::CheckErrors => error_pages::run(&workspace),
        Task::Generate(options) => generate::run(&workspace, &options),
        Task::Ci(options) => ci::run(&workspace, &options),
        Task::Simulate(options) => simulate::run(&workspace, &options),
        Task::Crash(options) => crash::run(&workspace, &options),
        Task::Broker(options) => broker::run(&workspace, &options),
        Task::Chaos(options) => chaos::run(&workspace, &options),
        Task::Soak(options) => soak::run(&workspace, &options),
        Task::Mutants(options) => mutants::run(&workspace, &options),
        Task::Phoenix => phoenix::run(&workspace).map(drop),
        Task::SupplyChain => supply_chain::run(&workspace).map(drop),
        Task::Containers(options) => containers::run(&workspace, &options).map(drop),
        Task::Bench(options) => bench::run(&workspace, &options),
    }
}
