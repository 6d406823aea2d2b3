//! The world at one moment, and what differs between two: parameters, kernel values, files, processes, starts.

use std::{
    collections::BTreeMap,
    fs, io,
    path::{Path, PathBuf},
};

use instance_iris::cpf::Document;
use instance_scenario::{Change, Compared, Target, is_journal};
use nix::sys::utsname::uname;

use super::own::{Grown, Purge, is_whole};

/// The world at one moment. Of what the instance writes for itself as much is held as tells whether somebody else has been
/// at it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Snapshot {
    /// Bytes of `iris.cpf`, and what stands in it.
    cpf: Vec<u8>,
    parameters: BTreeMap<(String, String), String>,
    /// Kernel values by name, from the host's folder and from drop-ins that keep them over a reboot.
    kernel: BTreeMap<String, String>,
    /// Every other file of instance and host: its path, and what is in it.
    files: BTreeMap<String, Vec<u8>>,
    /// Databases and journal files.
    grown: BTreeMap<String, Grown>,
    /// What the instance replaces, and whether it is whole.
    present: BTreeMap<String, bool>,
    purge: Purge,
}

const ABSENT: &str = "absent";

impl Snapshot {
    /// `speed`: how many times faster than with a real instance its waits pass.
    pub fn take(instance: &Path, host: &Path, pipeline: &Path, speed: u32) -> io::Result<Self> {
        let mut snapshot = Self::default();
        collect(instance, instance, &mut snapshot)?;
        snapshot.cpf = snapshot.files.remove("iris.cpf").unwrap_or_default();
        snapshot.parameters = parameters(&snapshot.cpf);
        snapshot.purge = Purge::of(instance, &snapshot.parameters, speed);
        let mut of_host = Self::default();
        collect(host, host, &mut of_host)?;
        for (path, bytes) in of_host.files {
            match path.strip_prefix("sys/") {
                Some(name) => {
                    let value = String::from_utf8_lossy(&bytes).trim().to_owned();
                    snapshot.kernel.insert(name.replace('/', "."), value);
                }
                None => drop(snapshot.files.insert(format!("host/{path}"), bytes)),
            }
        }
        let mut drop_ins = Self::default();
        if pipeline.join("sysctl.d").is_dir() {
            collect(pipeline, &pipeline.join("sysctl.d"), &mut drop_ins)?;
        }
        for bytes in drop_ins.files.values() {
            for line in String::from_utf8_lossy(bytes).lines() {
                if let Some((name, value)) = line.split_once('=').filter(|_| !line.starts_with('#')) {
                    snapshot.kernel.insert(format!("{} (kept)", name.trim()), value.trim().to_owned());
                }
            }
        }
        Ok(snapshot)
    }

    /// Everything that differs.
    pub fn changes(&self, after: &Self) -> Vec<Change> {
        let mut told = Vec::new();
        let text = |value: Option<&String>| value.cloned().unwrap_or_else(|| ABSENT.to_owned());
        for key @ (section, parameter) in both(&self.parameters, &after.parameters) {
            let (old, new) = (self.parameters.get(key), after.parameters.get(key));
            if old != new {
                let target = Target::Cpf { section: section.clone(), parameter: parameter.clone() };
                told.push(Change { target, before: text(old), after: text(new) });
            }
        }
        if told.is_empty() && self.cpf != after.cpf {
            told.push(file("iris.cpf", Some(&self.cpf), Some(&after.cpf)));
        }
        let cpf_changed = !told.is_empty();
        for name in both(&self.kernel, &after.kernel) {
            let (old, new) = (self.kernel.get(name), after.kernel.get(name));
            if old != new {
                let target = Target::Kernel(name.trim_end_matches(" (kept)").to_owned());
                told.push(Change { target, before: text(old), after: text(new) });
            }
        }
        for path in both(&self.files, &after.files) {
            let (old, new) = (self.files.get(path), after.files.get(path));
            // A backup belongs to the change of the CPF that it was made for.
            let is_backup = cpf_changed && path.starts_with("iris.cpf_instance_");
            if old != new && !is_backup {
                told.push(file(path, old, new));
            }
        }
        told.extend(self.of_the_instances_own(after));
        told
    }

