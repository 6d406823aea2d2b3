//! The `redis-server` that tests of the answer cache start: a named one, the one on PATH, or Debian's, installed.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::{env, fs};

use anyhow::{Context, Result, bail};

/// Names the server explicitly; the tests read it too.
pub const VARIABLE: &str = "INSTANCE_REDIS_SERVER";

/// What the tests are told where there is none: those that need it are left out, aloud.
pub const NONE: &str = "none";

/// The server to use. On Debian and Ubuntu a missing one is installed, where we may; `None` where we may not.
pub fn find() -> Result<Option<PathBuf>> {
    if let Some(named) = env::var_os(VARIABLE).filter(|value| !value.is_empty()) {
        if named == NONE {
            return Ok(None);
        }
        let named = PathBuf::from(named);
        if !named.is_file() {
            bail!("{VARIABLE} names \"{}\", and that is no file", named.display());
        }
        return Ok(Some(named));
    }
    if let Some(found) = on_path("redis-server") {
        return Ok(Some(found));
    }
    if !install_or_say(&["redis-server"])? {
        return Ok(None);
    }
    on_path("redis-server").context("redis-server was installed and is not on PATH").map(Some)
}

/// Installs Debian's packages; where we may not, says what is left out, and gives false.
pub fn install_or_say(packages: &[&str]) -> Result<bool> {
    let names = packages.join(" ");
    let root = fs::metadata("/proc/self").is_ok_and(|own| std::os::unix::fs::MetadataExt::uid(&own) == 0);
    let Some(apt_get) = on_path("apt-get").filter(|_| root) else {
        eprintln!(
            "xtask: there is no {names} here, so the tests that need it are left out; install it (Debian and Ubuntu: \
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
pub fn on_path(name: &str) -> Option<PathBuf> {
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
