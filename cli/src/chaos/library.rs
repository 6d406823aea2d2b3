//! Which scenarios are meant: built in by name, or a file by its path.

use std::{fs, path::Path};

use anyhow::{Context as _, Result};
use instance_scenario::{Scenario, built_in, built_in_named};

use crate::exit::{Exit, Stop};

/// Which scenarios are played, and how.
#[derive(Debug, clap::Args)]
pub struct Chosen {
    /// Built-in scenarios, or files with their path
    #[arg(value_name = "NAME", conflicts_with = "all")]
    names: Vec<String>,
    /// All that are built in
    #[arg(long)]
    pub all: bool,
    /// Chooses the numbers that a scenario leaves open
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub seed: u64,
    /// How many at a time
    #[arg(long, value_name = "N", default_value_t = 4)]
    pub jobs: usize,
}

impl Chosen {
    /// The named ones, or all that are built in.
    pub fn scenarios(&self) -> Result<Vec<Scenario>> {
        if self.all {
            return Ok(built_in().to_vec());
        }
        if self.names.is_empty() {
            let text = "name a scenario, or take all of them with --all";
            return Err(Stop::new(Exit::Usage, text).next("`instance chaos list` shows them").into());
        }
        self.names.iter().map(|name| one(name)).collect()
    }
}

/// A scenario by its name, or by the path of its file.
pub fn one(name: &str) -> Result<Scenario> {
    let is_path = name.contains('/') || Path::new(name).extension().is_some_and(|kind| kind == "toml");
    if is_path {
        return read(Path::new(name));
    }
    built_in_named(name).cloned().ok_or_else(|| {
        let text = format!("no scenario \"{name}\" is built in");
        let next = "`instance chaos list` shows them; a file of your own is named with its path";
        Stop::new(Exit::NotFound, text).next(next).into()
    })
}

/// A scenario file.
pub fn read(path: &Path) -> Result<Scenario> {
    let text = match fs::read_to_string(path) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            return Err(Stop::new(Exit::NotFound, format!("there is no file \"{}\"", path.display())).into());
        }
        Err(error) => return Err(error).with_context(|| format!("could not read \"{}\"", path.display())),
    };
    let name = path.file_stem().map(|stem| stem.to_string_lossy().into_owned()).unwrap_or_default();
    Scenario::read(&name, &text).map_err(|problem| Stop::new(Exit::BadConfiguration, problem).into())
}
