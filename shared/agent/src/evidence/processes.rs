//! The processes of an instance, and what the kernel shows of them. Reads only.
//!
//! A name alone is no proof: other instances have the same one. A process belongs to the instance when it is called as
//! IRIS's only binary and works in the manager directory, or names that directory when it is started
//! (`irisdb -s/usr/irissys/mgr ...`), or when one of its ancestors does.

use std::{
    collections::BTreeSet,
    ffi::OsString,
    fs, io,
    os::unix::ffi::OsStringExt,
    path::{Path, PathBuf},
};

use sysinfo::{ProcessRefreshKind, ProcessesToUpdate, System, UpdateKind};

use super::InstanceView;

/// The name of every process that IRIS itself starts.
const BINARY: &str = "irisdb";

/// A process at one moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Process {
    pub id: u32,
    pub parent: u32,
    /// In clock ticks since the boot. With the id it names one process for ever: ids come again.
    pub started: u64,
    pub name: String,
}

impl Process {
    /// The process or thread whose folder that is; `None` when it has ended.
    pub fn at(folder: &Path) -> Option<Self> {
        let stat = fs::read_to_string(folder.join("stat")).ok()?;
        // The name stands in brackets and may hold anything, brackets too.
        let (head, tail) = stat.rsplit_once(')')?;
        let (id, name) = head.split_once('(')?;
        let fields: Vec<&str> = tail.split_ascii_whitespace().collect();
        Some(Self {
            id: id.trim().parse().ok()?,
            // The line's fields 4 and 22; the third one follows the name.
            parent: fields.get(1)?.parse().ok()?,
            started: fields.get(19)?.parse().ok()?,
            name: name.to_owned(),
        })
    }

    /// Its folder.
    pub fn folder(&self, proc_root: &Path) -> PathBuf {
        proc_root.join(self.id.to_string())
    }

    /// Its threads by id, with the same figures as of a process; the first one bears the id of the process.
    pub fn threads(&self, proc_root: &Path) -> Vec<Self> {
        let entries = fs::read_dir(self.folder(proc_root).join("task")).into_iter().flatten().flatten();
        let thread = |entry: fs::DirEntry| {
            // The first thread is the process itself, which was looked at already.
            let is_first = entry.file_name().to_str()? == self.id.to_string();
            if is_first { Some(self.clone()) } else { Self::at(&entry.path()) }
        };
        let mut threads: Vec<Self> = entries.filter_map(thread).collect();
        threads.sort_by_key(|thread| thread.id);
        threads
    }
}

/// All processes of the instance, oldest first.
pub fn processes_of(view: &InstanceView) -> io::Result<Vec<Process>> {
    let all =
        if view.proc_root == Path::new("/proc") { of_this_host()? } else { in_folder(&view.proc_root)? };
    let places = places(view);
    let own = all.iter().filter(|found| found.is_its_own(&places));
    let mut ours: BTreeSet<u32> = own.map(|found| found.process.id).collect();
    let mut all: Vec<Process> = all.into_iter().map(|found| found.process).collect();
    loop {
        let known = ours.len();
        let children = all.iter().filter(|process| ours.contains(&process.parent)).map(|process| process.id);
        ours.extend(children.collect::<Vec<_>>());
        if ours.len() == known {
            break;
        }
    }
    all.retain(|process| ours.contains(&process.id));
    all.sort_by_key(|process| (process.started, process.id));
    Ok(all)
}

/// The CPUs that a process or thread may run on, as the kernel writes them (`0-3,8`); its folder is given.
pub fn allowed_cpus(folder: &Path) -> io::Result<String> {
    let status = fs::read_to_string(folder.join("status"))?;
    let list = status.lines().find_map(|line| line.strip_prefix("Cpus_allowed_list:"));
    list.map(|list| list.trim().to_owned()).ok_or_else(|| io::Error::other("no Cpus_allowed_list"))
}

