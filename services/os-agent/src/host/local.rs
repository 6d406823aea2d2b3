//! The host on which this process runs, or a folder that looks like one.

use std::{
    fs::{self, OpenOptions},
    io::{self, ErrorKind, Write},
    path::{Path, PathBuf},
    time::Duration,
};

use instance_agent::{
    InstanceSettings, Work,
    evidence::{self, CpuGroup, GroupError, Process, allowed_cpus, processes_of},
};
use instance_contract::{Failure, Verification, Verify};
use instance_iris::messages_log::Entry;
use instance_knowledge::{CpuList, KernelParameter, KernelRoot};
use nix::{
    errno::Errno,
    sched::{CpuSet, sched_setaffinity},
    sys::statfs::{PROC_SUPER_MAGIC, statfs},
    unistd::{Pid, SysconfVar, sysconf},
};

use super::{Host, Thread, drop_in::DropIn};
use crate::{config::Config, error::HostError, huge_pages::HostMemory, writer};

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

    fn path(&self, parameter: &KernelParameter) -> Result<PathBuf, HostError> {
        match parameter.root {
            KernelRoot::Proc => Ok(self.proc_root.join(&parameter.path)),
            KernelRoot::Sys => Ok(self.sys().join(&parameter.path)),
            KernelRoot::Process => Err(HostError::Absent(self.proc_root.join(&parameter.name))),
        }
    }

    fn sys(&self) -> PathBuf {
        self.proc_root.with_file_name("sys")
    }

    fn processes(&self, instance: &InstanceSettings) -> Result<Vec<Process>, HostError> {
        processes_of(&instance.view(&self.iris_command, &self.proc_root))
            .map_err(|source| HostError::io("list the processes in", self.proc_root.clone(), source))
    }

    fn task(&self, process: u32, thread: u32) -> PathBuf {
        self.proc_root.join(process.to_string()).join("task").join(thread.to_string())
    }

    /// Is that still the thread that was looked at?
    fn is_same(&self, thread: &Thread) -> bool {
        Process::at(&self.task(thread.process, thread.id)).is_some_and(|now| now.started == thread.started)
    }
}

impl Host for Local {
    fn read(&self, parameter: &KernelParameter) -> Result<String, HostError> {
        let path = self.path(parameter)?;
        let bytes = fs::read(&path).map_err(|source| HostError::of_parameter("read", &path, source))?;
        let shown = String::from_utf8_lossy(&bytes[..bytes.len().min(LIMIT_BYTES)]).into_owned();
        parameter.shown_value(&shown).ok_or_else(|| HostError::strange(path, &shown))
    }

