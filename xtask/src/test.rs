//! `cargo xtask test`: every test of the workspace, against real servers. Those that could not prove anything here are listed
//! at the end: Rust's harness counts them as passed.

use std::ffi::OsString;
use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

use anyhow::{Context, Result, bail};

use crate::bench;
use crate::binaries::{self, Scope};
use crate::command;
use crate::python_tools;
use crate::tools::Tools;
use crate::workspace::Workspace;

#[derive(clap::Args, Default)]
pub struct Options {
    /// Only this: the cases for language models against a real service, with the key in INSTANCE_LIVE_MODEL_KEY (and maybe
    /// INSTANCE_LIVE_MODEL_URL and INSTANCE_LIVE_MODEL). Without a key it says that it was skipped.
    #[arg(long)]
    live_model: bool,
    /// Fail when a test was skipped: for a machine that is said to have everything.
    #[arg(long)]
    none_skipped: bool,
    /// For `cargo test`, e.g. `-- -p instance-bus` or `-- name_of_a_test`.
    #[arg(trailing_var_arg = true, allow_hyphen_values = true, value_name = "ARGUMENTS")]
    arguments: Vec<OsString>,
}

/// Find the tools, build the programs that tests start, build the tests, run them; each timed apart.
pub fn run(workspace: &Workspace, options: &Options) -> Result<()> {
    if options.live_model {
        return bench::models(workspace, &["--live".into()]);
    }
    let tools = Tools::ensure(workspace)?;
    eprintln!("xtask: tests use {}", tools.nats_server.display());
    let started = Instant::now();
    binaries::build(workspace, Scope::ProgramsAndTests)?;
    command::run(cargo_test(workspace, &options.arguments).arg("--no-run").args(&options.arguments))?;
    let built = started.elapsed();

    let started = Instant::now();
    let mut tests = cargo_test(workspace, &options.arguments);
    tests.args(&options.arguments);
    tools.hand_to(&mut tests);
    python_tools::hand_to(workspace, &mut tests);
    let skipped = Skipped::none_yet(workspace)?;
    let outcome = command::run(tests.env(Skipped::VARIABLE, &skipped.0));
    eprintln!("xtask: build {:.1} s, tests {:.1} s", built.as_secs_f64(), started.elapsed().as_secs_f64());
    let skipped = skipped.told()?;
    eprintln!("xtask: {}", in_words(&skipped));
    outcome?;
    if options.none_skipped && !skipped.is_empty() {
        bail!("{} tests were skipped, and none may be", skipped.len());
    }
    Ok(())
}

/// Where tests note that they were skipped (`instance_testkit::skipped` writes it, a line each).
pub struct Skipped(PathBuf);

impl Skipped {
    const VARIABLE: &'static str = "INSTANCE_SKIPPED";

    fn none_yet(workspace: &Workspace) -> Result<Self> {
        let file = workspace.target.join(format!("skipped-tests-{}", std::process::id()));
        remove(&file)?;
        Ok(Self(file))
    }

    /// Each that was skipped, once, in order.
    fn told(self) -> Result<Vec<String>> {
        let text = match fs::read_to_string(&self.0) {
            Ok(text) => text,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => {
                return Err(error).with_context(|| format!("could not read \"{}\"", self.0.display()));
            }
        };
        remove(&self.0)?;
        let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
        lines.sort();
        lines.dedup();
        Ok(lines)
    }
}

fn remove(file: &Path) -> Result<()> {
    match fs::remove_file(file) {
        Err(error) if error.kind() != ErrorKind::NotFound => {
            Err(error).with_context(|| format!("could not remove \"{}\"", file.display()))
        }
        _ => Ok(()),
    }
}

/// The list that a person reads last.
fn in_words(skipped: &[String]) -> String {
    if skipped.is_empty() {
        return "no test was skipped".to_owned();
    }
    format!("{} skipped, and nothing is proved by them:\n  {}", skipped.len(), skipped.join("\n  "))
}

/// `cargo test` over the whole tree, unless the arguments name packages.
pub fn cargo_test(workspace: &Workspace, arguments: &[OsString]) -> Command {
    let mut cargo = command::cargo_in(workspace);
    // All that fails is told at once; what one change breaks shows by what fails together.
    cargo.args(["test", "--no-fail-fast"]);
    if !names_packages(arguments) {
        binaries::whole_tree(&mut cargo);
    }
    cargo
}

/// Cargo would ignore `-p` beside `--workspace`, and refuse features of packages that are not named.
fn names_packages(arguments: &[OsString]) -> bool {
    arguments.iter().map(|argument| argument.to_string_lossy()).take_while(|argument| *argument != "--").any(
        |argument| {
            argument.starts_with("-p") || argument == "--package" || argument.starts_with("--package=")
        },
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_skipped_is_told_once_each_and_the_note_is_gone() {
        let folder = tempfile::tempdir().unwrap();
        let note = folder.path().join("note");
        assert_eq!(Skipped(note.clone()).told().unwrap(), Vec::<String>::new());
        fs::write(&note, "skipped: b\nskipped: a\nskipped: b\n").unwrap();
        let told = Skipped(note.clone()).told().unwrap();
        assert_eq!(in_words(&told), "2 skipped, and nothing is proved by them:\n  skipped: a\n  skipped: b");
        assert_eq!(in_words(&[]), "no test was skipped");
        assert!(!note.exists());
    }

    #[test]
    fn packages_are_named_before_the_arguments_of_the_tests() {
        let names = |line: &str| names_packages(&line.split(' ').map(OsString::from).collect::<Vec<_>>());
        assert!(
            names("-p instance-bus") && names("--package=instance-bus") && names("--package instance-bus")
        );
        assert!(!names("--test loop") && !names("name_of_a_test") && !names("-- --package"));
    }
}
