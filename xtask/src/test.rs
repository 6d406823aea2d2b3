//! `cargo xtask test`: every test of the workspace, against real servers.

use std::ffi::OsString;
use std::process::Command;
use std::time::Instant;

use anyhow::Result;

use crate::bench;
use crate::binaries::{self, Scope};
use crate::command;
use crate::python_tools;
use crate::tools::Tools;
use crate::workspace::Workspace;

#[derive(clap::Args, Default)]
pub struct Options {
    /// Only this: the cases for language models against a real service, with the key in INSTANCE_LIVE_MODEL_KEY (and maybe
    /// INSTANCE_LIVE_MODEL_URL and INSTANCE_LIVE_MODEL). Without a key it says that it was skipped.
    #[arg(long)]
    live_model: bool,
    /// For `cargo test`, e.g. `-- -p instance-bus` or `-- name_of_a_test`.
    #[arg(trailing_var_arg = true, allow_hyphen_values = true, value_name = "ARGUMENTS")]
    arguments: Vec<OsString>,
}

/// Find the tools, build the programs that tests start, build the tests, run them; each timed apart.
pub fn run(workspace: &Workspace, options: &Options) -> Result<()> {
    if options.live_model {
        return bench::models(workspace, &["--live".into()]);
    }
    let tools = Tools::ensure(workspace)?;
    eprintln!("xtask: tests use {}", tools.nats_server.display());
    let started = Instant::now();
    binaries::build(workspace, Scope::ProgramsAndTests)?;
    command::run(cargo_test(workspace, options).arg("--no-run").args(&options.arguments))?;
    let built = started.elapsed();

    let started = Instant::now();
    let mut tests = cargo_test(workspace, options);
    tests.args(&options.arguments);
    tools.hand_to(&mut tests);
    python_tools::hand_to(workspace, &mut tests);
    let outcome = command::run(&mut tests);
    eprintln!("xtask: build {:.1} s, tests {:.1} s", built.as_secs_f64(), started.elapsed().as_secs_f64());
    outcome
}

/// `cargo test` over the whole tree, unless the arguments name packages.
fn cargo_test(workspace: &Workspace, options: &Options) -> Command {
    let mut cargo = command::cargo_in(workspace);
    // All that fails is told at once; what one change breaks shows by what fails together.
    cargo.args(["test", "--no-fail-fast"]);
    if !names_packages(&options.arguments) {
        binaries::whole_tree(&mut cargo);
    }
    cargo
}

/// Cargo would ignore `-p` beside `--workspace`, and refuse features of packages that are not named.
fn names_packages(arguments: &[OsString]) -> bool {
    arguments.iter().map(|argument| argument.to_string_lossy()).take_while(|argument| *argument != "--").any(
        |argument| {
            argument.starts_with("-p") || argument == "--package" || argument.starts_with("--package=")
        },
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packages_are_named_before_the_arguments_of_the_tests() {
        let names = |line: &str| names_packages(&line.split(' ').map(OsString::from).collect::<Vec<_>>());
        assert!(
            names("-p instance-bus") && names("--package=instance-bus") && names("--package instance-bus")
        );
        assert!(!names("--test loop") && !names("name_of_a_test") && !names("-- --package"));
    }
}
