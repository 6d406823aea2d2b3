//! This very machine: its files, its `iris` program, its ports.

use std::{collections::BTreeMap, path::PathBuf, sync::Arc, time::Duration};

use instance_agent::{
    InstanceSettings, Work,
    evidence::{self, Metrics, Qlist},
    host::{Finished, HostError, Program},
};
use instance_chassis::error_chain;
use instance_contract::{Failure, InstanceName, Verification, Verify};
use instance_knowledge::HostRoom;

use super::{
    CpfFile, Host, MergeFile, merge_file,
    read::{Live, Texts},
};
use crate::{
    config::Config,
    error::FileError,
    exchange,
    folder::Folder,
    license,
    places::{self, JournalPlaces},
    standing::Standing,
};

/// What scripts behind the `iris` program need.
const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// The machine that the agent runs on.
#[derive(Debug)]
pub struct LocalHost {
    iris_command: PathBuf,
    proc_root: PathBuf,
    merge_file: BTreeMap<InstanceName, PathBuf>,
    metrics_url: BTreeMap<InstanceName, String>,
    texts: Arc<Texts>,
}

impl LocalHost {
    /// As the settings name its places.
    pub fn of(config: &Config) -> Self {
        let (iris_command, proc_root) = (config.iris_command.clone(), config.proc_root.clone());
        let (merge_file, metrics_url) = (config.merge_file.clone(), config.metrics_url.clone());
        Self { iris_command, proc_root, merge_file, metrics_url, texts: Arc::default() }
    }
}

impl Host for LocalHost {
    fn open(&self, instance: &InstanceSettings) -> Result<Box<dyn CpfFile>, Failure> {
        Ok(Box::new(Live::read(instance, &self.texts)?))
    }

    fn tidy(&self, instance: &InstanceSettings) -> Result<(), Failure> {
        let (folder, cpf) = Folder::of(&instance.cpf).map_err(FileError::into_failure)?;
        folder.remove(&merge_file::name(&cpf)).map_err(FileError::into_failure)
    }

    fn settle(&self, instance: &InstanceSettings) -> Result<(), Failure> {
        let settled = Folder::of(&instance.cpf).and_then(|(folder, cpf)| exchange::settle(&folder, &cpf));
        settled.map_err(FileError::into_failure)
    }

    fn journal_places(&self, file: &dyn CpfFile) -> JournalPlaces {
        JournalPlaces::of(file.document(), &file.path())
    }

    fn free_port_above(&self, port: u16, taken: &[u16]) -> Option<u16> {
        places::free_port_above(port, taken)
    }

    fn room(&self) -> Option<HostRoom> {
        HostRoom::parse(&std::fs::read_to_string(self.proc_root.join("meminfo")).ok()?)
    }

    fn state(&self, instance: &InstanceSettings, limit: Duration) -> Result<Qlist, Failure> {
        evidence::qlist(&self.iris_command, &instance.name, limit)
            .map_err(|error| Failure::transient("iris_unavailable", error_chain(&error)))
    }

    fn merge(
        &self,
        instance: &InstanceSettings,
        file: &dyn MergeFile,
        limit: Duration,
    ) -> Result<Finished, Failure> {
        let program = Program::new(&self.iris_command)
            .arguments(["merge", instance.name.as_str()])
            .arguments([file.path(), &instance.cpf])
            .variable("PATH", PATH);
        program.run(limit).map_err(|error| match error {
            // It was started; what it did is unknown.
            HostError::Watch { .. } => Failure::unknown("merge_lost", error_chain(&error)),
            HostError::NotAbsolute { .. } | HostError::Start { .. } => {
                Failure::permanent("iris_unavailable", error_chain(&error))
            }
        })
    }

    fn license_key(&self, instance: &InstanceSettings) -> Result<Vec<u8>, String> {
        let key = license::key_file(instance);
        let read = Folder::of(&key).and_then(|(folder, name)| folder.read(&name));
        read.map(|snapshot| snapshot.bytes).map_err(|error| error_chain(&error))
    }

    fn standing_merge(&self, instance: &InstanceSettings) -> Option<Standing> {
        let path = self.merge_file.get(&instance.name)?.clone();
        Some(Standing { text: std::fs::read(&path), path })
    }

    fn metrics(
        &self,
        instance: &InstanceSettings,
        web_server_port: Option<u16>,
        limit: Duration,
    ) -> Result<Metrics, String> {
        let read = |url: &str| evidence::metrics(url, limit).map_err(|error| error_chain(&error));
        if let Some(url) = self.metrics_url.get(&instance.name) {
            return read(url);
        }
        let set = "name where it tells its metrics in \"metrics_url\" of config-agent's settings";
        match web_server_port.filter(|port| *port != 0) {
            Some(port) => read(&evidence::metrics_url(port))
                .map_err(|error| format!("{error}; where that is not the instance's own web server, {set}")),
            None => {
                Err(format!("the instance has no web server of its own (field 7 of iris qlist is 0): {set}"))
            }
        }
    }

    fn verify(
        &self,
        instance: &InstanceSettings,
        verify: &Verify,
        work: &Work<'_>,
    ) -> Result<Verification, Failure> {
        evidence::verify(&instance.view(&self.iris_command, &self.proc_root), verify, work)
    }
}
