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
    resolve(&files(global), &variables(), global).map_err(|error| refused(&error))
}

/// A server of NATS that somebody has named, and what services need to be told to be somebody there.
pub struct Named {
    /// May hold a password.
    pub url: String,
    /// Where it was said, as the operator knows it.
    pub by: String,
    /// What the table `[nats]` says beside the address. Files and names only: no secret.
    pub identity: Table,
    pub resolved: Resolved,
}

/// The server that flags, variables, files or a NATS context among these name; `None`: nobody has named one.
pub fn named(global: &Global) -> Result<Option<Named>> {
    find_named(&files(global), &variables(), global).map_err(|error| refused(&error))
}

/// The user's file, where there is one, and the one that the command line names.
fn files(global: &Global) -> Vec<PathBuf> {
    let user_file = user_file(&|name| env::var(name).ok()).filter(|path| path.exists());
    user_file.into_iter().chain(global.config.clone()).collect()
}

/// Our environment. A variable that is not UTF-8 cannot be one of ours.
fn variables() -> Vec<(String, String)> {
    env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
        .collect()
}

fn refused(error: &anyhow::Error) -> anyhow::Error {
    Stop::new(Exit::BadConfiguration, told(error)).into()
}

/// Where language models are, and within which limits they are asked: the table `[model]`, or `[<service>.model]` as that
/// service reads it.
pub fn model(global: &Global, service: Option<&str>) -> Result<instance_llm::Settings> {
    let files = files(global);
    let variables = variables();
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
    read().map_err(|error| refused(&error))
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
                merge(&mut merged, table);
            }
        }
    }
    Ok(merged)
}

/// As the services merge: tables key by key; anything else, a list too, is replaced.
fn merge(under: &mut Table, over: &Table) {
    for (key, value) in over {
        match (under.get_mut(key), value) {
            (Some(toml::Value::Table(below)), toml::Value::Table(above)) => merge(below, above),
            _ => {
                under.insert(key.clone(), value.clone());
            }
        }
    }
}

fn resolve(files: &[PathBuf], variables: &[(String, String)], global: &Global) -> Result<Resolved> {
    let nats = nats_table(files, variables, global)?;
    Ok(settings(nats)?.resolve(&|name| variable(variables, global, name))?)
}

/// The table `[nats]` with what variables and flags say of it.
fn nats_table(files: &[PathBuf], variables: &[(String, String)], global: &Global) -> Result<Table> {
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
    if context_decides(global) {
        nats.remove("url");
    }
    Ok(nats)
}

/// A context that is named on the command line must not lose to an address from elsewhere.
fn context_decides(global: &Global) -> bool {
    global.context.is_some() && global.nats.is_none()
}

/// A variable of `NATS_*`, or of where files lie. An empty one counts as unset.
fn variable(variables: &[(String, String)], global: &Global, name: &str) -> Option<String> {
    if name == "NATS_URL" && context_decides(global) {
        return None;
    }
    let found = variables.iter().find(|(key, value)| key == name && !value.is_empty());
    found.map(|(_, value)| value.clone())
}

fn find_named(files: &[PathBuf], variables: &[(String, String)], global: &Global) -> Result<Option<Named>> {
    // First: what cannot be used is told by it.
    let resolved = resolve(files, variables, global)?;
    let mut identity = nats_table(files, variables, global)?;
    let lookup = |name: &str| variable(variables, global, name);
    let text = |value: toml::Value| value.as_str().map(str::to_owned);
    let of_table = identity.remove("url").and_then(text);
    // The name of a connection is its own.
    identity.remove("name");
    let context = identity.get("context").cloned().and_then(text).or_else(|| lookup("NATS_CONTEXT"));
    let address = match of_table {
        Some(url) => Some((url, place_of_url(files, variables, global))),
        None => lookup("NATS_URL").map(|url| (url, "NATS_URL".to_owned())),
    };
    if let Some(context) = &context {
        identity.insert("context".to_owned(), context.as_str().into());
    }
    let of_context = |context: String| {
        let url = url_of_context(&lookup, &context).unwrap_or_else(|| resolved.servers());
        (url, format!("the NATS context \"{context}\""))
    };
    let found = address.or_else(|| context.map(of_context));
    Ok(found.map(|(url, by)| Named { url, by, identity, resolved }))
}

/// Who has put an address into the table `[nats]`.
fn place_of_url(files: &[PathBuf], variables: &[(String, String)], global: &Global) -> String {
    if global.nats.is_some() {
        return "--nats".to_owned();
    }
    let ours = |(name, value): &&(String, String)| {
        !value.is_empty() && name.strip_prefix(PREFIX).is_some_and(|key| key.eq_ignore_ascii_case("url"))
    };
    if let Some((name, _)) = variables.iter().find(ours) {
        return name.clone();
    }
    let files: Vec<String> = files.iter().map(|path| format!("\"{}\"", path.display())).collect();
    format!("a table [nats] in {}", files.join(" or "))
}

/// The context that the `nats` command has selected. It is no order to us: who merely looks at a site has one, too.
pub fn selected() -> Option<String> {
    selected_context(&|name| env::var(name).ok())
}

