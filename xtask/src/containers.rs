//! `cargo xtask containers`: compose.yaml on a real container engine, one remediation through it, and a container killed
//! in the middle.
//!
//! Nothing is pulled: the base image is made with debootstrap, our programs and nats-server are copied in.

#[cfg(test)]
mod compiled_in;
mod engine; // Where containers can run, or why not.
mod images;
mod story; // What must come of it.

use std::net::TcpListener;
use std::process::Command;
use std::time::Instant;

use anyhow::{Context, Result, ensure};

use self::engine::{Engine, Found};
pub use self::images::Binaries;
use crate::ci::Outcome;
use crate::command;
use crate::workspace::Workspace;

/// Of its own, so that nothing else on this engine is touched.
const PROJECT: &str = "instance-try";

#[derive(clap::Args)]
pub struct Options {
    /// Which programs go into the images: those of `target/debug` or of `target/release`, as they are.
    #[arg(long, value_enum, default_value = "release")]
    pub binaries: Binaries,
    /// Leave the containers up, to look at them.
    #[arg(long)]
    pub keep: bool,
}

/// Bring it up, break it, judge it, take it down. Where no engine can run it says so: that is skipped, not passed.
pub fn run(workspace: &Workspace, options: &Options) -> Result<Outcome> {
    let folder = workspace.target.join("containers");
    std::fs::create_dir_all(&folder).with_context(|| format!("could not make \"{}\"", folder.display()))?;
    let engine = match engine::find(&folder)? {
        Found::Engine(engine) => engine,
        Found::None(why) => {
            return Ok(Outcome::skipped(format!("no container was started, because {why}")));
        }
    };
    println!("engine: {}", engine.version()?);
    let started = Instant::now();
    if let Err(why) = images::base(&engine, &folder.join("debian")) {
        return Ok(Outcome::skipped(format!(
            "no container was started, because the base image could not be made or run: {why:#}"
        )));
    }
    let images = images::make(workspace, &engine, &folder, options.binaries)?;
    println!("images made in {:.0} s", started.elapsed().as_secs_f64());
    let compose = Compose::new(workspace, engine, &images, &folder)?;
    // What a run that was killed has left.
    compose.down()?;
    let outcome = story::tell(&compose);
    if let Err(error) = &outcome {
        eprintln!("xtask: {error:#}");
        // The end of what each has said; why it went wrong stands there.
        let _ = compose.run(&["logs", "--no-color", "--tail", "40"]);
    }
    if !options.keep {
        compose.down()?;
        let left = compose.engine.capture(&["ps", "-aq", "--filter", &format!("name={PROJECT}")])?;
        ensure!(left.trim().is_empty(), "containers were left behind: {left}");
        println!("down, and nothing is left");
    }
    outcome.map(|()| Outcome::Passed)
}

/// compose.yaml on an engine, with everything that differs from a first try by hand.
pub struct Compose {
    pub engine: Engine,
    file: std::path::PathBuf,
    variables: Vec<(&'static str, String)>,
}

impl Compose {
    fn new(
        workspace: &Workspace,
        engine: Engine,
        images: &images::Images,
        folder: &std::path::Path,
    ) -> Result<Self> {
        let secrets = folder.join("secrets");
        if secrets.exists() {
            // Roles may have come since.
            std::fs::remove_dir_all(&secrets).context("could not remove former passwords")?;
        }
        command::run(Command::new(workspace.root.join("deploy/nats/new-passwords")).arg(&secrets))?;
        let port =
            || Ok::<_, std::io::Error>(TcpListener::bind(("127.0.0.1", 0))?.local_addr()?.port().to_string());
        let variables = vec![
            ("INSTANCE_IMAGE", images.runtime.clone()),
            ("INSTANCE_STAND_IN_IMAGE", images.stand_in.clone()),
            ("NATS_IMAGE", images.nats.clone()),
            ("INSTANCE_SECRETS", secrets.display().to_string()),
            ("NATS_PORT", port()?),
            ("GATEWAY_PORT", port()?),
        ];
        Ok(Self { engine, file: workspace.root.join("compose.yaml"), variables })
    }

    /// A command of compose; its output goes where ours goes.
    pub fn run(&self, words: &[&str]) -> Result<()> {
        command::run(&mut self.command(words))
    }

    /// A command of compose, and what it printed.
    pub fn capture(&self, words: &[&str]) -> Result<String> {
        command::capture(&mut self.command(words))
    }

    /// As [`Compose::capture`], whatever it ended with.
    pub fn printed(&self, words: &[&str]) -> Result<String> {
        let output = self.command(words).output().context("could not run docker-compose")?;
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }

    /// The container of a service.
    pub fn container(&self, service: &str) -> Result<String> {
        let id = self.capture(&["ps", "-q", service])?;
        let id = id.trim().to_owned();
        ensure!(!id.is_empty(), "service \"{service}\" has no container");
        Ok(id)
    }

    pub fn command(&self, words: &[&str]) -> Command {
        let mut compose = Command::new(&self.engine.compose);
        compose.args(["--project-name", PROJECT, "--file"]).arg(&self.file).args(words);
        compose.env("DOCKER_HOST", &self.engine.host).envs(self.variables.iter().cloned());
        compose
    }

    fn down(&self) -> Result<()> {
        self.run(&["down", "--volumes", "--remove-orphans", "--timeout", "20"])
    }
}
