//! Changes and undoes on real files in a folder of the test's own.

mod attributes;
mod backups;
mod changes;
mod edits;
mod full_disk;
pub mod power_cuts;
mod settings;
mod told_and_done;

use std::{
    fs,
    num::NonZeroUsize,
    path::{Path, PathBuf},
};

use instance_agent::InstanceSettings;
use instance_agent::{Applied, Prepared};
use instance_contract::{Failure, SetCpf};

use crate::{apply, config::Config, undo};

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
        };
        let config = Config {
            instances: vec![instance],
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
        apply::prepare(self.instance(), &set(name, value))
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
        apply::apply(&self.config, self.instance(), &set(name, value), prepared, last_look)
    }

    pub fn undo(&self, done: &Prepared) -> Result<Applied, Failure> {
        undo::undo(&self.config, self.instance(), done, &|| Ok(()))
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
