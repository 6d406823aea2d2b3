//! The settings files of the services: the shipped ones, or those of a folder, with what this run decides.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result};
use toml::{Table, Value};

use super::instances::Found;
use crate::exit::{Exit, Stop};

/// The services that a pipeline is made of, in the order in which they start.
pub const SERVICES: [&str; 6] =
    ["router", "config-agent", "os-agent", "restart-agent", "generator", "analyst"];
/// Those that look at instances.
pub const AGENTS: [&str; 3] = ["config-agent", "os-agent", "restart-agent"];

/// The settings of one service, as they will be written.
#[derive(Debug, Clone, PartialEq)]
pub struct File {
    service: &'static str,
    table: Table,
}

impl File {
    /// The file of a service in `folder`; the one that is shipped, when no folder is named.
    pub fn read(service: &'static str, folder: Option<&Path>) -> Result<Self> {
        let (name, text) = match folder {
            None => (format!("deploy/config/{service}.toml"), shipped(service).to_owned()),
            Some(folder) => {
                let path = folder.join(format!("{service}.toml"));
                let text = fs::read_to_string(&path).map_err(|error| {
                    Stop::new(Exit::BadConfiguration, format!("{}: {error}", path.display()))
                })?;
                (path.display().to_string(), text)
            }
        };
        let table = text.parse().map_err(|error: toml::de::Error| {
            Stop::new(Exit::BadConfiguration, format!("{name}: {error}"))
        })?;
        Ok(Self { service, table })
    }

    /// Sets a value of the service's own table, whatever stood there.
    pub fn set(&mut self, key: &str, value: impl Into<Value>) -> &mut Self {
        let service = self.service;
        self.table_of(service).insert(key.to_owned(), value.into());
        self
    }

    /// A value of the service's own table.
    pub fn own(&self, key: &str) -> Option<&Value> {
        self.table.get(self.service)?.get(key)
    }

    /// Sets a value of another table.
    pub fn set_in(&mut self, table: &str, key: &str, value: impl Into<Value>) -> &mut Self {
        self.table_of(table).insert(key.to_owned(), value.into());
        self
    }

    /// Who the service is on the bus, unless its own file says so; tells whether it was set. Never a mixture: the
    /// credentials of one user beside the key of another are nobody's.
    pub fn identify(&mut self, identity: &Table) -> bool {
        let nats = self.table_of("nats");
        let says_it_itself = nats.keys().any(|key| !matches!(key.as_str(), "url" | "name"));
        if !says_it_itself {
            nats.extend(identity.clone());
        }
        !says_it_itself
    }

    /// Sets a key that stands before the first table.
    pub fn set_common(&mut self, key: &str, value: impl Into<Value>) -> &mut Self {
        self.table.insert(key.to_owned(), value.into());
        self
    }

    /// State of this run lies in its folder.
    pub fn keep_state_in(&mut self, run: &Path) -> &mut Self {
        let state = run.join("state");
        if !matches!(self.service, "router" | "analyst") {
            self.set("state_dir", text(&state.join(self.service)));
        }
        if AGENTS.contains(&self.service) {
            self.set("fence_dir", text(&state.join("fence")));
        }
        self
    }

    /// These instances, and no others.
    pub fn serve(&mut self, iris: &Path, instances: &[Found]) -> &mut Self {
        let agent = AGENTS.contains(&self.service);
        if agent {
            self.set("iris_command", text(iris));
        }
        let row = |found: &Found| {
            let mut row = Table::new();
            row.insert("name".to_owned(), found.name.clone().into());
            row.insert("messages_log".to_owned(), text(&found.messages_log()).into());
            if agent {
                row.insert("cpf".to_owned(), text(&found.cpf()).into());
            }
            Value::Table(row)
        };
        if agent || self.service == "generator" {
            self.set("instances", instances.iter().map(row).collect::<Vec<_>>());
        }
        self
    }

