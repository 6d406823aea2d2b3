//! The processes of an instance: as the made-up host shows them to the agents, and as the real kernel shows them to us.
//!
//! The files of a process are links to those of the real one, so that whoever moves it to other CPUs moves it really. Only
//! its control group is made up: a real one belongs to root.

use std::{
    collections::BTreeSet,
    fs,
    os::unix::fs::symlink,
    path::{Path, PathBuf},
};

use crate::{
    processes::{Iris, processes_of},
    scenario::Move,
};

const GROUP: &str = "/iris-proof";

/// Other CPUs than all, and another share than the usual one.
///
/// # Panics
/// With a single CPU: nobody can be moved then.
pub fn wanted() -> Move {
    let online = fs::read_to_string("/sys/devices/system/cpu/online").unwrap();
    let last = online.trim().rsplit([',', '-']).next().unwrap().to_owned();
    assert_ne!(last, "0", "this proof needs two CPUs");
    Move { cpus: last, weight: 200 }
}

/// Shows all that run now.
pub fn show(iris: &Iris, lane: &Path) {
    let host = iris.host();
    let ids = ids(lane);
    for id in &ids {
        let folder = host.join(id.to_string());
        fs::create_dir(&folder).unwrap();
        for name in ["stat", "status", "cmdline", "task"] {
            symlink(format!("/proc/{id}/{name}"), folder.join(name)).unwrap();
        }
        // A link to a link would not say where the process works.
        symlink(fs::read_link(format!("/proc/{id}/cwd")).unwrap(), folder.join("cwd")).unwrap();
        fs::write(folder.join("cgroup"), format!("2:cpu:{GROUP}\n")).unwrap();
    }
    let members: Vec<String> = ids.iter().map(ToString::to_string).collect();
    let group = share(iris).with_file_name("");
    fs::create_dir_all(&group).unwrap();
    fs::write(group.join("cgroup.procs"), members.join("\n")).unwrap();
    fs::write(share(iris), "1024\n").unwrap();
    let cpus = sys(iris).join("devices/system/cpu");
    fs::create_dir_all(&cpus).unwrap();
    fs::copy("/sys/devices/system/cpu/online", cpus.join("online")).unwrap();
}

/// Shows none.
pub fn hide(iris: &Iris) {
    for entry in fs::read_dir(iris.host()).unwrap() {
        let entry = entry.unwrap();
        if entry.file_name().to_str().is_some_and(|name| name.parse::<u32>().is_ok()) {
            fs::remove_dir_all(entry.path()).unwrap();
        }
    }
}

/// Where they run: every set of CPUs of a thread.
pub fn cpus(lane: &Path) -> BTreeSet<String> {
    let mut sets = BTreeSet::new();
    for id in ids(lane) {
        // One that ends meanwhile has none.
        for task in fs::read_dir(format!("/proc/{id}/task")).into_iter().flatten().flatten() {
            let status = fs::read_to_string(task.path().join("status")).unwrap_or_default();
            let list = status.lines().find_map(|line| line.strip_prefix("Cpus_allowed_list:"));
            sets.extend(list.map(|list| list.trim().to_owned()));
        }
    }
    sets
}

/// The file with their share.
pub fn share(iris: &Iris) -> PathBuf {
    sys(iris).join("fs/cgroup/cpu").join(GROUP.trim_start_matches('/')).join("cpu.shares")
}

fn sys(iris: &Iris) -> PathBuf {
    iris.host().with_file_name("sys")
}

/// The processes of the stand-in: they alone are called so.
fn ids(lane: &Path) -> Vec<u32> {
    let is_irisdb = |id: &u32| {
        fs::read_to_string(format!("/proc/{id}/comm")).is_ok_and(|name| name.starts_with("irisdb"))
    };
    processes_of(lane).into_iter().map(|(id, _)| id).filter(is_irisdb).collect()
}
