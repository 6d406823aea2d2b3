//! The images: a Debian made here, our two, and one with nats-server.

use std::fs;
use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail, ensure};

use super::engine::Engine;
use crate::workspace::Workspace;
use crate::{command, nats_server};

/// Made once; the engine keeps it.
const BASE: &str = "instance-base:bookworm";
const RELEASE: &str = "bookworm";
/// For the address of a mirror; apt knows which one this machine uses.
const ANY_PACKAGE: &str = "hostname";

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Binaries {
    Debug,
    Release,
}

/// Names of what was made.
pub struct Images {
    pub runtime: String,
    pub stand_in: String,
    pub nats: String,
}

pub fn make(workspace: &Workspace, engine: &Engine, folder: &Path, binaries: Binaries) -> Result<Images> {
    programs(workspace, &folder.join("programs"), binaries)?;
    let images = Images {
        runtime: "instance:try".to_owned(),
        stand_in: "instance-stand-in:try".to_owned(),
        nats: "instance-nats:try".to_owned(),
    };
    for (target, name) in [("runtime", &images.runtime), ("stand-in", &images.stand_in)] {
        let mut build =
            engine.docker(&["build", "--quiet", "--file", "deploy/Dockerfile", "--target", target]);
        build.args(["--tag", name, "--build-arg", "BINARIES=prebuilt"]);
        build.args(["--build-arg", "PREBUILT=containers/programs"]);
        build.args(["--build-arg", &format!("RUNTIME_BASE={BASE}"), "."]);
        command::run(build.current_dir(&workspace.root))?;
    }
    nats(workspace, engine, &folder.join("nats"), &images.nats)?;
    Ok(images)
}

/// A small Debian, from the mirror that this machine uses, and a container of it that runs.
pub fn base(engine: &Engine, folder: &Path) -> Result<()> {
    if engine.capture(&["image", "inspect", BASE]).is_err() {
        make_base(engine, folder)?;
    }
    engine.capture(&["run", "--rm", "--network", "none", BASE, "true"]).map(drop)
}

fn make_base(engine: &Engine, folder: &Path) -> Result<()> {
    let mirror = mirror()?;
    if folder.exists() {
        fs::remove_dir_all(folder).with_context(|| format!("could not remove \"{}\"", folder.display()))?;
    }
    let mut debootstrap = Command::new("debootstrap");
    // Whoever controls the mirror controls this machine's own packages already. wget asks the health of NATS.
    debootstrap
        .args(["--variant=minbase", "--no-check-gpg", "--include=wget", RELEASE])
        .arg(folder)
        .arg(&mirror);
    let output = debootstrap.output().context("could not run debootstrap")?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        bail!("debootstrap failed: {}", said.lines().last().unwrap_or_default());
    }
    let mut tar = Command::new("tar")
        .arg("--directory")
        .arg(folder)
        .args(["--create", "."])
        .stdout(Stdio::piped())
        .spawn()?;
    let mut import = engine.docker(&["import", "-", BASE]);
    let imported =
        import.stdin(tar.stdout.take().context("tar has an output")?).stdout(Stdio::null()).status()?;
    ensure!(tar.wait()?.success() && imported.success(), "could not import the base image");
    fs::remove_dir_all(folder).with_context(|| format!("could not remove \"{}\"", folder.display()))
}

/// `'http://mirror/debian/pool/...' hostname.deb ...` as `http://mirror/debian`.
fn mirror() -> Result<String> {
    let told = command::capture(Command::new("apt-get").args(["download", "--print-uris", ANY_PACKAGE]))?;
    mirror_of(&told).with_context(|| format!("apt-get names no mirror: {told}"))
}

fn mirror_of(told: &str) -> Option<String> {
    let address = told.strip_prefix('\'')?.split('\'').next()?;
    Some(address.split_once("/pool/")?.0.to_owned())
}

/// Our programs without their debug information, in the one folder that is copied into the images.
fn programs(workspace: &Workspace, folder: &Path, binaries: Binaries) -> Result<()> {
    let from = workspace.target.join(if binaries == Binaries::Debug { "debug" } else { "release" });
    if folder.exists() {
        fs::remove_dir_all(folder).with_context(|| format!("could not remove \"{}\"", folder.display()))?;
    }
    fs::create_dir_all(folder).with_context(|| format!("could not make \"{}\"", folder.display()))?;
    let mut found = 0;
    for entry in fs::read_dir(&from).with_context(|| format!("could not list \"{}\"", from.display()))? {
        let path = entry?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let ours = name == "iris" || name == "instance" || name.starts_with("instance-");
        if ours && path.is_file() && path.extension().is_none() {
            command::run(Command::new("strip").arg("-o").arg(folder.join(&name)).arg(&path))?;
            found += 1;
        }
    }
    ensure!(found > 2, "there are no programs in \"{}\"; build them first", from.display());
    Ok(())
}

fn nats(workspace: &Workspace, engine: &Engine, folder: &Path, name: &str) -> Result<()> {
    fs::create_dir_all(folder).with_context(|| format!("could not make \"{}\"", folder.display()))?;
    let server = nats_server::find(workspace)?;
    fs::copy(&server, folder.join("nats-server"))
        .with_context(|| format!("could not copy \"{}\"", server.display()))?;
    let mut build = engine.docker(&["build", "--quiet", "--tag", name, "--file", "-"]);
    let mut build = build.arg(folder).stdin(Stdio::piped()).spawn().context("could not run docker build")?;
    let file = format!("FROM {BASE}\nCOPY nats-server /usr/local/bin/nats-server\n");
    build.stdin.take().context("docker build reads")?.write_all(file.as_bytes())?;
    ensure!(build.wait()?.success(), "could not make the image of nats-server");
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_mirror_is_what_stands_before_the_pool() {
        let told = "'http://mirror.example/debian/pool/main/h/hostname/hostname_3_amd64.deb' hostname_3_amd64.deb 1 x";
        assert_eq!(mirror_of(told).as_deref(), Some("http://mirror.example/debian"));
        assert_eq!(mirror_of("E: no package"), None);
    }
}
