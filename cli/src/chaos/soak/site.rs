//! Many instances on one made-up host, and one pipeline for all of them.

use std::{
    ffi::OsString,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context as _, Result};
use instance_contract::InstanceName;
use instance_scenario::{Scenario, built_in};

use super::entries::{Entries, Logs};
use crate::{
    chaos::{
        pipeline::{Pipeline, Served},
        world::World,
    },
    up::instances::Found,
};

/// What a shell does when this process was killed.
const LAST: &str = "iris=\"$1\"; shift; for name; do \"$iris\" force \"$name\"; done";
/// The scenario whose world all of them have: an ordinary instance.
const ORDINARY: &str = "globals-too-small";

/// Where a soak plays.
#[derive(Debug)]
pub struct Site {
    folder: PathBuf,
    host: PathBuf,
    iris: PathBuf,
    instances: Vec<Found>,
    names: Vec<InstanceName>,
    seed: u64,
}

impl Site {
    /// Names them; nothing is made yet.
    pub fn make(folder: &Path, count: u16, seed: u64) -> Result<Self> {
        let root = folder.join("world");
        let words = (1..=count).map(|number| format!("SOAK{number:02}"));
        let (mut instances, mut names) = (Vec::new(), Vec::new());
        for word in words {
            names.push(word.parse().context("a name that was made here")?);
            instances.push(Found { folder: root.join("iris").join(&word), name: word });
        }
        Ok(Self {
            host: root.join("host"),
            iris: root.join("iris/bin/iris"),
            folder: folder.to_owned(),
            instances,
            names,
            seed,
        })
    }

    pub fn names(&self) -> Vec<InstanceName> {
        self.names.clone()
    }

    /// Makes and starts every instance.
    pub fn worlds(&self) -> Result<Vec<World>> {
        let ordinary = ordinary()?;
        let mut worlds = Vec::new();
        for (number, instance) in self.instances.iter().enumerate() {
            let seed = self.seed.wrapping_mul(1_000).wrapping_add(number as u64);
            let world = World::make(&self.folder.join("world"), &instance.name, ordinary, seed)?;
            world.start()?;
            worlds.push(world);
        }
        Ok(worlds)
    }

    /// The bus and every service.
    pub async fn start(&self) -> Result<Pipeline> {
        let mut last: Vec<OsString> = ["/bin/sh", "-c", LAST, "instance-soak"].map(OsString::from).into();
        last.push(self.iris.clone().into());
        last.extend(self.instances.iter().map(|instance| OsString::from(&instance.name)));
        let served = Served {
            iris: self.iris.clone(),
            host: self.host.clone(),
            instances: self.instances.clone(),
            tails: true,
            model: None,
            last,
        };
        Pipeline::start_for(&served, &self.folder.join("pipeline")).await?.ready().await
    }

    /// What every instance has written by now.
    pub fn written(&self) -> Result<Logs> {
        let written = self.instances.iter().zip(&self.names);
        written
            .map(|(instance, name)| Ok((name.clone(), Entries::of_logs(&instance.folder.join("mgr"))?)))
            .collect()
    }

    /// Ends every instance; one that is down already is left alone.
    pub fn end(&self) -> Result<()> {
        for instance in &self.instances {
            let mut force = Command::new(&self.iris);
            force.args(["force", &instance.name]).stdout(std::process::Stdio::null());
            force.status().with_context(|| format!("could not end \"{}\"", instance.name))?;
        }
        Ok(())
    }
}

fn ordinary() -> Result<&'static Scenario> {
    built_in()
        .iter()
        .find(|scenario| scenario.name == ORDINARY)
        .with_context(|| format!("no scenario \"{ORDINARY}\" is built in"))
}
