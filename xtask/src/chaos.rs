//! `cargo xtask chaos`: every scenario's controls, its score, and no harm done.

use std::process::Command;
use std::time::Duration;

use anyhow::Result;

use crate::binaries::{self, Scope};
use crate::command;
use crate::nats_server;
use crate::workspace::Workspace;

/// It takes some three minutes; one that hangs must not eat CI's time.
const LIMIT: Duration = Duration::from_mins(15);
const LABEL: &str = "xtask";

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
    // Of each: cured where a remedy is right, left to a person or alone where that is.
    chaos(workspace, &["assert", "--label", LABEL, "--verdict", "verified"])
}

fn chaos(workspace: &Workspace, arguments: &[&str]) -> Result<()> {
    let mut instance = Command::new(workspace.program("instance"));
    instance.current_dir(&workspace.root).arg("chaos").args(arguments);
    instance.env(nats_server::VARIABLE, nats_server::find(workspace)?);
    let status = command::run_within(&mut instance, LIMIT)?;
    command::must_succeed(&command::line(&instance), status)
}
