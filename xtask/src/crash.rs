//! `cargo xtask crash`: real processes die at every named point, and nothing is lost or done twice.

use std::process::Command;
use std::time::Duration;

use anyhow::Result;

use crate::binaries::{self, Scope};
use crate::command;
use crate::nats_server;
use crate::workspace::Workspace;

/// It takes some five minutes; one that hangs must not eat CI's time.
const LIMIT: Duration = Duration::from_mins(15);

#[derive(clap::Args, Default)]
pub struct Options {
    /// Only cases whose line holds this, e.g. `--only config.renamed` or `--only os-agent`.
    #[arg(long, value_name = "PATTERN")]
    only: Option<String>,
}

/// Build the programs with their crash points, and the proof beside them; run it.
pub fn run(workspace: &Workspace, options: &Options) -> Result<()> {
    let server = nats_server::find(workspace)?;
    binaries::build(workspace, Scope::ProgramsAndProofs)?;
    let mut proof = Command::new(workspace.program("examples/crash"));
    proof.current_dir(&workspace.root).env(nats_server::VARIABLE, server);
    if let Some(pattern) = &options.only {
        proof.args(["--only", pattern]);
    }
    let status = command::run_within(&mut proof, LIMIT)?;
    command::must_succeed(&command::line(&proof), status)
}
