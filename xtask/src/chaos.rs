//! `cargo xtask chaos`: every scenario's controls, its score, and no harm done.

use std::process::Command;
use std::time::Duration;

use anyhow::{Result, ensure};

use crate::binaries::{self, Scope};
use crate::command;
use crate::nats_server;
use crate::workspace::Workspace;

/// It takes some three minutes; one that hangs must not eat CI's time.
const LIMIT: Duration = Duration::from_mins(15);
const LABEL: &str = "xtask";
/// The run of those that were missed beside others.
const ALONE: &str = "xtask-alone";

#[derive(clap::Args)]
pub struct Options {
    /// Only these scenarios; all without any.
    #[arg(value_name = "NAME")]
    names: Vec<String>,
    /// How many at a time.
    #[arg(long, value_name = "N", default_value_t = JOBS)]
    jobs: usize,
}

/// They mostly wait.
const JOBS: usize = 8;

impl Default for Options {
    fn default() -> Self {
        Self { names: Vec::new(), jobs: JOBS }
    }
}

/// Build, run the controls, and judge the runs among them.
pub fn run(workspace: &Workspace, options: &Options) -> Result<()> {
    binaries::build(workspace, Scope::ProgramsAndTests)?;
    let jobs = options.jobs.to_string();
    let mut control = vec!["control", "--label", LABEL, "--jobs", &jobs];
    if options.names.is_empty() {
        control.push("--all");
    }
    control.extend(options.names.iter().map(String::as_str));
    chaos(workspace, &control)?;
    for verdict in ["wrong", "invalid", "error"] {
        chaos(workspace, &["assert", "--label", LABEL, "--verdict", verdict, "--none"])?;
    }
    // The rest of each: cured where a remedy is right, left to a person or alone where that is.
    let missed = missed(workspace)?;
    if missed.is_empty() {
        return Ok(());
    }
    eprintln!(
        "xtask: missed beside {} others, and played again alone: {}",
        options.jobs - 1,
        missed.join(", ")
    );
    let alone = ["control", "--label", ALONE, "--jobs", "1"];
    chaos(workspace, &alone.into_iter().chain(missed.iter().map(String::as_str)).collect::<Vec<_>>())?;
    chaos(workspace, &["assert", "--label", ALONE, "--verdict", "verified"])
}

/// Scenarios in which something right was left undone, and nothing wrong was done.
fn missed(workspace: &Workspace) -> Result<Vec<String>> {
    let mut instance = instance(workspace, &["assert", "--label", LABEL, "--verdict", "missed", "--none"])?;
    let (status, told) = command::run_aside(&mut instance, LIMIT)?;
    let missed: Vec<String> =
        told.lines().filter_map(|line| line.strip_suffix(": missed")).map(str::to_owned).collect();
    ensure!(status.success() || !missed.is_empty(), "could not read what was missed: {told}");
    Ok(missed)
}

fn instance(workspace: &Workspace, arguments: &[&str]) -> Result<Command> {
    let mut instance = Command::new(workspace.program("instance"));
    instance.current_dir(&workspace.root).arg("chaos").args(arguments);
    instance.env(nats_server::VARIABLE, nats_server::find(workspace)?);
    Ok(instance)
}

fn chaos(workspace: &Workspace, arguments: &[&str]) -> Result<()> {
    let mut instance = instance(workspace, arguments)?;
    let status = command::run_within(&mut instance, LIMIT)?;
    command::must_succeed(&command::line(&instance), status)
}