    fn write(&self, parameter: &KernelParameter, value: &str, limit: Duration) -> Result<(), HostError> {
        let path = self.path(parameter)?;
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

    fn drop_in(&self, parameter: &str) -> Result<Option<String>, HostError> {
        DropIn::of(&self.sysctl_dir, parameter).read()
    }

    fn put_drop_in(&self, parameter: &str, text: Option<&str>) -> Result<(), HostError> {
        DropIn::of(&self.sysctl_dir, parameter).put(text)
    }

    fn drop_in_path(&self, parameter: &str) -> PathBuf {
        DropIn::of(&self.sysctl_dir, parameter).path().to_owned()
    }

    fn overriding(&self, parameter: &str) -> Vec<PathBuf> {
        DropIn::of(&self.sysctl_dir, parameter).overridden_by()
    }

    fn memory(&self) -> Result<HostMemory, HostError> {
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

    fn online_cpus(&self) -> Result<CpuList, HostError> {
        let path = self.sys().join("devices/system/cpu/online");
        let text =
            fs::read_to_string(&path).map_err(|source| HostError::of_parameter("read", &path, source))?;
        text.trim().parse().map_err(|_| HostError::strange(path, &text))
    }

    fn threads(&self, instance: &InstanceSettings) -> Result<Vec<Thread>, HostError> {
        let mut threads = Vec::new();
        for process in self.processes(instance)? {
            for thread in process.threads(&self.proc_root) {
                let folder = self.task(process.id, thread.id);
                let cpus = match allowed_cpus(&folder) {
                    Ok(cpus) => cpus,
                    // It has ended meanwhile.
                    Err(_) if !folder.exists() => continue,
                    Err(error) => return Err(HostError::io("read the CPUs of", folder, error)),
                };
                let (id, started) = (thread.id, thread.started);
                threads.push(Thread { process: process.id, parent: process.parent, id, started, cpus });
            }
        }
        Ok(threads)
    }

    fn set_cpus(&self, thread: &Thread, cpus: &CpuList) -> Result<(), HostError> {
        let folder = self.task(thread.process, thread.id);
        let failed = |errno: Errno| match errno {
            Errno::ESRCH | Errno::ENOENT => HostError::Ended(thread.id),
            errno => HostError::io(SET_CPUS, folder.clone(), errno),
        };
        // The ids of a made-up host are those of somebody else here.
        if statfs(&folder).map_err(failed)?.filesystem_type() != PROC_SUPER_MAGIC {
            return Err(HostError::NotThisHost(folder));
        }
        if !self.is_same(thread) {
            return Err(HostError::Ended(thread.id));
        }
        let mut set = CpuSet::new();
        for cpu in cpus.iter() {
            set.set(cpu as usize).map_err(failed)?;
        }
        let id = i32::try_from(thread.id).map_err(|_| HostError::Ended(thread.id))?;
        sched_setaffinity(Pid::from_raw(id), &set).map_err(failed)
    }

    fn cpu_group(&self, instance: &InstanceSettings) -> Result<CpuGroup, HostError> {
        let processes = self.processes(instance)?;
        let group = CpuGroup::of(&self.proc_root, &processes).map_err(group_error)?;
        if group.is_root() {
            return Err(HostError::NoGroup);
        }
        let ours: Vec<u32> = processes.iter().map(|process| process.id).collect();
        let others: Vec<String> = group
            .members()
            .map_err(group_error)?
            .into_iter()
            .filter(|id| !ours.contains(id))
            .filter_map(|id| Process::at(&self.proc_root.join(id.to_string())))
            // Since the list was made an instance may have started one more.
            .filter(|process| !ours.contains(&process.parent))
            .map(|process| format!("{} ({})", process.name, process.id))
            .collect();
        if others.is_empty() {
            return Ok(group);
        }
        Err(HostError::SharedGroup { path: group.path, others: others.into_iter().take(5).collect() })
    }

    fn read_share(&self, file: &Path) -> Result<Option<String>, HostError> {
        match fs::read_to_string(file) {
            Ok(text) => Ok(Some(text.trim().to_owned())),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            // What a removed group answers.
            Err(error) if error.raw_os_error() == Some(Errno::ENODEV as i32) => Ok(None),
            Err(error) => Err(HostError::io("read", file.to_owned(), error)),
        }
    }

    fn write_share(&self, file: &Path, raw: &str) -> Result<(), HostError> {
        write_at_once(file, raw)
    }

    fn cpf(&self, instance: &InstanceSettings) -> io::Result<Vec<u8>> {
        fs::read(&instance.cpf)
    }

    fn log(&self, instance: &InstanceSettings) -> io::Result<Vec<u8>> {
        fs::read(&instance.messages_log)
    }

    fn log_of_this_run(&self, instance: &InstanceSettings) -> io::Result<Vec<Entry>> {
        evidence::entries_since_last_start(&instance.messages_log).map(|(entries, _)| entries)
    }

    fn told_by_oldest_process(&self, instance: &InstanceSettings, name: &str) -> Option<String> {
        let oldest = self.processes(instance).ok()?.into_iter().next()?;
        fs::read_to_string(oldest.folder(&self.proc_root).join(name)).ok()
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

/// What needs a right of its own.
pub(crate) const SET_CPUS: &str = "set the CPUs of";

/// One call: a second one would be a second value to the kernel.
pub(crate) fn write_at_once(path: &Path, value: &str) -> Result<(), HostError> {
    let opened = OpenOptions::new().write(true).truncate(true).open(path);
    let mut file = opened.map_err(|source| HostError::of_parameter("open for writing", path, source))?;
    let line = format!("{value}\n");
    let written: io::Result<usize> = file.write(line.as_bytes());
    let count = written.map_err(|source| HostError::io("write", path.to_owned(), source))?;
    if count == line.len() { Ok(()) } else { Err(HostError::Short(path.to_owned())) }
}

fn group_error(error: GroupError) -> HostError {
    match error {
        GroupError::NoProcess => HostError::NoProcesses,
        GroupError::NoController(_) => HostError::NoGroup,
        GroupError::Io { path, source } => HostError::io("read", path, source),
        GroupError::Strange { path, shown } => HostError::strange(path, &shown),
    }
}
