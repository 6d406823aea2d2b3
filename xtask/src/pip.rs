//! Installing a package from PyPI: one version, one of the hashes written here, all or nothing.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::{fs, io};

use anyhow::{Context, Result, bail};

/// A package at one version, and the SHA-256 of each file of it that we take.
pub struct Pin {
    pub package: &'static str,
    pub version: &'static str,
    /// SHA-256 in lower-case hex, one per platform (pip takes the file that fits, then compares).
    pub sha256: &'static [&'static str],
}

impl Pin {
    /// The line of a requirements file: `name==version --hash=sha256:... --hash=sha256:...`.
    fn requirement(&self) -> String {
        let mut line = format!("{}=={}", self.package, self.version);
        for hash in self.sha256 {
            // Writing to a string cannot fail.
            let _ = write!(line, " --hash=sha256:{hash}");
        }
        line
    }
}

/// Install `pin` and let `arrange` turn pip's folder into the one that is kept at `destination`.
///
/// Everything happens in a folder of its own beside `destination`, which appears by one rename: another
/// process sees all of it or nothing, and of two that install at once the later one takes the earlier one's.
pub fn install(pin: &Pin, destination: &Path, arrange: impl Fn(&Path) -> Result<PathBuf>) -> Result<()> {
    install_all(
        &format!("{}-{}", pin.package, pin.version),
        &(pin.requirement() + "\n"),
        destination,
        arrange,
    )
}

/// As [`install`], for the lines of a whole requirements file; `what` names them together.
pub fn install_all(
    what: &str,
    lines: &str,
    destination: &Path,
    arrange: impl Fn(&Path) -> Result<PathBuf>,
) -> Result<()> {
    eprintln!("xtask: installing {what} into {}", destination.display());
    let parent = destination.parent().context("an install folder has a parent")?;
    let work = WorkFolder::create(parent, what)?;
    let requirements = work.0.join("requirements.txt");
    fs::write(&requirements, lines)
        .with_context(|| format!("could not write \"{}\"", requirements.display()))?;

    let installed = work.0.join("installed");
    pip_install(what, &requirements, &installed)?;
    let kept = arrange(&installed)?;
    match fs::rename(&kept, destination) {
        Ok(()) => Ok(()),
        Err(error) if is_taken(&error) => Ok(()),
        Err(error) => Err(error).with_context(|| format!("could not create \"{}\"", destination.display())),
    }
}

fn pip_install(what: &str, requirements: &Path, target: &Path) -> Result<()> {
    let mut pip = pip()?;
    pip.args([
        "install",
        "--quiet",
        "--no-input",
        "--disable-pip-version-check",
        "--no-warn-script-location",
    ])
    .args(["--no-deps", "--require-hashes", "--only-binary", ":all:", "--target"])
    .arg(target)
    .arg("--requirement")
    .arg(requirements)
    // A user's settings for whole environments; they forbid `--target` or do not apply to it.
    .env("PIP_USER", "0")
    .env("PIP_REQUIRE_VIRTUALENV", "0");
    let output = pip.output().context("could not run pip")?;
    if !output.status.success() {
        bail!("pip could not install {what}:\n{}", String::from_utf8_lossy(&output.stderr).trim_end());
    }
    Ok(())
}

/// `python3 -m pip`, once it is known to be there.
fn pip() -> Result<Command> {
    let python = || Command::new("python3");
    match python().args(["-m", "pip", "--version"]).output() {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            bail!("there is no python3 on PATH: install Python 3 with pip")
        }
        Err(error) => Err(error).context("could not run python3"),
        Ok(output) if !output.status.success() => {
            bail!("python3 has no pip: install it (Debian and Ubuntu: apt-get install python3-pip)")
        }
        Ok(_) => {
            let mut pip = python();
            pip.args(["-m", "pip"]);
            Ok(pip)
        }
    }
}

/// Somebody else's rename came first.
fn is_taken(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::AlreadyExists | io::ErrorKind::DirectoryNotEmpty)
}

/// A folder that is gone when the work is over, however it ends.
struct WorkFolder(PathBuf);

impl WorkFolder {
    fn create(parent: &Path, what: &str) -> Result<Self> {
        // Unique among what runs now; what a killed run left under the same process id is removed.
        let path = parent.join(format!(".incoming-{what}-{}", std::process::id()));
        let work = Self(path);
        let _ = fs::remove_dir_all(&work.0);
        fs::create_dir_all(&work.0).with_context(|| format!("could not create \"{}\"", work.0.display()))?;
        Ok(work)
    }
}

impl Drop for WorkFolder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_requirement_names_version_and_every_hash() {
        let pin = Pin { package: "thing", version: "1.2.3", sha256: &["aa", "bb"] };
        assert_eq!(pin.requirement(), "thing==1.2.3 --hash=sha256:aa --hash=sha256:bb");
    }

    #[test]
    fn a_work_folder_is_gone_when_the_work_is_over() {
        let work = WorkFolder::create(&std::env::temp_dir(), "thing-0").unwrap();
        let path = work.0.clone();
        fs::write(path.join("file"), "x").unwrap();
        drop(work);
        assert!(!path.exists());
    }

    #[test]
    fn a_folder_that_came_first_is_taken_as_it_is() {
        let work = WorkFolder::create(&std::env::temp_dir(), "rename-test-0").unwrap();
        let (first, second) = (work.0.join("first"), work.0.join("second"));
        for folder in [&first, &second] {
            fs::create_dir(folder).unwrap();
            fs::write(folder.join("nats-server"), "x").unwrap();
        }
        assert!(is_taken(&fs::rename(&second, &first).unwrap_err()));
    }
}
