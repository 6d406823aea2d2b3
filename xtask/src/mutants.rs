//! `cargo xtask mutants`: tests of the tests. Faults are planted one at a time, and the proofs must find each.

mod check;
mod places;
mod table;

use std::collections::VecDeque;
use std::fmt::Write as _;
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use self::check::{Check, Programs, Verdict};
use self::places::Places;
use self::table::{MUTANTS, Mutant};
use crate::binaries::{self, Scope};
use crate::command;
use crate::simulate;
use crate::workspace::Workspace;

/// Checks side by side.
const LANES: usize = 2;
/// Features that only proofs may have.
const PROOF_FEATURES: [&str; 3] = ["mutants", "crashpoints", "sabotage"];

#[derive(clap::Args, Default)]
pub struct Options {
    /// Only these, e.g. `--only fence.ignored,ledger.done-not-synced`.
    #[arg(long, value_name = "NAME", value_delimiter = ',')]
    only: Vec<String>,
    /// Say which there are, where they are planted and what must find them; run nothing.
    #[arg(long)]
    list: bool,
}

/// One check to run: with a fault, or without any, to see that it finds nothing where nothing is.
struct Work {
    mutant: Option<&'static Mutant>,
    check: Check,
}

/// Build once with all faults in it; run each with the proof that must find it, and each of these proofs without one.
pub fn run(workspace: &Workspace, options: &Options) -> Result<()> {
    let places = places::read(&workspace.root)?;
    places::hold_to(&places, &MUTANTS.iter().map(|mutant| mutant.name).collect::<Vec<_>>())?;
    let chosen = chosen(options)?;
    if options.list {
        for mutant in chosen {
            println!("{:34} {}  ({})", mutant.name, places[mutant.name], mutant.check);
        }
        return Ok(());
    }
    releases_have_none(workspace)?;
    binaries::build(workspace, Scope::ProgramsAndProofs)?;
    let mut optimised = command::cargo_in(workspace);
    command::run(optimised.arg("build").args(simulate::PROGRAM).args(["--features", "mutants"]))?;
    let began = Instant::now();
    let checks: Vec<Check> = chosen.iter().map(|mutant| mutant.check).collect();
    let programs = Programs::find(workspace, &checks, programs_of(workspace, &checks)?)?;
    let verdicts = work_off(work(&chosen), &programs);
    println!("{}", report(&verdicts, &places));
    println!("{} mutants in {:.0} s", chosen.len(), began.elapsed().as_secs_f64());
    let failed: Vec<String> = verdicts.iter().filter_map(|(work, verdict)| fault(work, verdict)).collect();
    if failed.is_empty() { Ok(()) } else { bail!("{}", failed.join("\n")) }
}

fn chosen(options: &Options) -> Result<Vec<&'static Mutant>> {
    if let Some(unknown) = options.only.iter().find(|name| MUTANTS.iter().all(|it| it.name != **name)) {
        bail!("there is no mutant \"{unknown}\"; see `cargo xtask mutants --list`");
    }
    let is_chosen = |it: &&Mutant| options.only.is_empty() || options.only.iter().any(|name| name == it.name);
    Ok(MUTANTS.iter().filter(is_chosen).collect())
}

/// A build as a release is built, without a word about features, has no planted faults, no crash points and no lies.
fn releases_have_none(workspace: &Workspace) -> Result<()> {
    let mut cargo = command::cargo_in(workspace);
    cargo.args(["tree", "--workspace", "--edges", "normal", "--prefix", "none", "--format", "{p} [{f}]"]);
    let output = cargo.output().context("could not start cargo")?;
    command::must_succeed(&command::line(&cargo), output.status)?;
    let tree = String::from_utf8_lossy(&output.stdout);
    match with_proof_features(&tree) {
        Some(line) => bail!("a release would have what only proofs may have: {line}"),
        None if tree.contains("instance-chassis ") => Ok(()),
        None => bail!("\"{}\" does not show our packages", command::line(&cargo)),
    }
}

/// The first line of the tree with a feature that a release must not have.
fn with_proof_features(tree: &str) -> Option<&str> {
    tree.lines().filter(|line| line.starts_with("instance-")).find(|line| {
        let features =
            line.rsplit_once('[').map_or("", |(_, features)| features.split(']').next().unwrap_or(""));
        features.split(',').any(|feature| PROOF_FEATURES.contains(&feature))
    })
}

/// The test program of each check that needs one.
fn programs_of(workspace: &Workspace, checks: &[Check]) -> Result<Vec<(Check, PathBuf)>> {
    let programs = binaries::test_programs(workspace)?;
    let mut tests: Vec<(Check, PathBuf)> = Vec::new();
    for check in checks {
        let (package, name) = match check {
            Check::Tests { package, .. } => (package, None),
            Check::TestsOf { package, name, .. } => (package, Some(*name)),
            _ => continue,
        };
        let manifest = workspace.packages.iter().find(|it| it.name == *package).map(|it| &it.manifest);
        let mut of_package = programs.iter().filter(|program| Some(&program.manifest) == manifest);
        let program = of_package.find(|program| match name {
            Some(name) => !program.is_of_library && program.name == name,
            None => program.is_of_library,
        });
        let path = program.with_context(|| format!("{package} has no such tests: {check}"))?.path.clone();
        tests.push((*check, path));
    }
    Ok(tests)
}