fn selected_context(variable: &dyn Fn(&str) -> Option<String>) -> Option<String> {
    let name = fs::read_to_string(config_folder(variable)?.join("nats/context.txt")).ok()?;
    Some(name.trim().to_owned()).filter(|name| !name.is_empty())
}

/// The address in a context, with the user name that it may hold. Its name must have been resolved before: then it leads
/// nowhere else.
fn url_of_context(variable: &dyn Fn(&str) -> Option<String>, name: &str) -> Option<String> {
    let file = config_folder(variable)?.join("nats/context").join(format!("{name}.json"));
    let context: serde_json::Value = serde_json::from_slice(&fs::read(file).ok()?).ok()?;
    context["url"].as_str().filter(|url| !url.is_empty()).map(str::to_owned)
}

fn settings(nats: Table) -> Result<Settings> {
    Settings::deserialize(toml::Value::Table(nats)).context("table [nats]")
}

fn table_of(path: &Path) -> Result<Table> {
    let text = fs::read_to_string(path).with_context(|| format!("could not read \"{}\"", path.display()))?;
    text.parse().with_context(|| format!("\"{}\" is no TOML", path.display()))
}

fn user_file(variable: &dyn Fn(&str) -> Option<String>) -> Option<PathBuf> {
    Some(config_folder(variable)?.join("instance/config.toml"))
}

fn config_folder(variable: &dyn Fn(&str) -> Option<String>) -> Option<PathBuf> {
    let set = |name: &str| variable(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    set("XDG_CONFIG_HOME").or_else(|| Some(set("HOME")?.join(".config")))
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

    /// The address, who has named it, and the context that goes with it.
    fn found(home: &Path, variables: &[(&str, &str)], line: &[&str]) -> Option<(String, String, String)> {
        let line = Line::parse_from(["instance"].iter().chain(line));
        let home = ("XDG_CONFIG_HOME", home.to_str().unwrap());
        let owned = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
        let variables: Vec<_> = variables.iter().chain([&home]).map(owned).collect();
        let named = find_named(&[], &variables, &line.global).unwrap()?;
        let context = named.identity.get("context").and_then(toml::Value::as_str).unwrap_or_default();
        Some((named.url, named.by, context.to_owned()))
    }

    #[test]
    fn who_has_named_a_server_is_known_and_nobody_is_nobody() {
        let home = tempfile::tempdir().unwrap();
        fs::create_dir_all(home.path().join("nats/context")).unwrap();
        fs::write(home.path().join("nats/context/site.json"), r#"{"url":"nats://u:p@site:1"}"#).unwrap();
        let told = |variables: &[(&str, &str)], line: &[&str]| {
            let (url, by, context) = found(home.path(), variables, line)?;
            Some(format!("{url} {by} {context}"))
        };
        let (ours, usual) = (("INSTANCE_NATS__URL", "nats://ours:1"), ("NATS_URL", "nats://usual:1"));
        assert_eq!(told(&[("NATS_URL", ""), ("NATS_CREDS", "/x")], &[]), None);
        let flag = told(&[ours, usual], &["--nats", "nats://flag:1"]);
        assert_eq!(flag.unwrap(), "nats://flag:1 --nats ");
        assert_eq!(told(&[ours, usual], &[]).unwrap(), "nats://ours:1 INSTANCE_NATS__URL ");
        assert_eq!(told(&[usual], &[]).unwrap(), "nats://usual:1 NATS_URL ");
        let site = "nats://u:p@site:1 the NATS context \"site\" site";
        assert_eq!(told(&[ours, usual], &["--context", "site"]).unwrap(), site);
        assert_eq!(told(&[("NATS_CONTEXT", "site")], &[]).unwrap(), site);
        fs::write(home.path().join("nats/context.txt"), "site\n").unwrap();
        // What is merely selected names nothing.
        assert_eq!(told(&[], &[]), None);
        assert_eq!(told(&[usual], &[]).unwrap(), "nats://usual:1 NATS_URL ");
    }

    #[test]
    fn a_profile_adds_to_a_table_and_replaces_lists_and_values() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("analyst.toml");
        let text = "[analyst.model]\nfolder = 'a'\nlist = [1, 2]\n[analyst.model.cache]\nenabled = true\nentries = 1\n\
            [[analyst.model.providers]]\nname = 'main'\n[production.analyst.model]\nlist = [3]\n\
            [production.analyst.model.cache]\nentries = 2\n";
        fs::write(&path, text).unwrap();
        let production = ("INSTANCE_PROFILE".to_owned(), "production".to_owned());
        let merged = layered(&[path], &[production], "analyst").unwrap();
        let expected = "[model]\nfolder = 'a'\nlist = [3]\n[model.cache]\nenabled = true\nentries = 2\n\
            [[model.providers]]\nname = 'main'\n";
        assert_eq!(merged, expected.parse::<Table>().unwrap());
    }

    #[test]
    fn what_cannot_be_used_is_told() {
        for (file, told) in [("nats = [", "is no TOML"), ("[nats]\nurll = 'x'\n", "urll")] {
            let error = format!("{:#}", servers(file, &[], &[]).unwrap_err());
            assert!(error.contains(told), "{error}");
        }
    }
}
