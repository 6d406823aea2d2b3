//! The stages of CI. Adding one is adding a variant where its cost belongs, and its line in [`Stage::run`].

use std::process::{Command, ExitStatus};
use std::time::Duration;

use anyhow::{Result, bail};
use clap::ValueEnum as _;

use super::Outcome;
use crate::binaries::{self, Scope};
use crate::containers::Binaries;
use crate::nats_server::{self, Pinned};
use crate::workspace::Workspace;
use crate::{
    arrows, bench, broker, census, chaos, command, containers, crash, error_pages, generate, mutants,
    phoenix, simulate, sizes, soak, supply_chain, test, units,
};

/// The faults that the demo picks from differ by seed, so that all three agents act over these.
const SEEDS: [u32; 3] = [1, 2, 3];
/// Who can be made to lie.
const LIARS: [&str; 4] = ["config", "os", "restart", "verify"];
/// A demo takes seconds; one that hangs must not eat CI's time.
const DEMO_LIMIT: Duration = Duration::from_mins(5);

/// In the order in which they run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Stage {
    /// Formatting.
    Fmt,
    /// Who may import whom.
    CheckArrows,
    /// Files that have grown too long.
    CheckSizes,
    /// Every error code has its words in docs/errors.
    CheckErrors,
    /// What the agents rest on has a source, a door, a proof.
    Census,
    /// systemd takes the units.
    CheckUnits,
    /// Licences, sources and secrets; the bill of materials.
    SupplyChain,
    /// Lints, warnings denied.
    Clippy,
    /// The documentation builds, with no link that leads nowhere.
    Doc,
    /// Every test of the workspace.
    Test,
    /// Generated files are fresh.
    Generate,
    /// The router's core over many seeds of a world that misbehaves.
    Simulate,
    /// The closed loop heals, for three seeds.
    Demo,
    /// Router and agents die at every named point, and nothing is lost or done twice.
    Crash,
    /// The server dies, freezes and forgets under load, and nothing is lost or done twice.
    Broker,
    /// Every scenario breaks for a real cause, and nobody does harm.
    Chaos,
    /// Many instances, broken and healed without pause: nothing lost, nothing grown.
    Soak,
    /// Each planted fault is found by the proof that must find it.
    Mutants,
    /// An agent that lies is found out, for each agent.
    Sabotage,
    /// A router killed midway leaves each effect done once.
    BreakMidway,
    /// The bus contract on the oldest supported server.
    BusOldest,
    /// A consumer of others, Arize's Phoenix, shows the demo's trace.
    Phoenix,
    /// compose.yaml on a container engine, where one can run.
    Containers,
    /// What a plan stores, syncs and costs in CPU, beside the bare chain of hops.
    BenchCpu,
}

impl Stage {
    /// As `--only` takes it.
    pub fn name(self) -> String {
        let value = self.to_possible_value().expect("no stage is hidden from the command line");
        value.get_name().to_owned()
    }

    /// Those that may be skipped say whether they were.
    pub fn run(self, workspace: &Workspace) -> Result<Outcome> {
        let proved = match self {
            Self::CheckUnits => return units::run(workspace),
            Self::SupplyChain => return supply_chain::run(workspace),
            Self::Phoenix => return phoenix::run(workspace),
            Self::BenchCpu => return bench::cpu_gate(workspace),
            Self::Containers => {
                let options = containers::Options { binaries: Binaries::Debug, keep: false };
                return containers::run(workspace, &options);
            }
            Self::Fmt => command::run(command::cargo_in(workspace).args(["fmt", "--all", "--check"])),
            Self::CheckArrows => arrows::run(workspace),
            Self::CheckSizes => sizes::run(workspace),
            Self::CheckErrors => error_pages::run(workspace),
            Self::Census => census::run(workspace),
            Self::Clippy => clippy(workspace),
            Self::Doc => doc(workspace),
            Self::Test => test::run(workspace, &test::Options::default()),
            Self::Generate => generate::run(workspace, &generate::Options { check: true }),
            Self::Simulate => {
                let options = simulate::Options { seeds: simulate::SEEDS_IN_CI, from: 1, seed: None };
                simulate::run(workspace, &options)
            }
            Self::Demo => demo(workspace),
            Self::Crash => crash::run(workspace, &crash::Options::default()),
            Self::Broker => broker::run(workspace, &broker::Options::default()),
            Self::Chaos => chaos::run(workspace, &chaos::Options::default()),
            Self::Soak => soak::run(workspace, &soak::Options::default()),
            Self::Mutants => mutants::run(workspace, &mutants::Options::default()),
            Self::Sabotage => sabotage(workspace),
            Self::BreakMidway => break_midway(workspace),
            Self::BusOldest => bus_on_oldest_server(workspace),
        };
        proved.map(|()| Outcome::Passed)
    }
}

