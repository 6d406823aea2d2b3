//! Running other programs: shown before they start, named when they fail, ended when they hang.

use std::ffi::OsStr;
use std::io::{Read as _, Seek as _};
use std::process::{Child, Command, ExitStatus};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use crate::workspace::{Workspace, cargo};

/// How long a program that was asked to stop may take before it is killed.
const GRACE: Duration = Duration::from_secs(20);
const POLL: Duration = Duration::from_millis(50);

/// A cargo command in the root of the tree, with the environment of a cargo called by hand.
pub fn cargo_in(workspace: &Workspace) -> Command {
    let mut command = Command::new(cargo());
    command.current_dir(&workspace.root);
    // `cargo run` describes xtask to its child in these. Build scripts that watch them (ring's does)
    // would see another environment than in a plain `cargo build`, and be built again at each change of caller.
    for (name, _) in std::env::vars_os() {
        if describes_a_package(&name) {
            command.env_remove(name);
        }
    }
    command
}

/// Run to the end, output going where ours goes; fail naming the command line.
pub fn run(command: &mut Command) -> Result<()> {
    let status = run_to_any_end(command)?;
    must_succeed(&line(command), status)
}

/// As [`run`], for whoever makes something of the exit status.
pub fn run_to_any_end(command: &mut Command) -> Result<ExitStatus> {
    let line = show(command);
    command.status().with_context(|| format!("could not start \"{line}\""))
}

/// Run to the end and give what it printed; fail naming the command line and the last that it said.
pub fn capture(command: &mut Command) -> Result<String> {
    let line = line(command);
    let output = command.output().with_context(|| format!("could not start \"{line}\""))?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    bail!("\"{line}\" failed ({}): {}", output.status, said.trim_end().lines().last().unwrap_or_default())
}

/// As [`run`], but ended after `limit`: politely first, so that it can take its own children along.
pub fn run_within(command: &mut Command, limit: Duration) -> Result<ExitStatus> {
    let line = show(command);
    let mut child = command.spawn().with_context(|| format!("could not start \"{line}\""))?;
    if let Some(status) = wait_until(&mut child, Instant::now() + limit)? {
        return Ok(status);
    }
    // The standard library can only kill; `kill` can ask.
    let asked = Command::new("kill").args(["-TERM", &child.id().to_string()]).status();
    if asked.is_err() || wait_until(&mut child, Instant::now() + GRACE)?.is_none() {
        child.kill().with_context(|| format!("could not kill \"{line}\""))?;
        child.wait().with_context(|| format!("could not await \"{line}\""))?;
    }
    bail!("\"{line}\" was still running after {} s and was stopped", limit.as_secs())
}

/// As [`run_within`], with what it printed handed back instead of shown.
pub fn run_aside(command: &mut Command, limit: Duration) -> Result<(ExitStatus, String)> {
    let mut printed = tempfile::tempfile().context("could not make a file for what is printed")?;
    let both = printed.try_clone().context("could not share a file")?;
    command.stdout(both.try_clone().context("could not share a file")?).stderr(both);
    let status = run_within(command, limit);
    let mut text = Vec::new();
    printed
        .rewind()
        .and_then(|()| printed.read_to_end(&mut text))
        .context("could not read what was printed")?;
    let text = String::from_utf8_lossy(&text).into_owned();
    let status = status.inspect_err(|_| eprintln!("{text}"))?;
    Ok((status, text))
}

/// Fail naming the command line when it did.
pub fn must_succeed(line: &str, status: ExitStatus) -> Result<()> {
    if status.success() {
        return Ok(());
    }
    bail!("\"{line}\" failed ({status})")
}

/// The command line as a person would type it, for messages.
pub fn line(command: &Command) -> String {
    let program = std::path::Path::new(command.get_program()).file_name().unwrap_or_default();
    std::iter::once(program)
        .chain(command.get_args())
        .map(|word| quoted(&word.to_string_lossy()))
        .collect::<Vec<_>>()
        .join(" ")
}

fn show(command: &Command) -> String {
    let line = line(command);
    eprintln!("$ {line}");
    line
}

fn quoted(word: &str) -> String {
    if word.contains(char::is_whitespace) { format!("'{word}'") } else { word.to_owned() }
}

fn wait_until(child: &mut Child, deadline: Instant) -> Result<Option<ExitStatus>> {
    loop {
        if let Some(status) = child.try_wait().context("could not await a child")? {
            return Ok(Some(status));
        }
        if Instant::now() >= deadline {
            return Ok(None);
        }
        std::thread::sleep(POLL);
    }
}

fn describes_a_package(name: &OsStr) -> bool {
    let name = name.to_string_lossy();
    name.starts_with("CARGO_PKG_") || name.starts_with("CARGO_MANIFEST_") || name == "CARGO_BIN_NAME"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_line_reads_as_typed() {
        let mut command = Command::new("/opt/rust/bin/cargo");
        command.args(["test", "two words"]);
        assert_eq!(line(&command), "cargo test 'two words'");
    }

    #[test]
    fn a_failure_names_the_command_and_its_code() {
        let error = run(Command::new("sh").args(["-c", "exit 3"])).unwrap_err().to_string();
        assert!(error.contains("sh -c 'exit 3'") && error.contains('3'), "{error}");
    }

    #[test]
    fn a_command_that_hangs_is_stopped_at_its_limit() {
        let started = Instant::now();
        let error = run_within(Command::new("sleep").arg("600"), Duration::from_millis(200)).unwrap_err();
        assert!(error.to_string().contains("still running"), "{error}");
        assert!(started.elapsed() < GRACE, "SIGTERM should have been enough");
    }

    #[test]
    fn a_command_that_ends_in_time_gives_its_own_code() {
        let status = run_within(Command::new("sh").args(["-c", "exit 5"]), Duration::from_mins(1)).unwrap();
        assert_eq!(status.code(), Some(5));
    }

    #[test]
    fn what_is_printed_aside_is_handed_back_in_order() {
        let mut command = Command::new("sh");
        command.args(["-c", "echo one; echo two >&2; exit 5"]);
        let (status, printed) = run_aside(&mut command, Duration::from_mins(1)).unwrap();
        assert_eq!((status.code(), printed.as_str()), (Some(5), "one\ntwo\n"));
    }

    #[test]
    fn only_what_describes_a_package_is_kept_from_cargo() {
        assert!(describes_a_package(OsStr::new("CARGO_PKG_NAME")));
        assert!(describes_a_package(OsStr::new("CARGO_MANIFEST_DIR")));
        assert!(!describes_a_package(OsStr::new("CARGO_TARGET_DIR")));
        assert!(!describes_a_package(OsStr::new("CARGO_HOME")));
    }
}
