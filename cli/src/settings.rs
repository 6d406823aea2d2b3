//! Where the bus and language models are: user file, `--config`, environment, flags; later ones win.
//!
//! The files are those of the services: the tables `[nats]` and `[model]`, also under `[default]`, `[<profile>]` and `[global]`.
//! Other tables are theirs and left alone.

use std::{
    env, fs,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result};
use instance_bus::{Resolved, Settings};
use serde::Deserialize as _;
use toml::Table;

use crate::{
    exit::{Exit, Stop},
    session::Global,
};

const PREFIX: &str = "INSTANCE_NATS__";

/// Reads everything that says where NATS is and who we are there.
pub fn bus(global: &Global) -> Result<Resolved> {
    let user_file = user_file(&|name| env::var(name).ok()).filter(|path| path.exists());
    let files: Vec<PathBuf> = user_file.into_iter().chain(global.config.clone()).collect();
    let variables: Vec<(String, String)> = env::vars().collect();
    resolve(&files, &variables, global)
        .map_err(|error| Stop::new(Exit::BadConfiguration, told(&error)).into())
}

/// Where language models are, and within which limits they are asked: the table `[model]`, or `[<service>.model]` as that
/// service reads it.
pub fn model(global: &Global, service: Option<&str>) -> Result<instance_llm::Settings> {
    let user_file = user_file(&|name| env::var(name).ok()).filter(|path| path.exists());
    let files: Vec<PathBuf> = user_file.into_iter().chain(global.config.clone()).collect();
    let variables: Vec<(String, String)> = env::vars().collect();
    let read = || -> Result<instance_llm::Settings> {
        let table = match service {
            None => layered(&files, &variables, "model")?,
            Some(service) => match layered(&files, &variables, service)?.remove("model") {
                Some(toml::Value::Table(table)) => table,
                _ => Table::new(),
            },
        };
        instance_llm::Settings::deserialize(toml::Value::Table(table)).context("settings of language models")
    };
    read().map_err(|error| Stop::new(Exit::BadConfiguration, told(&error)).into())
}

/// On one line: what TOML says of a fault ends with a line end.
fn told(error: &anyhow::Error) -> String {
    format!("could not read the settings: {error:#}").trim_end().to_owned()
}

/// One table of the files: plain, then under `[default]`, the profile and `[global]`; later ones win.
fn layered(files: &[PathBuf], variables: &[(String, String)], name: &str) -> Result<Table> {
    let profile = variables.iter().find(|(key, value)| key == "INSTANCE_PROFILE" && !value.is_empty());
    let read: Vec<Table> = files.iter().map(|path| table_of(path)).collect::<Result<_>>()?;
    let mut merged = Table::new();
    let layers = [None, Some("default"), profile.map(|(_, name)| name.as_str()), Some("global")];
    for (index, layer) in layers.into_iter().enumerate().filter(|(at, layer)| *at == 0 || layer.is_some()) {
        for file in &read {
            let within = match layer {
                _ if index == 0 => Some(file),
                layer => file.get(layer.unwrap_or_default()).and_then(|it| it.as_table()),
            };
            if let Some(table) = within.and_then(|within| within.get(name)).and_then(|it| it.as_table()) {
                merged.extend(table.clone());
            }
        }
    }
    Ok(merged)
}

fn resolve(files: &[PathBuf], variables: &[(String, String)], global: &Global) -> Result<Resolved> {
    let lookup = |name: &str| variables.iter().find(|(key, _)| key == name).map(|(_, value)| value.clone());
    let mut nats = layered(files, variables, "nats")?;
    for (name, value) in variables.iter().filter(|(_, value)| !value.is_empty()) {
        if let Some(key) = name.strip_prefix(PREFIX) {
            nats.insert(key.to_lowercase(), value.as_str().into());
        }
    }
    for (key, value) in [("url", &global.nats), ("context", &global.context)] {
        if let Some(value) = value {
            nats.insert(key.to_owned(), value.as_str().into());
        }
    }
    // A context that is named on the command line must not lose to an address from elsewhere.
    if global.context.is_some() && global.nats.is_none() {
        nats.remove("url");
        let without_url = |name: &str| if name == "NATS_URL" { None } else { lookup(name) };
        return Ok(settings(nats)?.resolve(&without_url)?);
    }
    Ok(settings(nats)?.resolve(&lookup)?)
}

fn settings(nats: Table) -> Result<Settings> {
    Settings::deserialize(toml::Value::Table(nats)).context("table [nats]")
}

fn table_of(path: &Path) -> Result<Table> {
    let text = fs::read_to_string(path).with_context(|| format!("could not read \"{}\"", path.display()))?;
    text.parse().with_context(|| format!("\"{}\" is no TOML", path.display()))
}

fn user_file(variable: &dyn Fn(&str) -> Option<String>) -> Option<PathBuf> {
    let set = |name: &str| variable(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    let folder = set("XDG_CONFIG_HOME").or_else(|| Some(set("HOME")?.join(".config")))?;
    Some(folder.join("instance/config.toml"))
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        global: Global,
    }

    fn servers(file: &str, variables: &[(&str, &str)], line: &[&str]) -> Result<String> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("config.toml");
        fs::write(&path, file).unwrap();
        let line = Line::parse_from(["instance"].iter().chain(line));
        let owned = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
        let variables: Vec<_> = variables.iter().map(owned).collect();
        Ok(resolve(&[path], &variables, &line.global)?.servers())
    }

    const FILE: &str = "[nats]\nurl = 'nats://plain:1'\n[production.nats]\nurl = 'nats://production:1'\n[router]\nname = 'r'\n";

    #[test]
    fn later_sources_win() {
        assert_eq!(servers("", &[], &[]).unwrap(), "nats://127.0.0.1:4222");
        assert_eq!(servers("", &[("NATS_URL", "nats://usual:1")], &[]).unwrap(), "nats://usual:1");
        assert_eq!(servers(FILE, &[("NATS_URL", "nats://usual:1")], &[]).unwrap(), "nats://plain:1");
        let production = ("INSTANCE_PROFILE", "production");
        assert_eq!(servers(FILE, &[production], &[]).unwrap(), "nats://production:1");
        let ours = ("INSTANCE_NATS__URL", "nats://ours:1");
        assert_eq!(servers(FILE, &[production, ours], &[]).unwrap(), "nats://ours:1");
        assert_eq!(servers(FILE, &[ours], &["--nats", "nats://u:p@flag:1"]).unwrap(), "nats://flag:1");
    }

    #[test]
    fn what_cannot_be_used_is_told() {
        for (file, told) in [("nats = [", "is no TOML"), ("[nats]\nurll = 'x'\n", "urll")] {
            let error = format!("{:#}", servers(file, &[], &[]).unwrap_err());
            assert!(error.contains(told), "{error}");
        }
    }
}
