//! `cargo xtask demo`: from a plain clone to a healed instance in one command.

use std::ffi::OsString;
use std::os::unix::process::CommandExt as _;
use std::process::Command;

use anyhow::{Context, Result};

use crate::binaries::{self, Scope};
use crate::nats_server;
use crate::workspace::Workspace;

#[derive(clap::Args)]
pub struct Options {
    /// Build and run without debug checks (the agents can then not be sabotaged).
    #[arg(long)]
    release: bool,
    /// For `instance demo`, e.g. `-- --seed 2`.
    #[arg(trailing_var_arg = true, allow_hyphen_values = true, value_name = "ARGUMENTS")]
    arguments: Vec<OsString>,
}

/// Build, find a server, become the demo.
pub fn run(workspace: &Workspace, options: Options) -> Result<()> {
    // Before the build, which takes minutes: a machine without a server should say so at once.
    let server = nats_server::find(workspace)?;
    let program = if options.release {
        binaries::build(workspace, Scope::ReleasePrograms)?;
        workspace.release_program("instance")
    } else {
        binaries::build(workspace, Scope::Programs)?;
        workspace.program("instance")
    };
    let mut demo = Command::new(program);
    demo.arg("demo").args(options.arguments).env(nats_server::VARIABLE, server);
    // Becoming it passes on its exit code, and lets Ctrl-C reach nobody but it: it has children to drain.
    Err(demo.exec()).with_context(|| format!("could not start \"{}\"", demo.get_program().display()))
}
