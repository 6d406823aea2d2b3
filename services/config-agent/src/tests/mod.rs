//! Changes and undoes on real files in a folder of the test's own.

mod attributes;
mod backups;
mod changes;
mod deadlines;
mod edits;
mod exchanges;
mod failing_disk;
mod full_disk;
mod licenses;
mod merges;
mod missing_rights;
mod power_cuts;
mod promises;
mod settings;
mod several;
mod told_and_done;

use std::{
    collections::BTreeMap,
    fs, io,
    num::NonZeroUsize,
    path::{Path, PathBuf},
    time::Duration,
};

use instance_agent::{Applied, InstanceSettings, Prepared, Probe};
use instance_contract::{Action, Failure, Forecast, SetCpf};

use crate::{
    apply::{self, Limits, Site},
    config::Config,
    folder::{Call, Folder as Opened},
    host::LocalHost,
    undo,
    wanted::Wanted,
};

/// Called by [`Opened`] in place of the call itself.
pub fn strike<T>(folder: &Opened, call: Call<'_>, act: impl FnOnce() -> io::Result<T>) -> io::Result<T> {
    exchanges::meddle(call)?;
    power_cuts::strike(folder, call, act)
}

/// Windows line ends, no last line end, blanks around a `=`, comment marks inside a value.
pub const CPF: &[u8] =
    b"[ConfigFile]\r\nProduct=IRIS\r\nVersion=2024.2\r\n\r\n[Databases]\r\nUSER=/iris/user/\r\n\r\n\
    [config]\r\nMaxServers = 2\r\nglobals=0,0,256,0,0,0\r\n# a note\r\nconsole=,;#//x\r\nroutines=64";

/// One instance with an `iris.cpf` in a folder.
pub struct Stage {
    pub config: Config,
    folder: Folder,
}

enum Folder {
    /// Removed with the stage.
    Own(tempfile::TempDir),
    OfTheTest(PathBuf),
}

impl Stage {
    pub fn new(cpf: &[u8]) -> Self {
        Self::inside(&std::env::temp_dir(), cpf)
    }

    pub fn inside(parent: &Path, cpf: &[u8]) -> Self {
        let own = tempfile::tempdir_in(parent).unwrap();
        let stage = Self::at(own.path(), cpf);
        Self { folder: Folder::Own(own), ..stage }
    }

    pub fn at(folder: &Path, cpf: &[u8]) -> Self {
        fs::write(folder.join("iris.cpf"), cpf).unwrap();
        let instance = InstanceSettings {
            name: "PROD".parse().unwrap(),
            cpf: folder.join("iris.cpf"),
            messages_log: folder.join("mgr/messages.log"),
            manager_dir: None,
        };
        let config = Config {
            instances: vec![instance],
            merge_file: BTreeMap::new(),
            metrics_url: BTreeMap::new(),
            iris_command: "/usr/bin/iris".into(),
            proc_root: folder.join("proc"),
            state_dir: folder.join("state"),
            fence_dir: folder.join("fence"),
            knowledge_dir: None,
            kept_backups: kept(10),
        };
        Self { config, folder: Folder::OfTheTest(folder.to_owned()) }
    }

    pub fn instance(&self) -> &InstanceSettings {
        &self.config.instances[0]
    }

    fn folder(&self) -> &Path {
        match &self.folder {
            Folder::Own(folder) => folder.path(),
            Folder::OfTheTest(folder) => folder,
        }
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder().join(name)
    }

    pub fn cpf(&self) -> Vec<u8> {
        fs::read(self.path("iris.cpf")).unwrap()
    }

    pub fn prepare(&self, name: &str, value: &str) -> Result<Prepared, Failure> {
        self.prepare_all(&Wanted::from(&set(name, value)))
    }

    pub fn prepare_all(&self, wanted: &Wanted) -> Result<Prepared, Failure> {
        self.with_site(|site| apply::prepare(&site, wanted))
    }

    pub fn forecast_all(&self, wanted: &Wanted) -> Result<Forecast, Failure> {
        self.with_site(|site| apply::forecast(&site, wanted))
    }