/// The manager directory, under the names by which it may be known.
fn places(view: &InstanceView) -> Vec<PathBuf> {
    let manager = &view.manager_dir;
    let mut places = vec![manager.clone()];
    places.extend(fs::canonicalize(manager).ok().filter(|real| real != manager));
    places
}

/// A process, and what tells whose it is.
#[derive(Debug)]
struct Found {
    process: Process,
    /// `None` where it is hidden: that of somebody else's process is, from whoever lacks `CAP_SYS_PTRACE`.
    cwd: Option<PathBuf>,
    arguments: Vec<OsString>,
}

impl Found {
    fn is_its_own(&self, places: &[PathBuf]) -> bool {
        self.process.name.starts_with(BINARY)
            && (self.cwd.as_ref().is_some_and(|cwd| places.contains(cwd)) || self.names_one_of(places))
    }

    /// Is one of the arguments a place, after an option letter (`-s`, `-w`) or bare?
    fn names_one_of(&self, places: &[PathBuf]) -> bool {
        self.arguments.iter().skip(1).any(|argument| {
            let argument = argument.to_string_lossy();
            let bare =
                argument.strip_prefix("-s").or_else(|| argument.strip_prefix("-w")).unwrap_or(&argument);
            places.iter().any(|place| Path::new(bare) == place)
        })
    }
}

/// What `sysinfo` finds. It tells a start to the second only, so that and the parent come from the kernel's own line.
fn of_this_host() -> io::Result<Vec<Found>> {
    let mut system = System::new().map_err(io::Error::other)?;
    let wanted = ProcessRefreshKind::nothing().with_cmd(UpdateKind::Always).with_cwd(UpdateKind::Always);
    system.refresh_processes_specifics(ProcessesToUpdate::All, true, wanted.without_tasks());
    let found = system.processes().values().filter_map(|seen| {
        let process = Process::at(&Path::new("/proc").join(seen.pid().to_string()))?;
        Some(Found { process, cwd: seen.cwd().map(Path::to_owned), arguments: seen.cmd().to_vec() })
    });
    Ok(found.collect())
}

