//! What tests start that Debian ships: a named program, the one on PATH, or Debian's, installed.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::{env, fs};

use anyhow::{Context, Result, bail, ensure};

/// What the tests are told where there is none: those that need it are skipped, aloud.
pub const NONE: &str = "none";

/// One of them.
pub struct Program {
    name: &'static str,
    package: &'static str,
    /// Names the program explicitly; the tests read it too.
    pub variable: &'static str,
}

/// For tests of the answer cache.
pub const REDIS_SERVER: Program =
    Program { name: "redis-server", package: "redis-server", variable: "INSTANCE_REDIS_SERVER" };
/// Prometheus' own tool reads our metrics and rules.
pub const PROMTOOL: Program =
    Program { name: "promtool", package: "prometheus", variable: "INSTANCE_PROMTOOL" };

impl Program {
    /// The one to use. On Debian and Ubuntu a missing one is installed, where we may; `None` where we may not.
    pub fn find(&self) -> Result<Option<PathBuf>> {
        let Self { name, package, variable } = self;
        if let Some(named) = env::var_os(variable).filter(|value| !value.is_empty()) {
            if named == NONE {
                return Ok(None);
            }
            let named = PathBuf::from(named);
            if !named.is_file() {
                bail!("{variable} names \"{}\", and that is no file", named.display());
            }
            return Ok(Some(named));
        }
        if let Some(found) = on_path(name) {
            return Ok(Some(found));
        }
        if !install_or_say(&[package])? {
            return Ok(None);
        }
        on_path(name).with_context(|| format!("{package} was installed and {name} is not on PATH")).map(Some)
    }
}

/// Says to the tests that Prometheus and Alertmanager, which one scenario watches an instance with, are not here.
pub const PROMETHEUS: &str = "INSTANCE_PROMETHEUS";
const OF_PROMETHEUS: [&str; 4] = ["prometheus", "promtool", "prometheus-alertmanager", "amtool"];
const PACKAGES: [&str; 2] = ["prometheus", "prometheus-alertmanager"];

/// Are they all on PATH? On Debian and Ubuntu they are installed, where we may.
pub fn prometheus_is_here() -> Result<bool> {
    if env::var_os(PROMETHEUS).is_some_and(|said| said == NONE) {
        return Ok(false);
    }
    let all = || OF_PROMETHEUS.iter().all(|program| on_path(program).is_some());
    if all() {
        return Ok(true);
    }
    if !install_or_say(&PACKAGES)? {
        return Ok(false);
    }
    ensure!(
        all(),
        "{} were installed, and not all of {} are on PATH",
        PACKAGES.join(", "),
        OF_PROMETHEUS.join(", ")
    );
    Ok(true)
}

/// Installs Debian's packages; where we may not, says what is skipped, and gives false.
fn install_or_say(packages: &[&str]) -> Result<bool> {
    let names = packages.join(" ");
    let root = fs::metadata("/proc/self").is_ok_and(|own| std::os::unix::fs::MetadataExt::uid(&own) == 0);
    let Some(apt_get) = on_path("apt-get").filter(|_| root) else {
        eprintln!(
            "xtask: there is no {names} here, so the tests that need it are skipped; install it (Debian and Ubuntu: \
             apt-get install {names})"
        );
        return Ok(false);
    };
    eprintln!("xtask: installing {names} with apt-get");
    apt(&apt_get, &["update", "--quiet=2"])?;
    let line = [&["install", "--quiet=2", "--yes", "--no-install-recommends"][..], packages].concat();
    apt(&apt_get, &line)?;
    Ok(true)
}

fn apt(program: &Path, arguments: &[&str]) -> Result<()> {
    let output = Command::new(program)
        .args(arguments)
        .env("DEBIAN_FRONTEND", "noninteractive")
        // Runlevel 1: the package's own service is not started; tests start their own server.
        .env("RUNLEVEL", "1")
        .output()
        .context("could not run apt-get")?;
    if !output.status.success() {
        bail!("apt-get {} failed:\n{}", arguments[0], String::from_utf8_lossy(&output.stderr).trim_end());
    }
    Ok(())
}

/// A program by its name.
fn on_path(name: &str) -> Option<PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    env::split_paths(&path).map(|folder| folder.join(name)).find(|file| file.is_file())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_on_the_path_is_found() {
        assert!(on_path("sh").is_some_and(|shell| shell.is_file()));
        assert_eq!(on_path("no-such-program-anywhere"), None);
    }
}
