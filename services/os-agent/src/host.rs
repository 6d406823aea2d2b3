//! The one narrow door to what an operating system gives IRIS, and to what IRIS says of itself. All that the agent changes
//! or looks at lies behind it, so that another kind of host (a container, a pod) is another implementation and no other
//! logic.

mod coming;
mod drop_in;
mod local;

use std::{
    io,
    path::{Path, PathBuf},
    time::Duration,
};

use instance_agent::{InstanceSettings, Work, evidence::CpuGroup};
use instance_contract::{Failure, Verification, Verify};
use instance_iris::messages_log::Entry;
use instance_knowledge::{CpuList, KernelParameter};

use crate::{error::HostError, huge_pages::HostMemory};

pub use coming::Coming;
pub use drop_in::drop_in_text;
pub use local::Local;
pub(crate) use local::{SET_CPUS, write_at_once};

/// A host: kernel parameters, what keeps them over a reboot, and the processes of instances.
pub trait Host: Send + Sync {
    /// The present value of a parameter, in the form in which it would be written.
    fn read(&self, parameter: &KernelParameter) -> Result<String, HostError>;

    /// Writes a value in one call, at most for `limit`. That it succeeds does not mean that the value was reached: read
    /// it back.
    fn write(&self, parameter: &KernelParameter, value: &str, limit: Duration) -> Result<(), HostError>;

    /// What this limit in bytes below `/proc/sys` holds; `None` where the kernel has none.
    fn bytes(&self, limit: &str) -> Result<Option<u64>, HostError>;

    /// What keeps a parameter over a reboot: a file of ours alone. `None` when there is none.
    fn drop_in(&self, parameter: &str) -> Result<Option<String>, HostError>;

    /// Gives that file another text, or removes it; in one step, durable when it returns.
    fn put_drop_in(&self, parameter: &str, text: Option<&str>) -> Result<(), HostError>;

    /// Where that file lies.
    fn drop_in_path(&self, parameter: &str) -> PathBuf;

    /// What sets the same parameter later, so that it wins at the next boot.
    fn overriding(&self, parameter: &str) -> Vec<PathBuf>;

    /// Memory and huge pages, as they are now.
    fn memory(&self) -> Result<HostMemory, HostError>;

    /// Bytes of an ordinary page.
    fn page_bytes(&self) -> u64;

    /// The CPUs that run.
    fn online_cpus(&self) -> Result<CpuList, HostError>;

    /// Every thread of every process of an instance, oldest process first. Empty when it is down.
    fn threads(&self, instance: &InstanceSettings) -> Result<Vec<Thread>, HostError>;

    /// Lets one thread run on these CPUs. [`HostError::Ended`] when it is no more.
    fn set_cpus(&self, thread: &Thread, cpus: &CpuList) -> Result<(), HostError>;

    /// The control group that shares out CPUs to the instance.
    fn cpu_group(&self, instance: &InstanceSettings) -> Result<CpuGroup, HostError>;

    /// What a group's file holds; `None` when the group is no more.
    fn read_share(&self, file: &Path) -> Result<Option<String>, HostError>;

    /// Writes a group's share in one call.
    fn write_share(&self, file: &Path, raw: &str) -> Result<(), HostError>;

    /// `iris.cpf`, byte for byte.
    fn cpf(&self, instance: &InstanceSettings) -> io::Result<Vec<u8>>;

    /// As it lies there now, where [`Host::cpf`] tells of one to come: what the instance has named of itself belongs to it.
    fn present_cpf(&self, instance: &InstanceSettings) -> io::Result<Vec<u8>> {
        self.cpf(instance)
    }

    /// `messages.log`, byte for byte.
    fn log(&self, instance: &InstanceSettings) -> io::Result<Vec<u8>>;

    /// The entries of `messages.log` since the last start.
    fn log_of_this_run(&self, instance: &InstanceSettings) -> io::Result<Vec<Entry>>;

    /// What the kernel tells of the oldest process of an instance: `limits`, `status`. `None` when it is down.
    fn told_by_oldest_process(&self, instance: &InstanceSettings, name: &str) -> Option<String>;

    /// Looks whether what a remediation promised holds.
    fn verify(
        &self,
        instance: &InstanceSettings,
        verify: &Verify,
        work: &Work<'_>,
    ) -> Result<Verification, Failure>;
}

/// A thread of an instance at one moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Thread {
    pub process: u32,
    /// The process that started its process.
    pub parent: u32,
    pub id: u32,
    /// In clock ticks since the boot: with the id it names one thread for ever.
    pub started: u64,
    /// As the kernel writes them.
    pub cpus: String,
}