/// The unmutated checks first, the slow ones before the quick ones.
fn work(chosen: &[&'static Mutant]) -> VecDeque<Work> {
    let mut checks: Vec<Check> = Vec::new();
    for mutant in chosen {
        if !checks.contains(&mutant.check) {
            checks.push(mutant.check);
        }
    }
    let mut work: Vec<Work> = checks.into_iter().map(|check| Work { mutant: None, check }).collect();
    work.extend(chosen.iter().map(|mutant| Work { mutant: Some(mutant), check: mutant.check }));
    work.sort_by_key(|work| !matches!(work.check, Check::Death { .. } | Check::Suspend { .. }));
    work.into()
}

fn work_off(work: VecDeque<Work>, programs: &Programs) -> Vec<(Work, Result<Verdict>)> {
    let (waiting, done) = (Mutex::new(work), Mutex::new(Vec::new()));
    let lane = || {
        loop {
            let next = waiting.lock().unwrap_or_else(PoisonError::into_inner).pop_front();
            let Some(work) = next else { return };
            let verdict = programs.run(work.check, work.mutant.map(|mutant| mutant.name));
            done.lock().unwrap_or_else(PoisonError::into_inner).push((work, verdict));
        }
    };
    std::thread::scope(|scope| (0..LANES).for_each(|_| drop(scope.spawn(lane))));
    let mut done = done.into_inner().unwrap_or_else(PoisonError::into_inner);
    let place =
        |work: &Work| MUTANTS.iter().position(|it| work.mutant.is_some_and(|mutant| mutant.name == it.name));
    done.sort_by_key(|(work, _)| place(work));
    done
}

/// One line a check, and beneath each fault the place where it was planted.
fn report(verdicts: &[(Work, Result<Verdict>)], places: &Places) -> String {
    let mut lines = format!("{:34} {:>7}  killed by", "mutant", "time");
    for (work, verdict) in verdicts {
        let (told, took) = match verdict {
            Err(error) => (format!("NO VERDICT: {error:#}"), Duration::ZERO),
            Ok(Verdict { found: Some(found), took }) => {
                (format!("{}: {}", work.check, shortened(found)), *took)
            }
            Ok(Verdict { found: None, took }) if work.mutant.is_some() => {
                (format!("SURVIVED {}", work.check), *took)
            }
            Ok(Verdict { found: None, took }) => (format!("- ({} holds)", work.check), *took),
        };
        let name = work.mutant.map_or("(none)", |mutant| mutant.name);
        // Writing to a string cannot fail.
        let _ = write!(lines, "\n{name:34} {:5.1} s  {told}", took.as_secs_f64());
        if let Some(mutant) = work.mutant {
            let _ = write!(lines, "\n{:44}in {}", "", places[mutant.name]);
        }
    }
    lines
}

fn shortened(text: &str) -> String {
    text.chars().take(150).collect()
}

/// A rule of the simulation that is to bite must be the one that did.
fn is_by_its_rule(mutant: &Mutant, found: &str) -> bool {
    mutant.rule.is_none_or(|rule| found.contains(&format!(" breaks {rule}:")))
}

/// Why this verdict is not the one that it must be.
fn fault(work: &Work, verdict: &Result<Verdict>) -> Option<String> {
    match (work.mutant, verdict) {
        (_, Err(error)) => Some(format!("{error:#}")),
        (Some(mutant), Ok(Verdict { found: None, .. })) => {
            Some(format!("\"{}\" survived {}: the proof is too weak", mutant.name, work.check))
        }
        (Some(mutant), Ok(Verdict { found: Some(found), .. })) if !is_by_its_rule(mutant, found) => {
            let rule = mutant.rule.unwrap_or_default();
            Some(format!("\"{}\" must break {rule}, and was found otherwise: {found}", mutant.name))
        }
        (None, Ok(Verdict { found: Some(found), .. })) => {
            Some(format!("{} fails without any planted fault: {found}", work.check))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_our_packages_with_proof_features_are_told() {
        let tree = "instance-bus v0.1.0 (/tree) []\ntokio v1 [mutants]\ninstance-agent v0.1.0 (/x) [a,crashpoints] (*)";
        assert_eq!(with_proof_features(tree), tree.lines().nth(2));
        assert_eq!(with_proof_features("instance-bus v0.1.0 (/tree) [default]"), None);
    }

    #[test]
    fn a_survivor_and_a_proof_that_always_fails_are_faults() {
        let verdict =
            |found: Option<&str>| Ok(Verdict { found: found.map(str::to_owned), took: Duration::ZERO });
        let anyhow = MUTANTS.iter().find(|mutant| mutant.rule.is_none()).unwrap();
        let work = |mutant| Work { mutant, check: MUTANTS[0].check };
        assert!(fault(&work(Some(anyhow)), &verdict(None)).unwrap().contains("survived"));
        assert!(fault(&work(None), &verdict(Some("x"))).unwrap().contains("without any planted fault"));
        assert_eq!(fault(&work(Some(anyhow)), &verdict(Some("x"))), None);
        assert_eq!(fault(&work(None), &verdict(None)), None);
    }

    #[test]
    fn a_rule_that_is_to_bite_must_be_the_one_that_did() {
        let mutant = MUTANTS.iter().find(|mutant| mutant.rule.is_some()).unwrap();
        let work = Work { mutant: Some(mutant), check: mutant.check };
        let found = |rule: &str| {
            let found = Some(format!("seed 7 breaks {rule}: x"));
            fault(&work, &Ok(Verdict { found, took: Duration::ZERO }))
        };
        assert!(found("another").unwrap().contains("was found otherwise"));
        assert_eq!(found(mutant.rule.unwrap()), None);
    }

    #[test]
    fn each_check_is_run_once_without_a_fault() {
        let chosen: Vec<&Mutant> = MUTANTS.iter().collect();
        let unmutated: Vec<Check> =
            work(&chosen).iter().filter(|work| work.mutant.is_none()).map(|work| work.check).collect();
        let twice = unmutated.iter().enumerate().any(|(at, check)| unmutated[..at].contains(check));
        assert!(!twice && !unmutated.is_empty());
    }
}
