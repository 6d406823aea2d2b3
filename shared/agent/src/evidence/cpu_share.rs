//! The control group that holds the processes of an instance, and its share of the CPUs. Reads only.

use std::{
    collections::BTreeSet,
    fs, io,
    path::{Component, Path, PathBuf},
};

use super::Process;

/// `cpu.shares` of version 1 that stands for a weight of 100.
const SHARES_OF_100: u64 = 1024;
const MOST_SHARES: u64 = 262_144;
const LEAST_SHARES: u64 = 2;

/// Which of the two kernel interfaces shares out the CPUs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum GroupVersion {
    One,
    Two,
}

/// The control group of some processes, as far as it shares out CPUs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CpuGroup {
    pub version: GroupVersion,
    /// Below the mount of the controller; `/` is the whole host.
    pub path: PathBuf,
    /// The folder of the group.
    pub folder: PathBuf,
}

/// Why no such group can be named.
#[derive(Debug, thiserror::Error)]
pub enum GroupError {
    #[error("there is no process to look at")]
    NoProcess,
    #[error("process {0} shows no control group with a share of the CPUs")]
    NoController(u32),
    #[error("could not look at control group \"{}\"", path.display())]
    Io {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error("\"{}\" holds \"{shown}\", which is no share of the CPUs", path.display())]
    Strange { path: PathBuf, shown: String },
}

impl CpuGroup {
    /// The smallest group that holds all of the processes. `proc_root` is usually `/proc`; the folder `sys` beside it
    /// stands for `/sys`.
    pub fn of(proc_root: &Path, processes: &[Process]) -> Result<Self, GroupError> {
        let mut common: Option<(GroupVersion, PathBuf, PathBuf)> = None;
        let mounts = proc_root.with_file_name("sys").join("fs/cgroup");
        for process in processes {
            let Ok(text) = fs::read_to_string(process.folder(proc_root).join("cgroup")) else {
                continue; // It has ended meanwhile.
            };
            let (version, mount, path) = place(&text, &mounts).ok_or(GroupError::NoController(process.id))?;
            common = Some(match common {
                None => (version, mount, path),
                Some((version, mount, other)) => (version, mount, shared_part(&other, &path)),
            });
        }
        let (version, mount, path) = common.ok_or(GroupError::NoProcess)?;
        let folder = mount.join(path.strip_prefix("/").unwrap_or(&path));
        Ok(Self { version, path, folder })
    }

    /// Is it the whole host, or the whole of what a container sees? Such a group has no share of its own.
    pub fn is_root(&self) -> bool {
        self.path == Path::new("/")
    }

    /// The file that holds the share.
    pub fn file(&self) -> PathBuf {
        self.folder.join(match self.version {
            GroupVersion::One => "cpu.shares",
            GroupVersion::Two => "cpu.weight",
        })
    }

    /// What the file holds, as it stands there.
    pub fn raw(&self) -> Result<String, GroupError> {
        let path = self.file();
        match fs::read_to_string(&path) {
            Ok(text) => Ok(text.trim().to_owned()),
            Err(source) => Err(GroupError::Io { path, source }),
        }
    }

    /// The share as a weight of 1 to 10000, whatever the version.
    pub fn weight(&self, raw: &str) -> Result<u64, GroupError> {
        let strange = || GroupError::Strange { path: self.file(), shown: raw.chars().take(40).collect() };
        let number: u64 = raw.parse().map_err(|_| strange())?;
        Ok(match self.version {
            GroupVersion::One => rounded(number.saturating_mul(100), SHARES_OF_100).clamp(1, 10_000),
            GroupVersion::Two => number,
        })
    }

    /// What is to be written for a weight; the kernel's own arithmetic between the two versions.
    pub fn raw_of(&self, weight: u64) -> String {
        match self.version {
            GroupVersion::One => {
                rounded(weight.saturating_mul(SHARES_OF_100), 100).clamp(LEAST_SHARES, MOST_SHARES)
            }
            GroupVersion::Two => weight,
        }
        .to_string()
    }

    /// The processes in the group and the groups below it.
    pub fn members(&self) -> Result<BTreeSet<u32>, GroupError> {
        let mut members = BTreeSet::new();
        let mut folders = vec![self.folder.clone()];
        while let Some(folder) = folders.pop() {
            let read = fs::read_to_string(folder.join("cgroup.procs"));
            let failed = |source| GroupError::Io { path: folder.clone(), source };
            members.extend(read.map_err(failed)?.lines().filter_map(|line| line.trim().parse::<u32>().ok()));
            let entries = fs::read_dir(&folder).map_err(failed)?.flatten();
            folders.extend(
                entries
                    .filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()))
                    .map(|entry| entry.path()),
            );
        }
        Ok(members)
    }
}

