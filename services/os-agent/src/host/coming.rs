//! The same host, with the CPF of one instance as the plan of a step will leave it: IRIS looks at it, and at what the kernel
//! gives, only at its next start.

use std::{
    io,
    path::{Path, PathBuf},
    time::Duration,
};

use instance_agent::{InstanceSettings, Work, evidence::CpuGroup};
use instance_contract::{CpfChange, Failure, Verification, Verify};
use instance_iris::{
    cpf::{Document, memory::Globals},
    messages_log::Entry,
};
use instance_knowledge::{CpuList, KernelParameter};

use super::{Host, Thread};
use crate::{error::HostError, huge_pages::HostMemory};

/// Sizes of buffers in KB, one for each figure of `globals`.
const BLOCK_SIZES_KB: [u32; 6] = [2, 4, 8, 16, 32, 64];

/// A host on which `changes` were made to the CPF of `instance`. Nothing of them is written.
#[derive(Clone, Copy)]
pub struct Coming<'a> {
    pub host: &'a dyn Host,
    pub instance: &'a InstanceSettings,
    pub changes: &'a [CpfChange],
}

impl Coming<'_> {
    /// The CPF as it will be; the same where it is so already.
    fn changed(&self, bytes: &[u8]) -> io::Result<Vec<u8>> {
        let mut document = Document::parse(bytes);
        for change in self.changes {
            let (section, name) = (change.cpf_section.as_str(), change.parameter.as_str());
            let value = new_value(&document, change)?;
            let set = match document.get(section, name) {
                Some(_) => document.set(section, name, &value),
                None => document.insert(section, name, &value),
            };
            set.map_err(|error| unfit(change, &error.to_string()))?;
        }
        Ok(document.to_bytes())
    }
}

fn new_value(document: &Document, change: &CpfChange) -> io::Result<String> {
    let value = change.new_value.clone().unwrap_or_default();
    let Some(kb) = change.block_size_kb else { return Ok(value) };
    let present = document.get(&change.cpf_section, &change.parameter).unwrap_or_default();
    let mut globals: Globals = present.parse().map_err(|error| unfit(change, &format!("{error}")))?;
    let pool = BLOCK_SIZES_KB.iter().position(|size| *size == kb);
    match (pool, value.parse()) {
        (Some(pool), Ok(mb)) => globals.pools_mb[pool] = mb,
        _ => return Err(unfit(change, &format!("\"{value}\" is no size of {kb} KB buffers"))),
    }
    Ok(globals.to_string())
}

fn unfit(change: &CpfChange, why: &str) -> io::Error {
    let (section, name) = (&change.cpf_section, &change.parameter);
    io::Error::other(format!("the plan's change of [{section}] {name} does not fit it: {why}"))
}

impl Host for Coming<'_> {
    fn cpf(&self, instance: &InstanceSettings) -> io::Result<Vec<u8>> {
        let bytes = self.host.cpf(instance)?;
        if instance.name == self.instance.name { self.changed(&bytes) } else { Ok(bytes) }
    }

    fn present_cpf(&self, instance: &InstanceSettings) -> io::Result<Vec<u8>> {
        self.host.present_cpf(instance)
    }

    fn read(&self, parameter: &KernelParameter) -> Result<String, HostError> {
        self.host.read(parameter)
    }

    fn write(&self, parameter: &KernelParameter, value: &str, limit: Duration) -> Result<(), HostError> {
        self.host.write(parameter, value, limit)
    }

    fn bytes(&self, limit: &str) -> Result<Option<u64>, HostError> {
        self.host.bytes(limit)
    }

    fn drop_in(&self, parameter: &str) -> Result<Option<String>, HostError> {
        self.host.drop_in(parameter)
    }

    fn put_drop_in(&self, parameter: &str, text: Option<&str>) -> Result<(), HostError> {
        self.host.put_drop_in(parameter, text)
    }

    fn drop_in_path(&self, parameter: &str) -> PathBuf {
        self.host.drop_in_path(parameter)
    }

    fn overriding(&self, parameter: &str) -> Vec<PathBuf> {
        self.host.overriding(parameter)
    }

    fn memory(&self) -> Result<HostMemory, HostError> {
        self.host.memory()
    }

    fn page_bytes(&self) -> u64 {
        self.host.page_bytes()
    }

    fn online_cpus(&self) -> Result<CpuList, HostError> {
        self.host.online_cpus()
    }

    fn threads(&self, instance: &InstanceSettings) -> Result<Vec<Thread>, HostError> {
        self.host.threads(instance)
    }

    fn set_cpus(&self, thread: &Thread, cpus: &CpuList) -> Result<(), HostError> {
        self.host.set_cpus(thread, cpus)
    }

    fn cpu_group(&self, instance: &InstanceSettings) -> Result<CpuGroup, HostError> {
        self.host.cpu_group(instance)
    }

    fn read_share(&self, file: &Path) -> Result<Option<String>, HostError> {
        self.host.read_share(file)
    }

    fn write_share(&self, file: &Path, raw: &str) -> Result<(), HostError> {
        self.host.write_share(file, raw)
    }

    fn log(&self, instance: &InstanceSettings) -> io::Result<Vec<u8>> {
        self.host.log(instance)
    }

    fn log_of_this_run(&self, instance: &InstanceSettings) -> io::Result<Vec<Entry>> {
        self.host.log_of_this_run(instance)
    }

    fn told_by_oldest_process(&self, instance: &InstanceSettings, name: &str) -> Option<String> {
        self.host.told_by_oldest_process(instance, name)
    }

    fn verify(
        &self,
        instance: &InstanceSettings,
        verify: &Verify,
        work: &Work<'_>,
    ) -> Result<Verification, Failure> {
        self.host.verify(instance, verify, work)
    }
}
