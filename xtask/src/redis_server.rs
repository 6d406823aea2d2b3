//! The `redis-server` that tests of the answer cache start: a named one, the one on PATH, or Debian's, installed.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::{env, fs};

use anyhow::{Context, Result, bail};

/// Names the server explicitly; the tests read it too.
pub const VARIABLE: &str = "INSTANCE_REDIS_SERVER";

/// The server to use. On Debian and Ubuntu a missing one is installed, where we may.
pub fn find() -> Result<PathBuf> {
    if let Some(named) = env::var_os(VARIABLE).filter(|value| !value.is_empty()) {
        let named = PathBuf::from(named);
        if !named.is_file() {
            bail!("{VARIABLE} names \"{}\", and that is no file", named.display());
        }
        return Ok(named);
    }
    if let Some(found) = on_path("redis-server") {
        return Ok(found);
    }
    install()?;
    on_path("redis-server").context("redis-server was installed and is not on PATH")
}

fn install() -> Result<()> {
    let root = fs::metadata("/proc/self").is_ok_and(|own| std::os::unix::fs::MetadataExt::uid(&own) == 0);
    let Some(apt_get) = on_path("apt-get").filter(|_| root) else {
        bail!(
            "there is no redis-server here: install it (Debian and Ubuntu: apt-get install redis-server) or name \
             one with {VARIABLE}=/path/to/redis-server"
        )
    };
    eprintln!("xtask: installing redis-server with apt-get");
    apt(&apt_get, &["update", "--quiet=2"])?;
    apt(&apt_get, &["install", "--quiet=2", "--yes", "--no-install-recommends", "redis-server"])
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
