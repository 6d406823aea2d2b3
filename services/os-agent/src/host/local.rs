//! The host on which this process runs, or a folder that looks like one.

mod processes;

use std::{
    fs::{self, OpenOptions},
    io::{self, ErrorKind, Write},
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use instance_agent::{InstanceSettings, Work, evidence};
use instance_contract::{Failure, Verification, Verify};
use instance_iris::messages_log::Entry;
use instance_knowledge::{KernelParameter, KernelRoot};
use nix::unistd::{SysconfVar, sysconf};

use super::{Cpfs, DropIns, Evidence, Host, Kernel, Memory, drop_in::DropIn};
use crate::{config::Config, error::HostError, huge_pages::HostMemory, writer};

pub use processes::SET_CPUS;

/// Longest text that is read of a parameter, in bytes. The longest on our list shows a line of words.
const LIMIT_BYTES: usize = 4096;
/// Where nobody can tell.
const ORDINARY_PAGE_BYTES: u64 = 4096;

/// This host. Which file belongs to a parameter is the catalogue's word alone.
#[derive(Debug, Clone)]
pub struct Local {
    /// Usually `/proc`; the folder `sys` beside it stands for `/sys`.
    proc_root: PathBuf,
    sysctl_dir: PathBuf,
    iris_command: PathBuf,
    /// The program that writes values which may take long; without it this process does.
    writer: Option<PathBuf>,
}

impl Local {
    pub fn new(config: &Config) -> Self {
        Self {
            proc_root: config.proc_root.clone(),
            sysctl_dir: config.sysctl_dir.clone(),
            iris_command: config.iris_command.clone(),
            writer: None,
        }
    }

    /// Lets this program write what may take long, so that it can be ended.
    #[must_use]
    pub fn with_writer(self, program: PathBuf) -> Self {
        Self { writer: Some(program), ..self }
    }

    fn file(&self, parameter: &KernelParameter) -> Result<PathBuf, HostError> {
        match parameter.root {
            KernelRoot::Proc => Ok(self.proc_root.join(&parameter.path)),
            KernelRoot::Sys => Ok(self.sys().join(&parameter.path)),
            KernelRoot::Process => Err(HostError::Absent(self.proc_root.join(&parameter.name))),
        }
    }

    fn sys(&self) -> PathBuf {
        self.proc_root.with_file_name("sys")
    }
}

/// It is each of the parts.
impl From<Local> for Host {
    fn from(local: Local) -> Self {
        let local = Arc::new(local);
        Self {
            kernel: local.clone(),
            drop_ins: local.clone(),
            memory: local.clone(),
            processes: local.clone(),
            cpfs: local.clone(),
            evidence: local,
        }
    }
}

impl Kernel for Local {
    fn read(&self, parameter: &KernelParameter) -> Result<String, HostError> {
        let path = self.file(parameter)?;
        let bytes = fs::read(&path).map_err(|source| HostError::of_parameter("read", &path, source))?;
        let shown = String::from_utf8_lossy(&bytes[..bytes.len().min(LIMIT_BYTES)]).into_owned();
        parameter.shown_value(&shown).ok_or_else(|| HostError::strange(path, &shown))
    }

    fn write(&self, parameter: &KernelParameter, value: &str, limit: Duration) -> Result<(), HostError> {
        let path = self.file(parameter)?;
        match &self.writer {
            Some(program) if parameter.slow => writer::write_apart(program, &path, value, limit),
            _ => write_at_once(&path, value),
        }
    }

    fn bytes(&self, limit: &str) -> Result<Option<u64>, HostError> {
        let path = self.proc_root.join("sys").join(limit.replace('.', "/"));
        match fs::read_to_string(&path) {
            Ok(shown) => match shown.trim().parse() {
                Ok(bytes) => Ok(Some(bytes)),
                Err(_) => Err(HostError::strange(path, &shown)),
            },
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(source) => Err(HostError::io("read", path, source)),
        }
    }
}

impl DropIns for Local {
    fn text(&self, parameter: &str) -> Result<Option<String>, HostError> {
        DropIn::of(&self.sysctl_dir, parameter).read()
    }

    fn put(&self, parameter: &str, text: Option<&str>) -> Result<(), HostError> {
        DropIn::of(&self.sysctl_dir, parameter).put(text)
    }

    fn path(&self, parameter: &str) -> PathBuf {
        DropIn::of(&self.sysctl_dir, parameter).path().to_owned()
    }

    fn overriding(&self, parameter: &str) -> Vec<PathBuf> {
        DropIn::of(&self.sysctl_dir, parameter).overridden_by()
    }
}

impl Memory for Local {
    fn figures(&self) -> Result<HostMemory, HostError> {
        let path = self.proc_root.join("meminfo");
        let text =
            fs::read_to_string(&path).map_err(|source| HostError::MemoryUnknown(source.to_string()))?;
        HostMemory::parse(&text)
            .ok_or_else(|| HostError::MemoryUnknown(format!("{}: a figure is missing", path.display())))
    }

    fn page_bytes(&self) -> u64 {
        let bytes = sysconf(SysconfVar::PAGE_SIZE).ok().flatten();
        bytes.and_then(|bytes| u64::try_from(bytes).ok()).unwrap_or(ORDINARY_PAGE_BYTES)
    }
}

impl Cpfs for Local {
    fn present(&self, instance: &InstanceSettings) -> io::Result<Vec<u8>> {
        fs::read(&instance.cpf)
    }

    fn at_next_start(&self, instance: &InstanceSettings) -> io::Result<Vec<u8>> {
        self.present(instance)
    }
}

impl Evidence for Local {
    fn log(&self, instance: &InstanceSettings) -> io::Result<Vec<u8>> {
        fs::read(&instance.messages_log)
    }

    fn log_of_this_run(&self, instance: &InstanceSettings) -> io::Result<Vec<Entry>> {
        evidence::entries_since_last_start(&instance.messages_log).map(|(entries, _)| entries)
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

/// One call: a second one would be a second value to the kernel.
pub fn write_at_once(path: &Path, value: &str) -> Result<(), HostError> {
    let opened = OpenOptions::new().write(true).truncate(true).open(path);
    let mut file = opened.map_err(|source| HostError::of_parameter("open for writing", path, source))?;
    let line = format!("{value}\n");
    let written: io::Result<usize> = file.write(line.as_bytes());
    let count = written.map_err(|source| HostError::io("write", path.to_owned(), source))?;
    if count == line.len() { Ok(()) } else { Err(HostError::Short(path.to_owned())) }
}