    /// A file may be gone again by now.
    fn hold(&mut self, name: String, path: &Path) {
        match Compared::of(&name) {
            Compared::Never => {}
            Compared::Content => {
                if let Ok(bytes) = fs::read(path) {
                    self.files.insert(name, bytes);
                }
            }
            Compared::Lock => {
                if let Ok(bytes) = fs::read(path)
                    && !names_this_host(&bytes)
                {
                    self.files.insert(name, bytes);
                }
            }
            Compared::Grown => {
                if let Ok(grown) = Grown::of(path) {
                    self.grown.insert(name, grown);
                }
            }
            Compared::Present => {
                if let Ok(bytes) = fs::read(path) {
                    self.present.insert(name, is_whole(&bytes));
                }
            }
        }
    }

    /// What others have done to the files that the instance writes.
    fn of_the_instances_own(&self, after: &Self) -> Vec<Change> {
        let mut told = Vec::new();
        let mut tell = |path: &str, before: String, after: &str| {
            let target = Target::File(path.to_owned());
            told.push(Change { target, before, after: after.to_owned() });
        };
        for (path, old) in &self.grown {
            let before = format!("{} bytes", old.length);
            match after.grown.get(path) {
                None if is_journal(path) && self.purge.explains(old, &after.purge) => {}
                None => tell(path, before, ABSENT),
                Some(new) if new.inode != old.inode => tell(path, before, "another file"),
                Some(new) if new.length < old.length => tell(path, before, "cut off"),
                Some(new) if new.head != old.head => tell(path, before, "overwritten"),
                Some(_) => {}
            }
        }
        for (path, was_whole) in &self.present {
            match after.present.get(path) {
                None => tell(path, "present".to_owned(), ABSENT),
                Some(is_whole) if *was_whole && !is_whole => tell(path, "whole".to_owned(), "overwritten"),
                Some(_) => {}
            }
        }
        told
    }
}

/// What the instance itself writes into the lock of a database.
fn names_this_host(lock: &[u8]) -> bool {
    uname().is_ok_and(|host| lock.trim_ascii() == host.nodename().as_encoded_bytes())
}

fn file(path: &str, old: Option<&Vec<u8>>, new: Option<&Vec<u8>>) -> Change {
    let told = |bytes: Option<&Vec<u8>>| {
        bytes.map_or_else(|| ABSENT.to_owned(), |bytes| format!("{} bytes", bytes.len()))
    };
    Change { target: Target::File(path.to_owned()), before: told(old), after: told(new) }
}

fn both<'a, K: Ord, V>(a: &'a BTreeMap<K, V>, b: &'a BTreeMap<K, V>) -> impl Iterator<Item = &'a K> {
    a.keys().chain(b.keys().filter(|key| !a.contains_key(*key)))
}

/// Repeated lines are one value here, so that none of them can come or go unseen.
fn parameters(cpf: &[u8]) -> BTreeMap<(String, String), String> {
    let document = Document::parse(cpf);
    let mut values: BTreeMap<(String, String), String> = BTreeMap::new();
    for entry in document.all_entries() {
        let key = (entry.section.unwrap_or_default().to_owned(), entry.name.to_owned());
        let value = values.entry(key).or_default();
        if !value.is_empty() {
            value.push_str(" | ");
        }
        value.push_str(entry.value);
    }
    values
}

fn collect(root: &Path, folder: &Path, found: &mut Snapshot) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let (path, kind) = (entry.path(), entry.file_type()?);
        if kind.is_dir() {
            collect(root, &path, found)?;
        } else if kind.is_file()
            && let Ok(name) = path.strip_prefix(root)
        {
            found.hold(name.to_string_lossy().into_owned(), &path);
        }
    }
    Ok(())
}

/// Role and id of every process of that program that is alive.
pub fn processes(program: &Path) -> io::Result<Vec<(String, i32)>> {
    let (program, mut found): (PathBuf, Vec<(String, i32)>) = (program.to_owned(), Vec::new());
    for entry in fs::read_dir("/proc")? {
        let entry = entry?;
        let Some(pid) = entry.file_name().to_str().and_then(|name| name.parse::<i32>().ok()) else {
            continue;
        };
        // A process may end while we look, and a dead one that nobody has reaped has no command line.
        let Ok(line) = fs::read(entry.path().join("cmdline")) else { continue };
        let words: Vec<&[u8]> = line.split(|byte| *byte == 0).collect();
        match words.as_slice() {
            [path, b"daemon", role, ..] if *path == program.as_os_str().as_encoded_bytes() => {
                found.push((String::from_utf8_lossy(role).into_owned(), pid));
            }
            [path, b"control-process", ..] if *path == program.as_os_str().as_encoded_bytes() => {
                found.push(("CONTROL".to_owned(), pid));
            }
            _ => {}
        }
    }
    Ok(found)
}