    /// Writes it into the run folder.
    pub fn write(&self, run: &Path) -> Result<PathBuf> {
        let folder = run.join("config");
        fs::create_dir_all(&folder).with_context(|| format!("could not make \"{}\"", folder.display()))?;
        let path = folder.join(format!("{}.toml", self.service));
        let text = format!("# Written by `instance`; lost at its next start.\n{}", self.table);
        fs::write(&path, text).with_context(|| format!("could not write \"{}\"", path.display()))?;
        Ok(path)
    }

    fn table_of(&mut self, name: &str) -> &mut Table {
        let slot = self.table.entry(name).or_insert_with(|| Value::Table(Table::new()));
        if !slot.is_table() {
            // The service would refuse it; what we set must not be lost in it.
            *slot = Value::Table(Table::new());
        }
        slot.as_table_mut().expect("it was made a table above")
    }
}

/// A path in a settings file is text; one that is not UTF-8 would be refused there.
fn text(path: &Path) -> String {
    path.to_string_lossy().into_owned()
}

/// The settings file of a service, as it is shipped.
pub fn shipped(service: &str) -> &'static str {
    match service {
        "analyst" => include_str!("../../../deploy/config/analyst.toml"),
        "gateway" => include_str!("../../../deploy/config/gateway.toml"),
        "generator" => include_str!("../../../deploy/config/generator.toml"),
        "config-agent" => include_str!("../../../deploy/config/config-agent.toml"),
        "os-agent" => include_str!("../../../deploy/config/os-agent.toml"),
        "restart-agent" => include_str!("../../../deploy/config/restart-agent.toml"),
        _ => include_str!("../../../deploy/config/router.toml"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_shipped_file_is_read_and_holds_the_table_of_its_service() {
        for service in SERVICES {
            let file = File::read(service, None).unwrap();
            for table in ["nats", "telemetry", service] {
                assert!(file.table.get(table).is_some_and(Value::is_table), "{service}: [{table}]");
            }
        }
    }

    #[test]
    fn what_this_run_decides_beats_the_file() {
        let run = tempfile::tempdir().unwrap();
        let found = Found { name: "PROD".into(), folder: "/iris".into() };
        let mut file = File::read("os-agent", None).unwrap();
        file.keep_state_in(run.path()).serve(Path::new("/iris/bin/iris"), &[found]);
        file.set("persist", false).set_in("nats", "url", "nats://127.0.0.1:1").set_common("host", "h");
        let written: Table = fs::read_to_string(file.write(run.path()).unwrap()).unwrap().parse().unwrap();
        let own = written["os-agent"].as_table().unwrap();
        assert_eq!(own["iris_command"].as_str(), Some("/iris/bin/iris"));
        assert_eq!(own["state_dir"].as_str().unwrap(), run.path().join("state/os-agent").to_str().unwrap());
        assert_eq!(own["instances"][0]["messages_log"].as_str(), Some("/iris/mgr/messages.log"));
        assert_eq!(own["memory_reserve_mb"].as_integer(), Some(512), "the rest stays");
        assert_eq!(written["nats"]["url"].as_str(), Some("nats://127.0.0.1:1"));
        assert_eq!(written["host"].as_str(), Some("h"));
    }

    #[test]
    fn who_a_service_is_comes_from_its_own_file_or_from_us_but_never_from_both() {
        let ours: Table = "creds = '/ours.creds'\ntls_ca = '/ca.pem'".parse().unwrap();
        let mut shipped = File::read("router", None).unwrap();
        assert!(shipped.identify(&ours));
        assert_eq!(shipped.table["nats"]["creds"].as_str(), Some("/ours.creds"));
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("router.toml"), "[nats]\nnkey = '/router.nk'\n").unwrap();
        let mut own = File::read("router", Some(folder.path())).unwrap();
        assert!(!own.identify(&ours));
        assert_eq!(own.table["nats"].get("creds"), None);
    }

    #[test]
    fn a_folder_without_the_file_is_told_by_name() {
        let error = File::read("router", Some(Path::new("/nowhere"))).unwrap_err();
        assert!(error.to_string().contains("/nowhere/router.toml"), "{error}");
    }
}
