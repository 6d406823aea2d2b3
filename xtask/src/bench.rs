//! `cargo xtask bench`: the benchmarks by the name of what they measure.

use std::ffi::OsString;
use std::process::Command;

use anyhow::Result;

use crate::binaries::{self, Scope};
use crate::ci::Outcome;
use crate::workspace::Workspace;
use crate::{command, nats_server};

/// An independent yardstick; beside the tree on some machines, and not part of it.
const YARDSTICK: &str = "../shared/bench/limits";

/// The same for text: a splitter and a writer by somebody else.
const TEXT_YARDSTICK: &str = "../shared/bench/text";

/// CPU of a 3-step workflow, as a multiple of the bare chain's: the goal of the issue. Figures: docs/speed.md.
const CPU_AT_MOST: &str = "1.3";

/// The exit code of the benchmark when it cannot tell (`tests/bench/pipeline/gate.rs`).
const UNTOLD: i32 = 75;
const UNTOLD_WHY: &str = "what a plan stores and syncs is within its bounds; its CPU was not told, because others had \
    the processors. Where little else runs: cargo xtask ci --only bench-cpu";

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
    /// Log reader, inventor and tail, beside the least that the work takes; and the command from a cold start.
    Text,
    /// Many stand-in instances at once: their memory, and how long a start takes.
    Instances,
    /// The agents' changes with all their care, beside the bare system calls; and their dry runs.
    Agents,
    /// Router and agent on a NATS server, beside the bare chain of hops that they cannot do without.
    Pipeline,
    /// Whole small remediations with real effects, and dry runs, as somebody who asks sees them.
    Small,
    /// What asking a language model costs beside the model itself, at a server that answers at once.
    Models,
}

pub fn run(workspace: &Workspace, options: &Options) -> Result<()> {
    match options.subject {
        Subject::Log => log(workspace, &options.arguments),
        Subject::Text => text(workspace, &options.arguments),
        Subject::Instances => instances(workspace, &options.arguments),
        Subject::Agents => agents(workspace, &options.arguments),
        Subject::Pipeline => pipeline(workspace, &options.arguments),
        Subject::Small => small(workspace, &options.arguments),
        Subject::Models => models(workspace, &options.arguments),
    }
}

/// Fails when server, router and agents store or sync more for a 3-step workflow than the goal allows, or need more
/// CPU; the CPU is left open where others have the processors.
pub fn cpu_gate(workspace: &Workspace) -> Result<Outcome> {
    let mut bench = pipeline_bench(workspace)?;
    bench.args(["--gate-cpu", CPU_AT_MOST]);
    let status = command::run_to_any_end(&mut bench)?;
    if status.code() == Some(UNTOLD) {
        return Ok(Outcome::skipped(UNTOLD_WHY.to_owned()));
    }
    command::must_succeed(&command::line(&bench), status)?;
    Ok(Outcome::Passed)
}

fn log(workspace: &Workspace, arguments: &[OsString]) -> Result<()> {
    let mut cargo = command::cargo_in(workspace);
    // Only the benchmarks: the test harness of the library does not understand their arguments.
    cargo.args(["bench", "-p", "instance-iris", "--benches"]).arg("--").args(arguments);
    command::run(&mut cargo)
}

/// One build for each program: built together, they would share features.
fn text(workspace: &Workspace, arguments: &[OsString]) -> Result<()> {
    for program in
        [["-p", "instance-cli", "--bin", "instance"], ["-p", "instance-tests", "--example", "bench-text"]]
    {
        command::run(command::cargo_in(workspace).args(["build", "--release"]).args(program))?;
    }
    let mut bench = Command::new(workspace.release_program("examples/bench-text"));
    bench.arg("--instance").arg(workspace.release_program("instance"));
    let yardstick = workspace.root.join(TEXT_YARDSTICK);
    if yardstick.is_dir() {
        bench.arg("--yardstick").arg(yardstick);
    }
    command::run(bench.args(arguments))
}

/// The stand-in as it is shipped.
fn instances(workspace: &Workspace, arguments: &[OsString]) -> Result<()> {
    for program in [
        ["-p", "instance-iris-sim", "--bins"].as_slice(),
        &["-p", "instance-tests", "--example", "bench-instances"],
    ] {
        command::run(command::cargo_in(workspace).args(["build", "--release"]).args(program))?;
    }
    let mut bench = Command::new(workspace.release_program("examples/bench-instances"));
    bench.arg("--simulator").arg(workspace.release_program("instance-iris-sim"));
    command::run(bench.args(arguments))
}

/// The cases for models too, with `--live`. Not optimised: what is timed waits for disk and network.
pub fn models(workspace: &Workspace, arguments: &[OsString]) -> Result<()> {
    // The storm is the real process's, on a real server.
    let server = nats_server::find(workspace)?;
    let programs = [
        "-p",
        "instance-analyst",
        "--bin",
        "instance-analyst",
        "-p",
        "instance-tests",
        "--example",
        "models",
    ];
    command::run(command::cargo_in(workspace).arg("build").args(programs))?;
    let mut bench = Command::new(workspace.program("examples/models"));
    command::run(bench.env(nats_server::VARIABLE, server).args(arguments))
}

fn agents(workspace: &Workspace, arguments: &[OsString]) -> Result<()> {
    let program = ["build", "--release", "-p", "instance-tests", "--example", "bench-agents"];
    command::run(command::cargo_in(workspace).args(program))?;
    command::run(Command::new(workspace.release_program("examples/bench-agents")).args(arguments))
}

fn pipeline(workspace: &Workspace, arguments: &[OsString]) -> Result<()> {
    command::run(pipeline_bench(workspace)?.args(arguments))
}

/// One build for all three: together they ask for no feature that would change what is measured. (With the package of
/// the other tests they would.)
fn pipeline_bench(workspace: &Workspace) -> Result<Command> {
    // Before the build, which takes minutes: a machine without a server should say so at once.
    let server = nats_server::find(workspace)?;
    let mut build = command::cargo_in(workspace);
    build.args(["build", "--release", "-p", "instance-router", "--bin", "instance-router"]);
    build.args(["-p", "instance-agent", "--example", "noop_agent"]);
    command::run(build.args(["-p", "instance-bench-pipeline", "--example", "bench-pipeline"]))?;
    let mut bench = Command::new(workspace.release_program("examples/bench-pipeline"));
    bench.env(nats_server::VARIABLE, server);
    let yardstick = workspace.root.join(YARDSTICK);
    if yardstick.is_dir() {
        bench.arg("--yardstick").arg(yardstick);
    }
    Ok(bench)
}

/// The programs as they are shipped, each in the process of its own that it is everywhere.
fn small(workspace: &Workspace, arguments: &[OsString]) -> Result<()> {
    let server = nats_server::find(workspace)?;
    binaries::build(workspace, Scope::ReleasePrograms)?;
    let mut bench = command::cargo_in(workspace);
    bench.args(["build", "--release", "-p", "instance-tests", "--example", "bench-small"]);
    command::run(&mut bench)?;
    let mut bench = Command::new(workspace.release_program("examples/bench-small"));
    command::run(bench.env(nats_server::VARIABLE, server).args(arguments))
}
