//! The one narrow door to what an operating system gives IRIS, and to what IRIS says of itself. All that the agent changes
//! or looks at lies behind it, in six small parts by subject. Another kind of host (a container, a pod) is other
//! implementations of the parts that differ there, and no other logic. Built today: [`Local`], which is all six.

mod coming;
mod drop_in;
mod local;

use std::{
    io,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use instance_agent::{InstanceSettings, Work, evidence::CpuGroup};
use instance_contract::{Failure, Verification, Verify};
use instance_iris::messages_log::Entry;
use instance_knowledge::{CpuList, KernelParameter};

use crate::{error::HostError, huge_pages::HostMemory};

pub use coming::Coming;
pub use drop_in::drop_in_text;
pub use local::{Local, SET_CPUS, write_at_once};

/// A host by its parts. Whoever needs another one of them replaces that field and keeps the rest; whoever works with one
/// part takes only that one.
#[derive(Clone)]
pub struct Host {
    pub kernel: Arc<dyn Kernel>,
    pub drop_ins: Arc<dyn DropIns>,
    pub memory: Arc<dyn Memory>,
    pub processes: Arc<dyn Processes>,
    pub cpfs: Arc<dyn Cpfs>,
    pub evidence: Arc<dyn Evidence>,
}

/// The parameters of the kernel.
pub trait Kernel: Send + Sync {
    /// The present value of a parameter, in the form in which it would be written.
    fn read(&self, parameter: &KernelParameter) -> Result<String, HostError>;

    /// Writes a value in one call, at most for `limit`. That it succeeds does not mean that the value was reached: read
    /// it back.
    fn write(&self, parameter: &KernelParameter, value: &str, limit: Duration) -> Result<(), HostError>;

    /// What this limit in bytes below `/proc/sys` holds; `None` where the kernel has none.
    fn bytes(&self, limit: &str) -> Result<Option<u64>, HostError>;
}

/// What keeps parameters over a reboot: for each a file of ours alone.
pub trait DropIns: Send + Sync {
    /// What the file of a parameter holds. `None` when there is none.
    fn text(&self, parameter: &str) -> Result<Option<String>, HostError>;

    /// Gives that file another text, or removes it; in one step, durable when it returns.
    fn put(&self, parameter: &str, text: Option<&str>) -> Result<(), HostError>;

    /// Where that file lies.
    fn path(&self, parameter: &str) -> PathBuf;

    /// What sets the same parameter later, so that it wins at the next boot.
    fn overriding(&self, parameter: &str) -> Vec<PathBuf>;
}

/// Memory and its pages.
pub trait Memory: Send + Sync {
    /// Memory and huge pages, as they are now.
    fn figures(&self) -> Result<HostMemory, HostError>;

    /// Bytes of an ordinary page.
    fn page_bytes(&self) -> u64;
}

/// The processes of instances, the CPUs on which they may run, and their share of them.
pub trait Processes: Send + Sync {
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

    /// What the kernel tells of the oldest process of an instance: `limits`, `status`. `None` when it is down.
    fn told_by_oldest(&self, instance: &InstanceSettings, name: &str) -> Option<String>;
}

/// The CPFs of instances, byte for byte.
pub trait Cpfs: Send + Sync {
    /// `iris.cpf` as it lies there now: what the instance has named of itself belongs to it.
    fn present(&self, instance: &InstanceSettings) -> io::Result<Vec<u8>>;

    /// As the next start of the instance will find it.
    fn at_next_start(&self, instance: &InstanceSettings) -> io::Result<Vec<u8>>;
}

/// What instances say and show of themselves.
pub trait Evidence: Send + Sync {
    /// `messages.log`, byte for byte.
    fn log(&self, instance: &InstanceSettings) -> io::Result<Vec<u8>>;

    /// The entries of `messages.log` since the last start.
    fn log_of_this_run(&self, instance: &InstanceSettings) -> io::Result<Vec<Entry>>;

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
