//! `cargo xtask bench`: the benchmarks by the name of what they measure.

use std::ffi::OsString;

use anyhow::Result;

use crate::command;
use crate::workspace::Workspace;

#[derive(clap::Args)]
pub struct Options {
    #[arg(value_enum)]
    subject: Subject,
    /// For the benchmark itself, e.g. `-- --quick`.
    #[arg(trailing_var_arg = true, allow_hyphen_values = true, value_name = "ARGUMENTS")]
    arguments: Vec<OsString>,
}

#[derive(Clone, Copy, clap::ValueEnum)]
enum Subject {
    /// The messages.log reader, beside a memchr line splitter.
    Log,
}

pub fn run(workspace: &Workspace, options: &Options) -> Result<()> {
    let package = match options.subject {
        Subject::Log => "instance-iris",
    };
    let mut cargo = command::cargo_in(workspace);
    // Only the benchmarks: the test harness of the library does not understand their arguments.
    cargo.args(["bench", "-p", package, "--benches"]).arg("--").args(&options.arguments);
    command::run(&mut cargo)
}