/// What each start writes that got as far as shared memory.
const START: &str = "Startup of InterSystems IRIS";
const KILLED: &str = "irisforce killed";

/// How often the log says that the system came up.
pub fn starts(log: &str) -> usize {
    log.matches(START).count()
}

/// How often the log says that the instance was killed on request. What was frozen and was stopped in order forces itself
/// in the end: that is no such request.
pub fn kills(log: &str) -> usize {
    let of_itself = log.matches("WDSTOP set, system being forced").count();
    log.matches(KILLED).count().saturating_sub(of_itself)
}

/// How often the log says that a running instance was stopped in order. A start that ends itself because it cannot go on
/// writes the same line, and was stopped by nobody.
pub fn stops(log: &str) -> usize {
    log.split(START).skip(1).filter(|run| was_stopped(run)).count()
}

/// Whether the last start of the log ended because somebody stopped it or forced it down.
pub fn ended_on_request(log: &str) -> bool {
    log.rsplit(START).next().is_some_and(|run| was_stopped(run) || run.contains(KILLED))
}

fn was_stopped(run: &str) -> bool {
    run.contains("shutting down InterSystems IRIS") && !run.contains("Shutting down the system")
}

/// The log of the start before the last one, and of the last. Each start but the first of an installation begins with
/// a banner.
pub fn starts_apart(log: &str) -> [&str; 2] {
    const BANNER: &str = "*** Recovery started";
    let last = log.rfind(BANNER).unwrap_or_default();
    let (before, last) = log.split_at(last);
    [&before[before.rfind(BANNER).unwrap_or_default()..], last]
}

#[cfg(test)]
mod tests {
    use std::fs::File;

    use super::*;

    fn world(folder: &Path) -> (PathBuf, PathBuf) {
        let (instance, host) = (folder.join("CHAOS"), folder.join("host"));
        fs::create_dir_all(instance.join("mgr/journal")).unwrap();
        fs::create_dir_all(host.join("sys/vm")).unwrap();
        fs::write(instance.join("iris.cpf"), "[config]\nglobals=0,0,256,0,0,0\nmemlock=0\n").unwrap();
        fs::write(instance.join("mgr/iris.key"), "users=64\n").unwrap();
        fs::write(host.join("sys/vm/swappiness"), "60\n").unwrap();
        (instance, host)
    }

    #[test]
    fn every_difference_is_told_by_its_target_and_the_instances_own_files_are_not() {
        let folder = tempfile::tempdir().unwrap();
        let (instance, host) = world(folder.path());
        let look = || Snapshot::take(&instance, &host, &folder.path().join("pipeline"), 80).unwrap();
        let before = look();
        assert_eq!(before.changes(&look()), []);
        fs::write(instance.join("mgr/messages.log"), "much").unwrap();
        fs::write(instance.join("mgr/journal/20260101.001"), "much").unwrap();
        assert_eq!(before.changes(&look()), []);

        fs::write(instance.join("iris.cpf"), "[config]\nglobals=0,0,512,0,0,0\nmemlock=0\nmemlock=0\n")
            .unwrap();
        fs::write(instance.join("iris.cpf_instance_1"), "backup").unwrap();
        fs::remove_file(instance.join("mgr/iris.key")).unwrap();
        fs::write(host.join("sys/vm/swappiness"), "5\n").unwrap();
        fs::create_dir_all(folder.path().join("pipeline/sysctl.d")).unwrap();
        fs::write(folder.path().join("pipeline/sysctl.d/90.conf"), "# ours\nvm.swappiness = 5\n").unwrap();
        let told: Vec<String> = before
            .changes(&look())
            .iter()
            .map(|change| format!("{}: {} -> {}", change.target, change.before, change.after))
            .collect();
        assert_eq!(
            told,
            [
                "cpf [config] globals: 0,0,256,0,0,0 -> 0,0,512,0,0,0",
                "cpf [config] memlock: 0 -> 0 | 0",
                "kernel vm.swappiness: 60 -> 5",
                "kernel vm.swappiness: absent -> 5",
                "file mgr/iris.key: 9 bytes -> absent",
            ]
        );
    }

