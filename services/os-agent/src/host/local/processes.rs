//! The processes of instances below `/proc`, and the CPUs that the kernel gives them.

use std::{
    fs,
    io::ErrorKind,
    path::{Path, PathBuf},
};

use instance_agent::{
    InstanceSettings,
    evidence::{CpuGroup, GroupError, Process, allowed_cpus, processes_of},
};
use instance_knowledge::CpuList;
use nix::{
    errno::Errno,
    sched::{CpuSet, sched_setaffinity},
    sys::statfs::{PROC_SUPER_MAGIC, statfs},
    unistd::Pid,
};

use super::{Local, write_at_once};
use crate::{
    error::HostError,
    host::{Processes, Thread},
};

/// What needs a right of its own.
pub const SET_CPUS: &str = "set the CPUs of";

impl Processes for Local {
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

    fn told_by_oldest(&self, instance: &InstanceSettings, name: &str) -> Option<String> {
        let oldest = self.processes(instance).ok()?.into_iter().next()?;
        fs::read_to_string(oldest.folder(&self.proc_root).join(name)).ok()
    }
}

impl Local {
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

fn group_error(error: GroupError) -> HostError {
    match error {
        GroupError::NoProcess => HostError::NoProcesses,
        GroupError::NoController(_) => HostError::NoGroup,
        GroupError::Io { path, source } => HostError::io("read", path, source),
        GroupError::Strange { path, shown } => HostError::strange(path, &shown),
    }
}
