//! Programs that a world calls.

use std::process::{Command, Output, Stdio};

use anyhow::{Context as _, Result, bail};

/// Runs a program to its end.
pub fn run(command: &mut Command) -> Result<Output> {
    let program = command.get_program().to_string_lossy().into_owned();
    command.stdin(Stdio::null());
    command.output().with_context(|| format!("could not run \"{program}\""))
}

/// Runs a program that must succeed.
pub fn well(command: &mut Command) -> Result<()> {
    let output = run(command)?;
    if output.status.success() {
        return Ok(());
    }
    bail!("{:?} failed ({}): {}", command, output.status, said(&output));
}

/// Both of its outputs, for an error.
pub fn said(output: &Output) -> String {
    let both = [&output.stdout, &output.stderr].map(|bytes| String::from_utf8_lossy(bytes).trim().to_owned());
    both.join(" ").trim().to_owned()
}
