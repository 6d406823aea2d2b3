//! `instance config`: the settings of the services on this machine, told by the services themselves.
//!
//! Each service knows its own settings, their rules and where every value came from. This command finds the programs beside
//! itself and asks them, so a new service needs no line here.

mod check;
mod schema;
mod show;

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::{Command, Output},
};

use anyhow::{Context as _, Result};
use clap::Subcommand;

use crate::{
    exit::{Exit, Stop},
    session::Session,
};

/// What is shipped beside us and has no settings of this kind.
const OTHERS: [&str; 1] = ["iris-sim"];
const PREFIX: &str = "instance-";
pub const PROFILES: [&str; 4] = ["development", "staging", "production", "testing"];

#[derive(Debug, clap::Args)]
#[command(arg_required_else_help = true)]
pub struct Args {
    #[command(subcommand)]
    command: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// The settings in force, and where each came from
    #[command(after_help = show::EXAMPLES)]
    Show(show::Args),
    /// Everything that is wrong with them, in every profile
    #[command(after_help = check::EXAMPLES)]
    Check(check::Args),
    /// The JSON Schema of a service's settings file
    #[command(after_help = schema::EXAMPLES)]
    Schema(schema::Args),
}

/// Which services, and where their files are.
#[derive(Debug, clap::Args)]
pub struct Which {
    /// Services; all that lie beside this program without any
    #[arg(value_name = "SERVICE")]
    services: Vec<String>,
    /// Folder with one file a service, `router.toml` and so on [default: /etc/instance, which is always read first]
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,
}

pub fn run(args: &Args, session: &Session) -> Result<Exit> {
    match &args.command {
        Verb::Show(args) => show::run(args, session),
        Verb::Check(args) => check::run(args, session),
        Verb::Schema(args) => schema::run(args, session),
    }
}

/// A service that can be asked.
pub struct Service {
    pub name: String,
    program: PathBuf,
    file: Option<PathBuf>,
}

impl Service {
    /// The program with the settings file that is meant, and without a profile that nobody named here.
    pub fn ask(&self, profile: Option<&str>, words: &[&str]) -> Result<Output> {
        let mut program = Command::new(&self.program);
        if let Some(file) = &self.file {
            program.arg("--config").arg(file);
        }
        if let Some(profile) = profile {
            program.args(["--profile", profile]);
        }
        program.args(words).output().with_context(|| format!("could not run \"{}\"", self.program.display()))
    }
}

impl Which {
    /// The services that are meant, in the order of their names.
    pub fn services(&self, session: &Session) -> Result<Vec<Service>> {
        let own = env::current_exe().context("could not tell where this program is")?;
        let beside = own.parent().context("this program lies in no folder")?;
        let known = programs(beside)?;
        let names = if self.services.is_empty() { &known } else { &self.services };
        names.iter().map(|name| self.service(name, &known, beside, session)).collect()
    }

    fn service(&self, name: &str, known: &[String], beside: &Path, session: &Session) -> Result<Service> {
        let name = name.strip_prefix(PREFIX).unwrap_or(name).to_owned();
        if !known.contains(&name) {
            let text = format!("there is no service \"{name}\" beside this program");
            return Err(Stop::new(Exit::NotFound, text)
                .next(format!("there are: {}", known.join(", ")))
                .into());
        }
        let file = match (&self.dir, &session.global.config) {
            (Some(folder), _) => Some(folder.join(format!("{name}.toml"))),
            (None, file) => file.clone(),
        };
        Ok(Service { program: beside.join(format!("{PREFIX}{name}")), name, file })
    }
}

/// The services whose programs lie in a folder.
fn programs(folder: &Path) -> Result<Vec<String>> {
    let entries = fs::read_dir(folder).with_context(|| format!("could not list \"{}\"", folder.display()))?;
    let mut names: Vec<String> = entries
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|path| path.is_file() && path.extension().is_none())
        .filter_map(|path| Some(path.file_name()?.to_str()?.strip_prefix(PREFIX)?.to_owned()))
        .filter(|name| !OTHERS.contains(&name.as_str()))
        .collect();
    names.sort();
    Ok(names)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn services_are_the_programs_beside_us() {
        let folder = tempfile::tempdir().unwrap();
        for name in
            ["instance", "instance-router", "instance-router.d", "instance-iris-sim", "iris", "instance-a"]
        {
            fs::write(folder.path().join(name), "").unwrap();
        }
        assert_eq!(programs(folder.path()).unwrap(), ["a", "router"]);
    }
}