    #[test]
    fn what_others_do_to_the_files_of_the_instance_is_told_and_what_it_does_itself_is_not() {
        let folder = tempfile::tempdir().unwrap();
        let (instance, host) = world(folder.path());
        let look = || Snapshot::take(&instance, &host, folder.path(), 1000).unwrap();
        let file = |path: &str| instance.join("mgr").join(path);
        let write = |path: &str, bytes: &[u8]| {
            fs::create_dir_all(file(path).parent().unwrap()).unwrap();
            fs::write(file(path), bytes).unwrap();
        };
        let own_lock = format!("{}\n", uname().unwrap().nodename().display());
        let (first, second) = ("journal/20260101.001", "journal/20260101.002");
        write("user/IRIS.DAT", &[0; 10]);
        write("irisaudit/iris.lck", b"db-host-2\n");
        write("IRIS.WIJ", b"{}");
        write(first, &[0; 10]);
        write(second, b"");
        write("messages.log", b"");
        let before = look();
        let told = || -> Vec<String> {
            let changes = before.changes(&look());
            changes.iter().map(|it| format!("{}: {} -> {}", it.target, it.before, it.after)).collect()
        };
        write("iristemp/iris.lck", own_lock.as_bytes());
        // A database and a journal file grow, the WIJ is replaced, and an old journal file is purged after a switch.
        write("user/IRIS.DAT", &[0; 20]);
        write(second, &[0; 10]);
        fs::remove_file(file("IRIS.WIJ")).unwrap();
        write("IRIS.WIJ", b"{\"active\":true}");
        let long_ago = std::time::UNIX_EPOCH + std::time::Duration::from_secs(1);
        File::options().write(true).open(file(first)).unwrap().set_modified(long_ago).unwrap();
        let aged = look();
        fs::remove_file(file(first)).unwrap();
        let gone = "file mgr/journal/20260101.001: 10 bytes -> absent";
        assert_eq!(told(), [gone], "too young when it was seen, and nothing was switched");
        write("messages.log", b"JOURNALING SYSTEM MESSAGE\nJournaling switched to: x\n");
        assert_eq!(aged.changes(&look()), []);
        assert_eq!(told(), [gone]);

        fs::remove_file(file("irisaudit/iris.lck")).unwrap();
        fs::remove_file(file("IRIS.WIJ")).unwrap();
        write("user/IRIS.DAT", b"garbage that is longer than it was");
        fs::rename(file(second), file("kept")).unwrap();
        write(second, &[0; 10]);
        fs::remove_file(file("kept")).unwrap();
        assert_eq!(
            told(),
            [
                "file mgr/irisaudit/iris.lck: 10 bytes -> absent",
                gone,
                "file mgr/journal/20260101.002: 0 bytes -> another file",
                "file mgr/user/IRIS.DAT: 10 bytes -> overwritten",
                "file mgr/IRIS.WIJ: present -> absent",
            ]
        );
    }

    #[test]
    fn only_a_kill_that_was_asked_for_counts() {
        let asked = "irisforce killed 6 system and 0 user processes.";
        let of_itself = "2 [Utility.Event] WDSTOP set, system being forced\n0 irisforce killed 0 system and 1 user processes.";
        assert_eq!((kills(asked), kills(of_itself), kills(&format!("{of_itself}\n{asked}"))), (1, 0, 1));
    }

    #[test]
    fn a_start_that_ends_itself_was_stopped_by_nobody() {
        let stopped = "Startup of InterSystems IRIS [..]\nUser 'root' shutting down InterSystems IRIS\nShutdown complete\n";
        let gave_up = "Startup of InterSystems IRIS [..]\nError: Parsing CPF file x - Shutting down the system : y\n\
                       User 'root' shutting down InterSystems IRIS\nShutdown complete\n";
        let killed = "Startup of InterSystems IRIS [..]\nirisforce killed 6 system and 0 user processes.\n";
        let running = "Startup of InterSystems IRIS [..]\nEnabling logons\n";
        let told = |runs: &[&str]| (stops(&runs.concat()), ended_on_request(&runs.concat()));
        assert_eq!(told(&[stopped]), (1, true));
        assert_eq!(told(&[stopped, gave_up]), (1, false));
        assert_eq!(told(&[stopped, running]), (1, false));
        assert_eq!(told(&[running, killed]), (0, true));
        assert_eq!(told(&[]), (0, false));
    }

    #[test]
    fn a_comment_that_changes_in_the_cpf_is_a_change_of_the_file() {
        let folder = tempfile::tempdir().unwrap();
        let (instance, host) = world(folder.path());
        let look = || Snapshot::take(&instance, &host, folder.path(), 80).unwrap();
        let before = look();
        let text = fs::read_to_string(instance.join("iris.cpf")).unwrap();
        fs::write(instance.join("iris.cpf"), format!("{text}; somebody was here\n")).unwrap();
        assert_eq!(before.changes(&look())[0].target, Target::File("iris.cpf".to_owned()));
    }
}
