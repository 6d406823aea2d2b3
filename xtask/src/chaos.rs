//! `cargo xtask chaos`: every scenario's controls, its score, and no harm done.

mod model;

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
    /// Only those in which a model takes part.
    #[arg(long, conflicts_with = "names")]
    with_model: bool,
    /// How many at a time.
    #[arg(long, value_name = "N", default_value_t = JOBS)]
    jobs: usize,
}

/// They mostly wait.
const JOBS: usize = 8;

impl Default for Options {
    fn default() -> Self {
        Self { names: Vec::new(), with_model: false, jobs: JOBS }
    }
}

/// Build, run the controls, and judge the runs among them.
pub fn run(workspace: &Workspace, options: &Options) -> Result<()> {
    binaries::build(workspace, Scope::ProgramsAndTests)?;
    let jobs = options.jobs.to_string();
    if !options.with_model {
        rules_alone(workspace, options, &jobs)?;
    }
    if options.names.is_empty() { model::run(workspace, &jobs) } else { Ok(()) }
}

/// Every scenario in which the rules know what to do.
fn rules_alone(workspace: &Workspace, options: &Options, jobs: &str) -> Result<()> {
    let mut control = vec!["control", "--label", LABEL, "--jobs", jobs];
    if options.names.is_empty() {
        control.push("--all");
    }
    control.extend(options.names.iter().map(String::as_str));
    chaos(workspace, &control)?;
    nothing_wrong(workspace, LABEL)?;
    again_alone(workspace, LABEL, &[])
}

/// Wrong is wrong at once. The rest of each: cured where a remedy is right, left to a person or alone where that is.
fn again_alone(workspace: &Workspace, label: &str, more: &[&str]) -> Result<()> {
    let missed = missed(workspace, label)?;
    if missed.is_empty() {
        return Ok(());
    }
    eprintln!("xtask: missed beside others, and played again alone: {}", missed.join(", "));
    let alone = [&["control", "--label", ALONE, "--jobs", "1"], more].concat();
    chaos(workspace, &alone.into_iter().chain(missed.iter().map(String::as_str)).collect::<Vec<_>>())?;
    chaos(workspace, &["assert", "--label", ALONE, "--verdict", "verified"])
}

fn nothing_wrong(workspace: &Workspace, label: &str) -> Result<()> {
    ["wrong", "invalid", "error"].iter().try_for_each(|verdict| {
        chaos(workspace, &["assert", "--label", label, "--verdict", verdict, "--none"])
    })
}

/// Scenarios in which something right was left undone, and nothing wrong was done.
fn missed(workspace: &Workspace, label: &str) -> Result<Vec<String>> {
    let mut instance = instance(workspace, &["assert", "--label", label, "--verdict", "missed", "--none"])?;
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
