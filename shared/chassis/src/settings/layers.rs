//! Where values come from, and who wins: files, their profile tables, the environment, flags.

use std::collections::BTreeMap;
use std::fmt::Display;
use std::fs;
use std::path::{Path, PathBuf};

use figment::providers::{Format as _, Toml};
use figment::value::{Dict, Map, Value};
use figment::{Figment, Metadata, Profile, Provider};

use super::fault::{Fault, Faults, shown};
use super::nearest::nearest;
use crate::arguments::Assignment;

const PREFIX: &str = "INSTANCE_";
const PROFILE_VARIABLE: &str = "INSTANCE_PROFILE";
const PROFILES: [&str; 4] = ["development", "staging", "production", "testing"];
/// Tables of a file that hold for every profile: beneath the chosen one, and above it.
const BENEATH: &str = "default";
const ABOVE: &str = "global";
/// Keys that stand before the first table.
const COMMON_KEYS: [&str; 4] = ["host", "grace_seconds", "carriers", "dry_run"];
const SHARED_TABLES: [&str; 2] = ["nats", "telemetry"];

/// Everything a setting may come from.
#[derive(Debug, Clone, Default)]
pub(crate) struct Sources<'a> {
    /// Names the service's own table.
    pub service: &'a str,
    /// Read when it exists.
    pub system_file: Option<PathBuf>,
    /// Must exist.
    pub config_file: Option<PathBuf>,
    /// Beats `INSTANCE_PROFILE`.
    pub profile: Option<String>,
    /// The whole environment; only what is ours is read.
    pub environment: Vec<(String, String)>,
    pub assignments: Vec<Assignment>,
}

impl Sources<'_> {
    pub fn variable(&self, name: &str) -> Option<String> {
        self.environment.iter().find(|(known, _)| known == name).map(|(_, value)| value.clone())
    }

    fn tables(&self) -> [&str; 3] {
        [SHARED_TABLES[0], SHARED_TABLES[1], self.service]
    }
}

/// All sources in one tree, each value with its origin.
#[derive(Debug)]
pub(crate) struct Layered {
    figment: Figment,
    pub service: String,
    pub profile: Option<String>,
    /// What stood in the environment or behind a flag, letter by letter: a password `0123` is a text, whatever it looks
    /// like.
    texts: BTreeMap<String, String>,
}

impl Layered {
    pub fn collect(sources: &Sources<'_>, faults: &mut Faults) -> Self {
        let profile = chosen_profile(sources, faults);
        let mut layered = Self {
            figment: Figment::new(),
            service: sources.service.to_owned(),
            profile,
            texts: BTreeMap::new(),
        };
        let files = [(&sources.system_file, Presence::Optional), (&sources.config_file, Presence::Required)];
        let files: Vec<_> = files
            .into_iter()
            .filter_map(|(path, presence)| read_file(path.as_deref()?, presence, faults))
            .collect();
        let chosen = layered.profile.clone();
        let profiles = [None, Some(BENEATH), chosen.as_deref(), Some(ABOVE)];
        for (index, profile) in
            profiles.into_iter().enumerate().filter(|(at, name)| *at == 0 || name.is_some())
        {
            for file in &files {
                layered.add_file(file, if index == 0 { None } else { profile }, faults);
            }
        }
        // An empty variable counts as unset: compose files and units pass on what nobody filled in.
        for (name, value) in sources.environment.iter().filter(|(_, value)| !value.is_empty()) {
            if let Some(key) = variable_key(name, &sources.tables(), faults) {
                layered.add_text(&format!("environment {name}"), &key, value);
            }
        }
        for set in &sources.assignments {
            layered.add_text(&format!("flag {}", set.flag), &set.key, &set.value);
        }
        layered
    }

    /// A table of the tree, empty when nobody said anything; "" is what stands before the first table.
    pub fn table(&self, name: &str) -> Value {
        let found = if name.is_empty() { Some(self.common()) } else { self.figment.find_value(name).ok() };
        found.unwrap_or_else(|| Value::from(Dict::new()))
    }

    /// Where a value came from.
    pub fn origin(&self, value: &Value) -> String {
        let metadata = self.figment.get_metadata(value.tag());
        metadata.map_or_else(|| "settings".to_owned(), |metadata| metadata.name.to_string())
    }

    /// The text behind a value that came from the environment or a flag.
    pub fn text(&self, key: &str) -> Option<&str> {
        self.texts.get(key).map(String::as_str)
    }

    /// Refuses every table and key at the top that this service does not have.
    pub fn refuse_unknown_tables(&self, faults: &mut Faults) {
        let Ok(Value::Dict(_, tree)) = self.figment.find_value("") else { return };
        let service = self.service.as_str();
        let known = COMMON_KEYS.into_iter().chain(SHARED_TABLES).chain([service]);
        for (key, value) in tree.iter().filter(|(key, _)| !self.is_known(key)) {
            let hint = nearest(key, known.clone()).map_or_else(
                || format!("this service has the tables nats, telemetry and {service}"),
                |near| format!("did you mean \"{near}\"?"),
            );
            faults.add(Fault {
                origin: self.origin(innermost(value)),
                key: key.clone(),
                value: (!matches!(value, Value::Dict(..))).then(|| shown(key, value)),
                rule: format!("unknown key; {hint}"),
            });
        }
    }