    pub fn with_site<T>(&self, ask: impl FnOnce(Site<'_>) -> T) -> T {
        let host = LocalHost::of(&self.config);
        ask(Site {
            host: &host,
            instance: self.instance(),
            instances: &self.config.instances,
            kept_backups: self.config.kept_backups.get(),
        })
    }

    /// As the loop does it: recorded, then done.
    pub fn change(&self, name: &str, value: &str) -> Result<(Prepared, Applied), Failure> {
        let prepared = self.prepare(name, value)?;
        let applied = self.apply(name, value, &prepared, &|| Ok(()))?;
        Ok((prepared, applied))
    }

    pub fn apply(
        &self,
        name: &str,
        value: &str,
        prepared: &Prepared,
        last_look: &dyn Fn() -> Result<(), Failure>,
    ) -> Result<Applied, Failure> {
        self.apply_all(&Wanted::from(&set(name, value)), prepared, last_look)
    }

    pub fn apply_all(
        &self,
        wanted: &Wanted,
        prepared: &Prepared,
        last_look: &dyn Fn() -> Result<(), Failure>,
    ) -> Result<Applied, Failure> {
        let limits = Limits { last_look, remaining: Duration::from_secs(20) };
        self.with_site(|site| apply::apply(&site, wanted, prepared, limits))
    }

    pub fn apply_within(
        &self,
        wanted: &Wanted,
        prepared: &Prepared,
        remaining: Duration,
    ) -> Result<Applied, Failure> {
        let limits = Limits { last_look: &|| Ok(()), remaining };
        self.with_site(|site| apply::apply(&site, wanted, prepared, limits))
    }

    /// As the loop does it: recorded, then done.
    pub fn change_all(&self, wanted: &Wanted) -> Result<(Prepared, Applied), Failure> {
        let prepared = self.prepare_all(wanted)?;
        let applied = self.apply_all(wanted, &prepared, &|| Ok(()))?;
        Ok((prepared, applied))
    }

    pub fn undo(&self, done: &Prepared) -> Result<Applied, Failure> {
        self.undo_if(done, &|| Ok(()))
    }

    pub fn undo_if(
        &self,
        done: &Prepared,
        last_look: &dyn Fn() -> Result<(), Failure>,
    ) -> Result<Applied, Failure> {
        let limits = Limits { last_look, remaining: Duration::from_secs(20) };
        self.with_site(|site| undo::undo(&site, done, limits))
    }

    pub fn probe(&self, prepared: &Prepared) -> Probe {
        self.with_site(|site| apply::probe(&site, prepared)).unwrap()
    }

    pub fn probe_undo(&self, done: &Prepared) -> Probe {
        self.with_site(|site| undo::probe(&site, done)).unwrap()
    }

    /// Does what a program that hung had started still run?
    pub fn hung_runs(&self) -> bool {
        let Ok(process) = fs::read_to_string(self.path("hung")) else { return false };
        let stat = fs::read_to_string(format!("/proc/{}/stat", process.trim())).unwrap_or_default();
        stat.rsplit_once(')').is_some_and(|(_, rest)| !rest.trim_start().starts_with(['Z', 'X']))
    }

    /// Names of all files beside the CPF, sorted.
    pub fn others(&self) -> Vec<String> {
        let entries = fs::read_dir(self.folder()).unwrap().map(|entry| entry.unwrap());
        let files = entries.filter(|entry| !entry.file_type().unwrap().is_dir());
        let mut names: Vec<_> = files.map(|entry| entry.file_name().into_string().unwrap()).collect();
        names.retain(|name| name != "iris.cpf");
        names.sort();
        names
    }
}

pub fn set(name: &str, value: &str) -> SetCpf {
    SetCpf {
        cpf_section: "config".to_owned(),
        parameter: name.to_owned(),
        new_value: value.to_owned(),
        current_value: None,
    }
}

pub fn kept(backups: usize) -> NonZeroUsize {
    NonZeroUsize::new(backups).unwrap()
}

pub fn code(failure: &Failure) -> &str {
    &failure.cause().code
}

/// How many lines differ; `None` when there are more or fewer lines.
pub fn differing_lines(old: &[u8], new: &[u8]) -> Option<usize> {
    let lines = |bytes: &[u8]| bytes.split_inclusive(|byte| *byte == b'\n').count();
    let split = |byte: &u8| *byte == b'\n';
    (lines(old) == lines(new)).then(|| {
        old.split_inclusive(split).zip(new.split_inclusive(split)).filter(|(old, new)| old != new).count()
    })
}

/// Several changes, as a command writes them.
pub fn several(parameters: &serde_json::Value) -> Wanted {
    Wanted::of(&Action::ChangeCpf(serde_json::from_value(parameters.clone()).unwrap())).unwrap()
}
