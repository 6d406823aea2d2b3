//! A kernel that answers as the real one does where a folder cannot: it has fewer pages to give than it says, and the
//! write succeeds; of words it shows all, and marks the one that is set.

use std::{
    io,
    path::{Path, PathBuf},
    time::Duration,
};

use instance_agent::{InstanceSettings, Work, evidence::CpuGroup};
use instance_contract::{Failure, Verification, Verify};
use instance_iris::messages_log::Entry;
use instance_knowledge::{CpuList, KernelKind, KernelParameter};

use super::{Stage, code};
use crate::{
    error::HostError,
    host::{Host, Local, Thread},
    huge_pages::HostMemory,
};

const HUGE: &str = "proc/sys/vm/nr_hugepages";

pub struct Short {
    local: Local,
    most: u64,
}

impl Short {
    /// With as many pages as anybody may ask for.
    pub fn of_words(local: Local) -> Self {
        Self { local, most: u64::MAX }
    }
}

impl Host for Short {
    fn read(&self, parameter: &KernelParameter) -> Result<String, HostError> {
        self.local.read(parameter)
    }

    fn write(&self, parameter: &KernelParameter, value: &str, limit: Duration) -> Result<(), HostError> {
        if let KernelKind::Word(words) = &parameter.kind {
            let shown: Vec<String> = words
                .iter()
                .map(|word| if word == value { format!("[{word}]") } else { word.clone() })
                .collect();
            return self.local.write(parameter, &shown.join(" "), limit);
        }
        let reached = value.parse::<u64>().unwrap().min(self.most);
        self.local.write(parameter, &reached.to_string(), limit)
    }

    fn bytes(&self, limit: &str) -> Result<Option<u64>, HostError> {
        self.local.bytes(limit)
    }

    fn drop_in(&self, parameter: &str) -> Result<Option<String>, HostError> {
        self.local.drop_in(parameter)
    }

    fn put_drop_in(&self, parameter: &str, text: Option<&str>) -> Result<(), HostError> {
        self.local.put_drop_in(parameter, text)
    }

    fn drop_in_path(&self, parameter: &str) -> PathBuf {
        self.local.drop_in_path(parameter)
    }

    fn overriding(&self, parameter: &str) -> Vec<PathBuf> {
        self.local.overriding(parameter)
    }

    fn memory(&self) -> Result<HostMemory, HostError> {
        self.local.memory()
    }

    fn page_bytes(&self) -> u64 {
        self.local.page_bytes()
    }

    fn online_cpus(&self) -> Result<CpuList, HostError> {
        self.local.online_cpus()
    }

    fn threads(&self, instance: &InstanceSettings) -> Result<Vec<Thread>, HostError> {
        self.local.threads(instance)
    }

    fn set_cpus(&self, thread: &Thread, cpus: &CpuList) -> Result<(), HostError> {
        self.local.set_cpus(thread, cpus)
    }

    fn cpu_group(&self, instance: &InstanceSettings) -> Result<CpuGroup, HostError> {
        self.local.cpu_group(instance)
    }

    fn read_share(&self, file: &Path) -> Result<Option<String>, HostError> {
        self.local.read_share(file)
    }

    fn cpf(&self, instance: &InstanceSettings) -> io::Result<Vec<u8>> {
        self.local.cpf(instance)
    }

    fn log(&self, instance: &InstanceSettings) -> io::Result<Vec<u8>> {
        self.local.log(instance)
    }

    fn log_of_this_run(&self, instance: &InstanceSettings) -> io::Result<Vec<Entry>> {
        self.local.log_of_this_run(instance)
    }

    fn told_by_oldest_process(&self, instance: &InstanceSettings, name: &str) -> Option<String> {
        self.local.told_by_oldest_process(instance, name)
    }

    fn verify(
        &self,
        instance: &InstanceSettings,
        verify: &Verify,
        work: &Work<'_>,
    ) -> Result<Verification, Failure> {
        self.local.verify(instance, verify, work)
    }

    fn write_share(&self, file: &Path, raw: &str) -> Result<(), HostError> {
        self.local.write_share(file, raw)
    }
}

#[test]
fn a_value_that_was_not_reached_does_not_stay() {
    let stage = Stage::new();
    let host = Short { local: stage.host(), most: 700 };
    let failure = stage.change_on(&host, "vm.nr_hugepages", "900").unwrap_err();
    assert!(matches!(failure, Failure::Permanent { .. }), "{failure}");
    assert_eq!(code(&failure), "clamped");
    assert!(failure.cause().message.contains("had reached 700; 0 is set again"), "{failure}");
    assert_eq!((stage.value(HUGE), stage.drop_ins()), ("0\n".to_owned(), Vec::new()));
}
