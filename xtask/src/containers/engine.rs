//! A container engine: the one that runs here, or one of our own, started for this and ended after it.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::time::{Duration, Instant};
use std::{env, fs};

use anyhow::{Context, Result, ensure};

use crate::command;

/// What Debian calls what we need.
const PACKAGES: [&str; 3] = ["docker.io", "docker-compose", "debootstrap"];
const START_LIMIT: Duration = Duration::from_mins(1);
const END_LIMIT: Duration = Duration::from_mins(1);
const POLL: Duration = Duration::from_millis(200);

/// An engine that answers.
pub struct Engine {
    /// As in DOCKER_HOST.
    pub host: String,
    /// The command `docker` whose `build` speaks BuildKit without a plugin.
    pub docker: PathBuf,
    pub compose: PathBuf,
    /// Ended with this value.
    _daemon: Option<Daemon>,
}

pub enum Found {
    Engine(Engine),
    /// Why there is none.
    None(String),
}

/// The engine of this machine, or one of our own below `folder`.
pub fn find(folder: &Path) -> Result<Found> {
    if let Some(why) = install_what_is_missing()? {
        return Ok(Found::None(why));
    }
    let (Some(compose), Some(docker)) = (on_path("docker-compose"), docker_with_buildkit()) else {
        return Ok(Found::None(
            "there is no docker-compose, or no docker whose build knows BuildKit".to_owned(),
        ));
    };
    let named = env::var("DOCKER_HOST").ok().filter(|host| !host.is_empty());
    let usual = named.unwrap_or_else(|| "unix:///var/run/docker.sock".to_owned());
    if answers(&docker, &usual) {
        return Ok(Found::Engine(Engine { host: usual, docker, compose, _daemon: None }));
    }
    let Some(dockerd) = on_path("dockerd") else {
        return Ok(Found::None(format!("no engine answers at {usual}, and there is no dockerd to start")));
    };
    if !is_root() {
        return Ok(Found::None(format!("no engine answers at {usual}, and only root may start one")));
    }
    Ok(match Daemon::start(&dockerd, &folder.join("engine"), &docker)? {
        Ok((daemon, host)) => Found::Engine(Engine { host, docker, compose, _daemon: Some(daemon) }),
        Err(why) => Found::None(why),
    })
}

impl Engine {
    pub fn docker(&self, words: &[&str]) -> Command {
        let mut docker = Command::new(&self.docker);
        docker.args(words).env("DOCKER_HOST", &self.host).env("DOCKER_BUILDKIT", "1");
        docker
    }

    pub fn capture(&self, words: &[&str]) -> Result<String> {
        command::capture(&mut self.docker(words))
    }

    pub fn version(&self) -> Result<String> {
        let docker = self.capture(&["version", "--format", "dockerd {{.Server.Version}}"])?;
        let compose = command::capture(Command::new(&self.compose).args(["version", "--short"]))?;
        Ok(format!("{}, docker-compose {}", docker.trim(), compose.trim()))
    }
}

/// A dockerd of our own.
struct Daemon {
    child: Child,
}

impl Daemon {
    /// Its images stay below `folder` for the next run. The inner error says why it cannot run here.
    fn start(dockerd: &Path, folder: &Path, docker: &Path) -> Result<Result<(Self, String), String>> {
        fs::create_dir_all(folder).with_context(|| format!("could not make \"{}\"", folder.display()))?;
        // The path of a socket is short; the target folder's may not be.
        let socket = env::temp_dir().join(format!("instance-docker-{}.sock", std::process::id()));
        let host = format!("unix://{}", socket.display());
        let log = folder.join("dockerd.log");
        let said = File::create(&log).with_context(|| format!("could not write \"{}\"", log.display()))?;
        let mut command = Command::new(dockerd);
        command.arg("--data-root").arg(folder.join("data")).arg("--exec-root").arg(folder.join("run"));
        command.arg("--pidfile").arg(folder.join("pid")).args(["--host", &host]);
        let child =
            command.stdout(said.try_clone()?).stderr(said).spawn().context("could not start dockerd")?;
        let mut daemon = Self { child };
        let deadline = Instant::now() + START_LIMIT;
        while Instant::now() < deadline {
            if let Some(status) = daemon.child.try_wait()? {
                let text = fs::read_to_string(&log).unwrap_or_default();
                let last = text.lines().last().unwrap_or_default();
                return Ok(Err(format!("dockerd ended with {status}: {last}")));
            }
            if answers(docker, &host) {
                return Ok(Ok((daemon, host)));
            }
            std::thread::sleep(POLL);
        }
        Ok(Err(format!("dockerd did not answer within {} s", START_LIMIT.as_secs())))
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        // Asked, it takes its containerd along.
        let asked = Command::new("kill").args(["-TERM", &self.child.id().to_string()]).status();
        let deadline = Instant::now() + END_LIMIT;
        while asked.is_ok() && Instant::now() < deadline {
            if matches!(self.child.try_wait(), Ok(Some(_)) | Err(_)) {
                return;
            }
            std::thread::sleep(POLL);
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Debian's packages, where we may install them; else why not.
fn install_what_is_missing() -> Result<Option<String>> {
    let programs = ["docker", "docker-compose", "debootstrap"];
    let missing: Vec<&str> = programs.into_iter().filter(|name| on_path(name).is_none()).collect();
    if missing.is_empty() {
        return Ok(None);
    }
    let Some(apt_get) = on_path("apt-get").filter(|_| is_root()) else {
        return Ok(Some(format!(
            "{} is not on this machine, and only root on Debian may install it",
            missing.join(", ")
        )));
    };
    eprintln!("xtask: installing {} with apt-get", PACKAGES.join(", "));
    let apt = |words: &[&str]| -> Result<bool> {
        let mut apt = Command::new(&apt_get);
        // Runlevel 1: the package's own service is not started.
        apt.args(words).env("DEBIAN_FRONTEND", "noninteractive").env("RUNLEVEL", "1");
        Ok(apt.output().context("could not run apt-get")?.status.success())
    };
    let install = [&["install", "--quiet=2", "--yes", "--no-install-recommends"][..], &PACKAGES].concat();
    if apt(&["update", "--quiet=2"])? && apt(&install)? {
        ensure!(on_path("dockerd").is_some(), "docker.io was installed, and dockerd is not on PATH");
        return Ok(None);
    }
    Ok(Some(format!("apt-get could not install {}", PACKAGES.join(", "))))
}

/// From version 23 on `docker build` wants a plugin for what version 20 does by itself.
fn docker_with_buildkit() -> Option<PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    env::split_paths(&path).map(|folder| folder.join("docker")).filter(|file| file.is_file()).find(|docker| {
        let ends_well = |words: &[&str]| {
            Command::new(docker).args(words).output().ok().filter(|output| output.status.success())
        };
        ends_well(&["buildx", "version"]).is_some()
            || ends_well(&["--version"]).is_some_and(|output| {
                String::from_utf8_lossy(&output.stdout).starts_with("Docker version 20.")
            })
    })
}

fn answers(docker: &Path, host: &str) -> bool {
    let asked = Command::new(docker)
        .args(["version", "--format", "{{.Server.Version}}"])
        .env("DOCKER_HOST", host)
        .output();
    asked.is_ok_and(|output| output.status.success())
}

fn is_root() -> bool {
    fs::metadata("/proc/self").is_ok_and(|own| std::os::unix::fs::MetadataExt::uid(&own) == 0)
}

fn on_path(name: &str) -> Option<PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    env::split_paths(&path).map(|folder| folder.join(name)).find(|file| file.is_file())
}
