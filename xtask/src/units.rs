//! `cargo xtask check-units`: systemd takes the units that we ship, and says how much each is exposed.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail, ensure};

use crate::ci::Outcome;
use crate::workspace::Workspace;

const PROGRAM: &str = "systemd-analyze";
/// As deploy/README.md tells.
const MOST_EXPOSED: f32 = 2.0;
/// It writes kernel parameters.
const MORE_EXPOSED: (&str, f32) = ("instance-os-agent.service", 2.5);
/// What runs IRIS itself has none.
const WITHOUT_SANDBOX: &str = "instance-iris@.service";

/// Check each unit; on a machine without systemd say that it is left out.
pub fn run(workspace: &Workspace) -> Result<Outcome> {
    if Command::new(PROGRAM).arg("--version").output().is_err() {
        let why = format!("{PROGRAM} is not on this machine, so nobody has looked at deploy/systemd");
        return Ok(Outcome::skipped(why));
    }
    let folder = workspace.root.join("target/units");
    if folder.exists() {
        fs::remove_dir_all(&folder).with_context(|| format!("could not remove \"{}\"", folder.display()))?;
    }
    fs::create_dir_all(&folder).with_context(|| format!("could not make \"{}\"", folder.display()))?;
    let units = installed(&workspace.root.join("deploy/systemd"), &folder)?;
    ensure!(!units.is_empty(), "there are no units in deploy/systemd");
    let verified = Command::new(PROGRAM).args(["verify", "--man=no"]).args(&units).output()?;
    let words = String::from_utf8_lossy(&verified.stderr);
    ensure!(verified.status.success() && words.trim().is_empty(), "{PROGRAM} verify: {}", words.trim());
    let mut unseen = Vec::new();
    for unit in units.iter().filter(|unit| unit.extension().is_some_and(|kind| kind == "service")) {
        if !exposure(unit)? {
            unseen.push(format!("this {PROGRAM} cannot look at the security of \"{}\"", unit.display()));
        }
    }
    println!("{} units, and {PROGRAM} verify has nothing to say", units.len());
    Ok(Outcome::of(&unseen))
}

/// The units as they would be with our programs installed: a program that is there stands for each of them.
fn installed(from: &Path, to: &Path) -> Result<Vec<PathBuf>> {
    let mut units = Vec::new();
    for entry in fs::read_dir(from).with_context(|| format!("could not list \"{}\"", from.display()))? {
        let path = entry?.path();
        if !path.extension().is_some_and(|kind| kind == "service" || kind == "socket" || kind == "target") {
            continue;
        }
        let text =
            fs::read_to_string(&path).with_context(|| format!("could not read \"{}\"", path.display()))?;
        let there = |line: &str| {
            let ours = line.strip_prefix("ExecStart=/usr/bin/instance");
            ours.map_or_else(|| line.to_owned(), |_| "ExecStart=/bin/true".to_owned())
        };
        let text = text.lines().map(|line| there(line) + "\n").collect::<String>();
        let unit = to.join(path.file_name().context("a file has a name")?);
        fs::write(&unit, text).with_context(|| format!("could not write \"{}\"", unit.display()))?;
        units.push(unit);
    }
    units.sort();
    Ok(units)
}

/// Print the last line of `systemd-analyze security`, and hold it against what is told.
/// False where that cannot be done.
fn exposure(unit: &Path) -> Result<bool> {
    let arguments = ["security", "--offline=true", "--no-pager"];
    let output = Command::new(PROGRAM).args(arguments).arg(unit).output()?;
    let text = String::from_utf8_lossy(&output.stdout);
    let Some(line) = text.lines().rev().find(|line| line.contains("exposure level")) else {
        // Before systemd 250 only a running unit can be looked at.
        println!("skipped: this {PROGRAM} cannot look at the security of \"{}\"", unit.display());
        return Ok(false);
    };
    println!("{}", line.trim());
    let figure = line.rsplit_once(": ").and_then(|(_, rest)| rest.split(' ').next()?.parse::<f32>().ok());
    let figure = figure.with_context(|| format!("no figure in \"{line}\""))?;
    let most = if unit.ends_with(MORE_EXPOSED.0) { MORE_EXPOSED.1 } else { MOST_EXPOSED };
    if figure > most && !unit.ends_with(WITHOUT_SANDBOX) {
        bail!("\"{}\" is more exposed than {most}", unit.display());
    }
    Ok(true)
}
