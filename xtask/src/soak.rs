//! `cargo xtask soak`: many instances broken and healed without pause, and nothing lost, nothing grown.

use std::process::Command;
use std::time::Duration;

use anyhow::Result;

use crate::binaries::{self, Scope};
use crate::command;
use crate::nats_server;
use crate::workspace::Workspace;

/// What CI does.
const MINUTES: u64 = 2;
/// For start, the last remediations and the end.
const BESIDE: Duration = Duration::from_mins(10);

#[derive(clap::Args)]
pub struct Options {
    /// For how long, after everything is up.
    #[arg(long, value_name = "N", default_value_t = MINUTES)]
    minutes: u64,
    /// For `instance chaos soak`, e.g. `-- --instances 50`.
    #[arg(trailing_var_arg = true, allow_hyphen_values = true, value_name = "ARGUMENTS")]
    arguments: Vec<String>,
}

impl Default for Options {
    fn default() -> Self {
        Self { minutes: MINUTES, arguments: Vec::new() }
    }
}

pub fn run(workspace: &Workspace, options: &Options) -> Result<()> {
    binaries::build(workspace, Scope::ProgramsAndTests)?;
    let mut instance = Command::new(workspace.program("instance"));
    instance.current_dir(&workspace.root).args(["chaos", "soak", "--minutes", &options.minutes.to_string()]);
    instance.args(&options.arguments).env(nats_server::VARIABLE, nats_server::find(workspace)?);
    let limit = Duration::from_mins(options.minutes) + BESIDE;
    let status = command::run_within(&mut instance, limit)?;
    command::must_succeed(&command::line(&instance), status)
}
