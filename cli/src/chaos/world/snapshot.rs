//! The world at one moment, and what differs between two: parameters, kernel values, files, processes, starts.

use std::{
    collections::BTreeMap,
    fs, io,
    path::{Path, PathBuf},
};

use instance_iris::cpf::Document;
use instance_scenario::{Change, Target};

/// The world at one moment. What the instance writes for itself is left out: its logs, journals, databases, WIJ.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Snapshot {
    /// Bytes of `iris.cpf`, and what stands in it.
    cpf: Vec<u8>,
    parameters: BTreeMap<(String, String), String>,
    /// Kernel values by name, from the host's folder and from drop-ins that keep them over a reboot.
    kernel: BTreeMap<String, String>,
    /// Every other file of instance and host: its path, and what is in it.
    files: BTreeMap<String, Vec<u8>>,
}

const ABSENT: &str = "absent";

impl Snapshot {
    pub fn take(instance: &Path, host: &Path, pipeline: &Path) -> io::Result<Self> {
        let mut found = BTreeMap::new();
        collect(instance, instance, &mut found)?;
        let cpf = found.remove("iris.cpf").unwrap_or_default();
        let mut snapshot = Self { parameters: parameters(&cpf), cpf, ..Self::default() };
        snapshot.files = found;
        let mut of_host = BTreeMap::new();
        collect(host, host, &mut of_host)?;
        for (path, bytes) in of_host {
            match path.strip_prefix("sys/") {
                Some(name) => {
                    let value = String::from_utf8_lossy(&bytes).trim().to_owned();
                    snapshot.kernel.insert(name.replace('/', "."), value);
                }
                None => drop(snapshot.files.insert(format!("host/{path}"), bytes)),
            }
        }
        let mut drop_ins = BTreeMap::new();
        if pipeline.join("sysctl.d").is_dir() {
            collect(pipeline, &pipeline.join("sysctl.d"), &mut drop_ins)?;
        }
        for bytes in drop_ins.values() {
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
        told
    }
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

/// What an instance writes by itself while it lives, and what tells the stand-in about its users.
fn is_the_instances_own(path: &str) -> bool {
    let name = path.rsplit('/').next().unwrap_or(path);
    let is_journal = name.len() > 9
        && name.split_once('.').is_some_and(|(day, number)| {
            day.len() == 8 && [day, number].iter().all(|it| it.bytes().all(|byte| byte.is_ascii_digit()))
        });
    let own = [
        "messages.log",
        "alerts.log",
        "iris.ids",
        "iris.shid",
        "IRIS.WIJ",
        "ilock",
        "IRIS.DAT",
        "iris.lck",
        "_LastGood_.cpf",
        "sim.toml",
    ];
    is_journal || own.contains(&name) || name.starts_with("messages.old_") || name.contains(".sock")
}

fn collect(root: &Path, folder: &Path, files: &mut BTreeMap<String, Vec<u8>>) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let (path, kind) = (entry.path(), entry.file_type()?);
        if kind.is_dir() {
            collect(root, &path, files)?;
        } else if kind.is_file()
            && let Ok(name) = path.strip_prefix(root)
            // A file may be gone again; a database may be large, and is the instance's own.
            && !is_the_instances_own(&name.to_string_lossy())
            && let Ok(bytes) = fs::read(&path)
        {
            files.insert(name.to_string_lossy().into_owned(), bytes);
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

/// How often the log says that the system came up.
pub fn starts(log: &str) -> usize {
    log.matches("Startup of InterSystems IRIS").count()
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
        let look = || Snapshot::take(&instance, &host, &folder.path().join("pipeline")).unwrap();
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
    fn a_comment_that_changes_in_the_cpf_is_a_change_of_the_file() {
        let folder = tempfile::tempdir().unwrap();
        let (instance, host) = world(folder.path());
        let look = || Snapshot::take(&instance, &host, folder.path()).unwrap();
        let before = look();
        let text = fs::read_to_string(instance.join("iris.cpf")).unwrap();
        fs::write(instance.join("iris.cpf"), format!("{text}; somebody was here\n")).unwrap();
        assert_eq!(before.changes(&look())[0].target, Target::File("iris.cpf".to_owned()));
    }
}