/// Version, mount and path of the group in the text of `/proc/<pid>/cgroup`.
fn place(text: &str, mounts: &Path) -> Option<(GroupVersion, PathBuf, PathBuf)> {
    let lines = || text.lines().filter_map(|line| line.split_once(':')?.1.split_once(':'));
    let path = |path: &str| {
        let path = PathBuf::from(path);
        // `/../x` is what a process outside of our own name space shows.
        let plain = path.components().all(|part| matches!(part, Component::RootDir | Component::Normal(_)));
        (path.is_absolute() && plain).then_some(path)
    };
    if let Some((controllers, group)) = lines().find(|(names, _)| names.split(',').any(|name| name == "cpu"))
    {
        let together = mounts.join(controllers);
        let mount = if together.is_dir() { together } else { mounts.join("cpu") };
        return Some((GroupVersion::One, mount, path(group)?));
    }
    let (_, group) = lines().find(|(names, _)| names.is_empty())?;
    let mount =
        if mounts.join("cgroup.controllers").exists() { mounts.to_owned() } else { mounts.join("unified") };
    Some((GroupVersion::Two, mount, path(group)?))
}

fn shared_part(one: &Path, other: &Path) -> PathBuf {
    one.components().zip(other.components()).take_while(|(a, b)| a == b).map(|(part, _)| part).collect()
}

fn rounded(number: u64, by: u64) -> u64 {
    number.saturating_add(by / 2) / by
}

#[cfg(test)]
mod tests {
    use super::*;

    const V1: &str = "5:cpuset:/\n4:cpu,cpuacct:/iris.slice/prod.service\n0::/iris.slice/prod.service\n";
    const V2: &str = "0::/iris.slice/prod.service\n";

    #[test]
    fn both_versions_name_their_place() {
        let folder = tempfile::tempdir().unwrap();
        let mounts = folder.path();
        let group = |text| {
            place(text, mounts)
                .map(|(version, mount, path)| (version, mount.join(path.strip_prefix("/").unwrap())))
        };
        let one = (GroupVersion::One, mounts.join("cpu/iris.slice/prod.service"));
        assert_eq!(group(V1), Some(one));
        fs::create_dir(mounts.join("cpu,cpuacct")).unwrap();
        assert_eq!(group(V1).unwrap().1, mounts.join("cpu,cpuacct/iris.slice/prod.service"));
        fs::write(mounts.join("cgroup.controllers"), "cpu\n").unwrap();
        assert_eq!(group(V2), Some((GroupVersion::Two, mounts.join("iris.slice/prod.service"))));
        for nowhere in ["", "1:memory:/x\n", "0::/../x\n", "0::x\n"] {
            assert_eq!(group(nowhere), None, "{nowhere:?}");
        }
    }

    #[test]
    fn weights_and_shares_are_turned_into_each_other_as_the_kernel_does() {
        let group = |version| CpuGroup { version, path: "/x".into(), folder: "/x".into() };
        let (one, two) = (group(GroupVersion::One), group(GroupVersion::Two));
        for (weight, shares) in [(1, "10"), (50, "512"), (100, "1024"), (200, "2048"), (10_000, "102400")] {
            assert_eq!((one.raw_of(weight).as_str(), one.weight(shares).unwrap()), (shares, weight));
            assert_eq!(
                (two.raw_of(weight), two.weight(&weight.to_string()).unwrap()),
                (weight.to_string(), weight)
            );
        }
        for weight in 1..=10_000 {
            assert_eq!(one.weight(&one.raw_of(weight)).unwrap(), weight);
        }
        assert_eq!((one.weight("2").unwrap(), one.weight("262144").unwrap()), (1, 10_000));
        assert!(two.weight("idle").is_err());
    }

    #[test]
    fn the_smallest_group_of_all_processes_is_taken_with_everybody_in_it() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path();
        let process = |id: u32, group: &str| {
            let place = root.join("proc").join(id.to_string());
            fs::create_dir_all(&place).unwrap();
            fs::write(place.join("cgroup"), format!("0::{group}\n")).unwrap();
            Process { id, parent: 1, started: 1, name: "irisdb".to_owned() }
        };
        let processes = [process(1, "/iris/a"), process(2, "/iris/b"), process(3, "/iris")];
        let mounts = root.join("sys/fs/cgroup");
        for (group, members) in [("iris", "3\n"), ("iris/a", "1\n"), ("iris/b", "2\n7\n")] {
            fs::create_dir_all(mounts.join(group)).unwrap();
            fs::write(mounts.join(group).join("cgroup.procs"), members).unwrap();
        }
        fs::write(mounts.join("cgroup.controllers"), "").unwrap();
        fs::write(mounts.join("iris/cpu.weight"), "100\n").unwrap();
        let group = CpuGroup::of(&root.join("proc"), &processes).unwrap();
        assert_eq!((group.path.to_str(), group.is_root()), (Some("/iris"), false));
        assert_eq!(group.members().unwrap(), BTreeSet::from([1, 2, 3, 7]));
        assert_eq!(group.raw().unwrap(), "100");
        let apart = [processes[0].clone(), process(4, "/other")];
        assert!(CpuGroup::of(&root.join("proc"), &apart).unwrap().is_root());
        assert!(matches!(CpuGroup::of(&root.join("proc"), &[]), Err(GroupError::NoProcess)));
    }
}