fn clippy(workspace: &Workspace) -> Result<()> {
    let mut cargo = command::cargo_in(workspace);
    cargo.arg("clippy");
    binaries::whole_tree(&mut cargo).args(["--all-targets", "--", "--deny", "warnings"]);
    command::run(&mut cargo)
}

fn doc(workspace: &Workspace) -> Result<()> {
    let mut cargo = command::cargo_in(workspace);
    cargo.arg("doc");
    binaries::whole_tree(&mut cargo).arg("--no-deps").env("RUSTDOCFLAGS", "--deny warnings");
    command::run(&mut cargo)
}

fn demo(workspace: &Workspace) -> Result<()> {
    binaries::build(workspace, Scope::ProgramsAndTests)?;
    for seed in SEEDS {
        healed(workspace, &["--seed", &seed.to_string()])?;
    }
    Ok(())
}

fn break_midway(workspace: &Workspace) -> Result<()> {
    binaries::build(workspace, Scope::ProgramsAndTests)?;
    healed(workspace, &["--break-midway"])
}

fn sabotage(workspace: &Workspace) -> Result<()> {
    binaries::build(workspace, Scope::ProgramsAndTests)?;
    for liar in LIARS {
        let mut demo = demo_command(workspace, &["--sabotage", liar])?;
        let shown = command::line(&demo);
        // What it prints is a failure on purpose: on the screen it would look like one of CI.
        let (status, printed) = command::run_aside(&mut demo, DEMO_LIMIT)?;
        if let Some(fault) = not_found_out(status) {
            bail!("{printed}\n\"{shown}\" ended with {status}: {fault}");
        }
        eprintln!("xtask: found out, as it must be ({status})");
    }
    Ok(())
}

fn demo_command(workspace: &Workspace, arguments: &[&str]) -> Result<Command> {
    let mut demo = Command::new(workspace.program("instance"));
    demo.current_dir(&workspace.root).arg("demo").args(arguments);
    demo.env(nats_server::VARIABLE, nats_server::find(workspace)?);
    Ok(demo)
}

/// Run the built demo to its end, which must be a cure.
fn healed(workspace: &Workspace, arguments: &[&str]) -> Result<()> {
    let mut demo = demo_command(workspace, arguments)?;
    let status = command::run_within(&mut demo, DEMO_LIMIT)?;
    command::must_succeed(&command::line(&demo), status)
}

/// Why this end of a sabotaged demo does not show that the lie was found out, if it does not.
/// The codes are those that `instance` publishes.
fn not_found_out(status: ExitStatus) -> Option<&'static str> {
    match status.code() {
        Some(0) => Some("it believed the lie"),
        Some(2) => Some("it did not understand its arguments, so nothing was tried"),
        Some(7) => Some("it did not reach the bus, so nothing was tried"),
        Some(78) => Some("its configuration is bad, so nothing was tried"),
        Some(101) => Some("it panicked"),
        None => Some("a signal ended it"),
        Some(_) => None,
    }
}

/// The tests of the bus, once more, on the oldest server. The very programs that the stage `test` ran:
/// `cargo test -p` would resolve other features and build half the world again.
fn bus_on_oldest_server(workspace: &Workspace) -> Result<()> {
    let server = nats_server::install(workspace, Pinned::Oldest)?;
    let folder = workspace.root.join("shared/bus");
    let mut programs = binaries::test_programs(workspace)?;
    programs.retain(|program| program.manifest == folder.join("Cargo.toml"));
    if programs.is_empty() {
        bail!("\"{}\" has no tests", folder.display());
    }
    for program in programs {
        let mut tests = Command::new(program.path);
        tests.current_dir(&folder).env("CARGO_MANIFEST_DIR", &folder).env(nats_server::VARIABLE, &server);
        command::run(&mut tests)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::os::unix::process::ExitStatusExt as _;

    use super::*;

    #[test]
    fn names_are_what_only_takes() {
        for stage in Stage::value_variants() {
            assert_eq!(Stage::from_str(&stage.name(), false), Ok(*stage));
        }
    }

    #[test]
    fn a_lie_counts_as_found_out_only_by_a_verdict() {
        let ended = |code: i32| not_found_out(ExitStatus::from_raw(code << 8));
        for verdict in [1, 4, 5] {
            assert_eq!(ended(verdict), None);
        }
        for code in [0, 2, 7, 78, 101] {
            assert!(ended(code).is_some(), "{code}");
        }
        let killed = ExitStatus::from_raw(9);
        assert!(not_found_out(killed).is_some());
    }
}