    fn is_known(&self, key: &str) -> bool {
        COMMON_KEYS.contains(&key) || SHARED_TABLES.contains(&key) || key == self.service
    }

    fn common(&self) -> Value {
        let found = COMMON_KEYS
            .into_iter()
            .filter_map(|key| Some((key.to_owned(), self.figment.find_value(key).ok()?)));
        Value::from(found.collect::<Dict>())
    }

    fn add_file(&mut self, file: &File, profile: Option<&str>, faults: &mut Faults) {
        let (origin, values) = match profile {
            None => (file.origin.clone(), file.plain()),
            Some(name) => match file.values.get(name) {
                None => return,
                Some(Value::Dict(_, values)) => (format!("{} [{name}]", file.origin), values.clone()),
                Some(other) => {
                    faults.add(Fault {
                        origin: file.origin.clone(),
                        key: name.to_owned(),
                        value: Some(shown(name, other)),
                        rule: "a profile is a table".to_owned(),
                    });
                    return;
                }
            },
        };
        self.add(Layer { origin, values });
    }

    fn add_text(&mut self, origin: &str, key: &str, text: &str) {
        let Ok(value) = text.parse::<Value>();
        self.texts.insert(key.to_owned(), text.to_owned());
        if let Value::Dict(_, values) = figment::util::nest(key, value) {
            self.add(Layer { origin: origin.to_owned(), values });
        }
    }

    fn add(&mut self, layer: Layer) {
        self.figment = std::mem::take(&mut self.figment).merge(layer);
    }
}

/// One source, with its name on every value.
struct Layer {
    origin: String,
    values: Dict,
}

impl Provider for Layer {
    fn metadata(&self) -> Metadata {
        Metadata::named(self.origin.clone())
    }

    fn data(&self) -> Result<Map<Profile, Dict>, figment::Error> {
        Ok(Map::from([(Profile::Default, self.values.clone())]))
    }
}

struct File {
    origin: String,
    values: Dict,
}

impl File {
    /// What holds for every profile: everything that is not a profile's table.
    fn plain(&self) -> Dict {
        let of_profile = |key: &str| PROFILES.contains(&key) || key == BENEATH || key == ABOVE;
        self.values
            .iter()
            .filter(|(key, _)| !of_profile(key))
            .map(|(key, value)| (key.clone(), value.clone()))
            .collect()
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Presence {
    Optional,
    Required,
}

fn read_file(path: &Path, presence: Presence, faults: &mut Faults) -> Option<File> {
    let origin = format!("file \"{}\"", path.display());
    let mut refuse = |rule: &dyn Display| {
        let rule = rule.to_string().trim_end().replace('\n', " ");
        faults.add(Fault { origin: origin.clone(), key: String::new(), value: None, rule });
    };
    let text = match fs::read_to_string(path) {
        Ok(text) => text,
        Err(error) if presence == Presence::Optional && error.kind() == std::io::ErrorKind::NotFound => {
            return None;
        }
        Err(error) => {
            refuse(&format_args!("could not read it: {error}"));
            return None;
        }
    };
    match Toml::from_str::<Dict>(&text) {
        Ok(values) => Some(File { origin, values }),
        Err(error) => {
            refuse(&format_args!("not TOML: {error}"));
            None
        }
    }
}

fn chosen_profile(sources: &Sources<'_>, faults: &mut Faults) -> Option<String> {
    let by_variable = || sources.variable(PROFILE_VARIABLE).filter(|name| !name.is_empty());
    let (origin, name) = match &sources.profile {
        Some(name) => ("flag --profile".to_owned(), name.clone()),
        None => (format!("environment {PROFILE_VARIABLE}"), by_variable()?),
    };
    if PROFILES.contains(&name.as_str()) {
        return Some(name);
    }
    let rule = format!("must be one of {}", PROFILES.join(", "));
    faults.add(Fault { origin, key: "profile".to_owned(), value: Some(format!("{name:?}")), rule });
    None
}

/// `INSTANCE_CONFIG_AGENT__KEPT_BACKUPS` is `config-agent.kept_backups`. None for a variable that is not for us: one
/// environment serves every service of a machine. A table that is nearly one of ours is a slip, and told.
fn variable_key(name: &str, tables: &[&str], faults: &mut Faults) -> Option<String> {
    let name_of_key = name.strip_prefix(PREFIX)?;
    let Some((table, key)) = name_of_key.split_once("__") else {
        let key = name_of_key.to_lowercase();
        return COMMON_KEYS.contains(&key.as_str()).then_some(key);
    };
    let spelled = |table: &str| table.replace('-', "_").to_uppercase();
    if let Some(known) = tables.iter().find(|known| spelled(known) == table) {
        return Some(format!("{known}.{}", key.to_lowercase().replace("__", ".")));
    }
    let spellings: Vec<_> = tables.iter().map(|known| spelled(known)).collect();
    if let Some(near) = nearest(table, spellings.iter().map(String::as_str)) {
        faults.add(Fault {
            origin: format!("environment {name}"),
            key: table.to_owned(),
            value: None,
            rule: format!("unknown table; did you mean {PREFIX}{near}__{key}?"),
        });
    }
    None
}

/// A table that several sources wrote to has no single origin; its first value has one.
fn innermost(value: &Value) -> &Value {
    match value {
        Value::Dict(_, entries) => entries.values().next().map_or(value, innermost),
        _ => value,
    }
}