/// The same from a folder that looks like `/proc`, which `sysinfo` cannot be pointed at.
fn in_folder(proc_root: &Path) -> io::Result<Vec<Found>> {
    let mut all = Vec::new();
    for entry in fs::read_dir(proc_root)? {
        let entry = entry?;
        if entry.file_name().to_str().is_none_or(|name| name.parse::<u32>().is_err()) {
            continue;
        }
        let folder = entry.path();
        let Some(process) = Process::at(&folder) else { continue };
        let line = fs::read(folder.join("cmdline")).unwrap_or_default();
        let arguments = line.split(|byte| *byte == 0).map(|argument| OsString::from_vec(argument.to_vec()));
        all.push(Found {
            process,
            cwd: fs::read_link(folder.join("cwd")).ok(),
            arguments: arguments.collect(),
        });
    }
    Ok(all)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    struct Host {
        folder: tempfile::TempDir,
        view: InstanceView,
    }

    impl Host {
        fn new() -> Self {
            let folder = tempfile::tempdir().unwrap();
            let root = fs::canonicalize(folder.path()).unwrap();
            fs::create_dir_all(root.join("iris/mgr")).unwrap();
            fs::create_dir_all(root.join("proc/self")).unwrap();
            let view = InstanceView {
                name: "PROD".parse().unwrap(),
                cpf: root.join("iris/iris.cpf"),
                messages_log: root.join("logs/messages.log"),
                manager_dir: root.join("iris/mgr"),
                iris_command: None,
                proc_root: root.join("proc"),
            };
            Self { folder, view }
        }

        fn process(&self, id: u32, parent: u32, name: &str, cwd: &str, arguments: &str) {
            let place = self.view.proc_root.join(id.to_string());
            fs::create_dir_all(place.join("task").join(id.to_string())).unwrap();
            let started = 1000 + id;
            let line =
                format!("{id} ({name}) S {parent} 1 1 0 -1 0 0 0 0 0 0 0 0 0 20 0 1 0 {started} 1 1\n");
            fs::write(place.join("stat"), &line).unwrap();
            fs::write(place.join("task").join(id.to_string()).join("stat"), &line).unwrap();
            let root = self.folder.path().canonicalize().unwrap();
            let arguments = arguments.replace("ROOT", root.to_str().unwrap()).replace(' ', "\0");
            fs::write(place.join("cmdline"), format!("{name}\0{arguments}\0")).unwrap();
            if !cwd.is_empty() {
                symlink(root.join(cwd), place.join("cwd")).unwrap();
            }
        }

        fn ids(&self) -> Vec<u32> {
            processes_of(&self.view).unwrap().iter().map(|process| process.id).collect()
        }
    }

    #[test]
    fn an_instance_has_its_own_processes_and_their_children() {
        let host = Host::new();
        host.process(10, 1, "irisdb", "iris/mgr", "");
        host.process(11, 1, "irisdb", "", "-sROOT/iris/mgr -cj -p18");
        host.process(12, 11, "sh (x) y", "", "-c backup");
        host.process(13, 12, "tar", "", "");
        assert_eq!(host.ids(), [10, 11, 12, 13]);
        // Another instance, a namesake without a place, and a shell that works in the folder.
        host.process(20, 1, "irisdb", "other/mgr", "-sROOT/other/mgr");
        host.process(21, 20, "irisdb", "", "");
        host.process(22, 1, "bash", "iris/mgr", "");
        host.process(23, 1, "irisdb", "", "-sROOT/iris/mgr2");
        assert_eq!(host.ids(), [10, 11, 12, 13]);
        assert_eq!(processes_of(&host.view).unwrap()[2].name, "sh (x) y");
        fs::remove_dir_all(&host.view.proc_root).unwrap();
        assert!(processes_of(&host.view).is_err());
    }

    #[test]
    fn processes_of_this_very_host_are_found_with_their_starts() {
        let folder = tempfile::tempdir().unwrap();
        let mgr = folder.path().canonicalize().unwrap().join("mgr");
        fs::create_dir(&mgr).unwrap();
        // As IRIS starts its own: the name of the binary, and the manager directory.
        let mut daemon = std::process::Command::new("/bin/sh");
        daemon.args(["-c", "printf irisdb >/proc/$$/comm; read line"]);
        daemon.current_dir(&mgr).stdin(std::process::Stdio::piped());
        let mut daemon = daemon.spawn().unwrap();
        let view = InstanceView {
            name: "PROD".parse().unwrap(),
            cpf: mgr.join("../iris.cpf"),
            messages_log: mgr.join("messages.log"),
            manager_dir: mgr.clone(),
            iris_command: None,
            proc_root: "/proc".into(),
        };
        let own = PathBuf::from("/proc").join(daemon.id().to_string());
        let began = std::time::Instant::now();
        let found = loop {
            let found = processes_of(&view).unwrap();
            if !found.is_empty() || began.elapsed() > std::time::Duration::from_secs(30) {
                break found;
            }
            std::thread::sleep(std::time::Duration::from_millis(10));
        };
        assert_eq!(found, [Process::at(&own).unwrap()]);
        drop(daemon.stdin.take());
        daemon.wait().unwrap();
        assert_eq!(processes_of(&view).unwrap(), []);
    }

    #[test]
    fn a_process_has_threads_and_cpus() {
        let host = Host::new();
        host.process(10, 1, "irisdb", "iris/mgr", "");
        let process = processes_of(&host.view).unwrap().remove(0);
        assert_eq!(process.threads(&host.view.proc_root), std::slice::from_ref(&process));
        let folder = process.folder(&host.view.proc_root);
        assert!(allowed_cpus(&folder).is_err());
        fs::write(folder.join("status"), "Name:\tirisdb\nCpus_allowed:\t3\nCpus_allowed_list:\t0-1\n")
            .unwrap();
        assert_eq!(allowed_cpus(&folder).unwrap(), "0-1");
    }
}
