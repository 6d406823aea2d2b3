//! The proofs, run once with a fault or once without.

use std::fmt;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use crate::command;
use crate::nats_server;
use crate::simulate;
use crate::workspace::Workspace;

/// Which fault is in force.
const VARIABLE: &str = "MUTANT";
/// The longest check takes a tenth of it.
const LIMIT: Duration = Duration::from_mins(3);

/// One proof, or the part of it that is to find something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Check {
    /// Proof 1: the router's core, over so many seeds.
    Simulation { seeds: u64 },
    /// Proof 2: one death of one process.
    Death { case: &'static str },
    /// Unit tests of a package whose names hold this: disks that lose power, and what agents promise.
    Tests { package: &'static str, filter: &'static str },
    /// The tests of a file under `tests` of a package whose names hold this: stories, and what needs a server.
    TestsOf { package: &'static str, name: &'static str, filter: &'static str },
}

impl fmt::Display for Check {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Simulation { seeds } => write!(f, "simulate, {seeds} seeds"),
            Self::Death { case } => write!(f, "crash, {case}"),
            Self::Tests { package, filter } => write!(f, "{package} {filter}*"),
            Self::TestsOf { package, name, filter } => write!(f, "{package} {name} {filter}*"),
        }
    }
}

/// What came of a check.
#[derive(Debug, PartialEq, Eq)]
pub struct Verdict {
    /// What it found, in its own words; `None` when everything held.
    pub found: Option<String>,
    pub took: Duration,
}

/// Where the programs of the proofs are.
pub struct Programs {
    pub simulate: PathBuf,
    pub crash: PathBuf,
    pub nats_server: PathBuf,
    /// The test programs of the checks that run one.
    pub tests: Vec<(Check, PathBuf)>,
    /// Where each check leaves what it said.
    pub logs: PathBuf,
    pub root: PathBuf,
}

impl Programs {
    /// After they were built.
    pub fn find(workspace: &Workspace, checks: &[Check], tests: Vec<(Check, PathBuf)>) -> Result<Self> {
        let logs = workspace.target.join("mutants");
        fs::create_dir_all(&logs).with_context(|| format!("could not create {}", logs.display()))?;
        let found = Self {
            simulate: simulate::program(workspace),
            crash: workspace.program("examples/crash"),
            nats_server: nats_server::find(workspace)?,
            tests,
            logs,
            root: workspace.root.clone(),
        };
        for check in checks {
            found.command(*check)?;
        }
        Ok(found)
    }

    fn command(&self, check: Check) -> Result<Command> {
        let mut command = match check {
            Check::Simulation { seeds } => {
                let mut command = Command::new(&self.simulate);
                command.args(["--seeds", &seeds.to_string()]);
                command
            }
            Check::Death { case } => {
                let mut command = Command::new(&self.crash);
                command.args(["--case", case]);
                command
            }
            Check::Tests { filter, .. } | Check::TestsOf { filter, .. } => {
                let Some((_, program)) = self.tests.iter().find(|(of, _)| *of == check) else {
                    bail!("no program was built for {check}");
                };
                let mut command = Command::new(program);
                command.args([filter, "--test-threads", "1"]);
                command
            }
        };
        // Of a fault that was planted, nothing is to be remembered, and the shortest story is of no use.
        command.env("PROPTEST_DISABLE_FAILURE_PERSISTENCE", "1").env("PROPTEST_MAX_SHRINK_ITERS", "0");
        command.env(nats_server::VARIABLE, &self.nats_server).env_remove("RUST_BACKTRACE");
        command.env_remove(VARIABLE).current_dir(&self.root);
        Ok(command)
    }

    /// Runs a check with this fault, or with none.
    pub fn run(&self, check: Check, mutant: Option<&str>) -> Result<Verdict> {
        let name = mutant.map_or_else(|| format!("none {check}"), str::to_owned);
        let log = self.logs.join(name.replace(|c: char| !c.is_ascii_alphanumeric() && c != '.', "-"));
        let mut command = self.command(check)?;
        command.envs(mutant.map(|mutant| (VARIABLE, mutant)));
        let file = || File::create(&log).with_context(|| format!("could not write {}", log.display()));
        let output = file()?;
        command.stderr(output.try_clone().context("could not write a log twice")?).stdout(output);
        let began = Instant::now();
        // All seeds, beside other checks, on a machine that may have little time for them.
        let limit = if matches!(check, Check::Simulation { .. }) { LIMIT * 4 } else { LIMIT };
        let status = command::run_within(&mut command, limit)?;
        let took = began.elapsed();
        let said = fs::read_to_string(&log).with_context(|| format!("could not read {}", log.display()))?;
        let found = found(check, &said);
        match (status.success(), &found) {
            (true, None) if has_looked(check, &said) => Ok(Verdict { found: None, took }),
            (false, Some(_)) => Ok(Verdict { found, took }),
            _ => bail!("{check} ended with {status} and no verdict; see {}", Path::new(&log).display()),
        }
    }
}

/// What a failed check says that it has found.
fn found(check: Check, said: &str) -> Option<String> {
    let line = |part: &str| said.lines().find(|line| line.contains(part));
    match check {
        Check::Simulation { .. } => line(" breaks ").map(str::to_owned),
        Check::Death { .. } => line("FAILED ").map(|line| line.trim_start_matches("FAILED ").to_owned()),
        Check::Tests { .. } | Check::TestsOf { .. } => {
            let name = line(" ... FAILED")?.trim_start_matches("test ").split(" ... ").next()?;
            Some(name.to_owned())
        }
    }
}

/// Did a check that found nothing look at anything?
fn has_looked(check: Check, said: &str) -> bool {
    match check {
        Check::Simulation { .. } => said.contains(" plans"),
        Check::Death { .. } => said.contains("1 deaths"),
        Check::Tests { .. } | Check::TestsOf { .. } => {
            said.contains("test result: ok.") && !said.contains("ok. 0 passed")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TESTS: Check = Check::Tests { package: "p", filter: "f" };

    #[test]
    fn a_check_says_what_it_has_found() {
        let simulation = Check::Simulation { seeds: 1 };
        assert_eq!(found(simulation, "x\nseed 3 breaks I5: y\n").as_deref(), Some("seed 3 breaks I5: y"));
        assert_eq!(found(TESTS, "test a::b ... ok\ntest a::c ... FAILED\n").as_deref(), Some("a::c"));
        let death = Check::Death { case: "c" };
        assert_eq!(found(death, "FAILED c: starts: 3\n").as_deref(), Some("c: starts: 3"));
        assert_eq!(found(death, "usage: crash"), None);
    }

    #[test]
    fn a_check_that_looked_at_nothing_proves_nothing() {
        assert!(has_looked(TESTS, "test result: ok. 2 passed; 0 failed"));
        assert!(!has_looked(TESTS, "test result: ok. 0 passed; 0 failed"));
    }
}
