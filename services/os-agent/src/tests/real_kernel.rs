//! The real `/proc/sys` and the real control groups of this machine. Only where it is asked for by name, as CI does:
//! with `INSTANCE_TEST_REAL_KERNEL=1`, best as root.

use std::{
    fs,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use instance_contract::Failure;
use instance_testkit::skipped;

use super::{
    code, config,
    cpus::{self, Irisdb},
    free, set,
};
use crate::{
    apply,
    host::{Host, Local, Processes, Thread},
    undo, weight,
};

fn is_asked_for() -> bool {
    let asked = std::env::var("INSTANCE_TEST_REAL_KERNEL").as_deref() == Ok("1");
    if !asked {
        skipped("INSTANCE_TEST_REAL_KERNEL=1 lets this test change this machine for a moment");
    }
    asked
}

/// Sets `vm.swappiness` of this machine to its neighbour and back; whoever has no right is told which one is missing.
#[test]
fn the_real_kernel_takes_a_value_and_its_undo_when_asked_for() {
    if !is_asked_for() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir(folder.path().join("sysctl.d")).unwrap();
    let config = config(folder.path(), "/proc".as_ref());
    let host = Host::from(Local::new(&config));
    let parameter = instance_knowledge::kernel_parameter("vm.swappiness").unwrap();
    let before = host.kernel.read(parameter).unwrap();
    let other = if before == "0" { "1".to_owned() } else { (before.parse::<u32>().unwrap() - 1).to_string() };
    let wanted = set("vm.swappiness", &other);
    let prepared = apply::prepare(&config, &host, &wanted).unwrap();
    let applied = apply::apply(&config, &host, &wanted, &prepared, &free());
    let reached = host.kernel.read(parameter).unwrap();
    // Back before anything is judged: this is somebody's machine.
    let undone = undo::undo(&host, &prepared, &free());
    assert_eq!(host.kernel.read(parameter).unwrap(), before);
    assert_eq!(fs::read_dir(folder.path().join("sysctl.d")).unwrap().count(), 0);
    match applied {
        Ok(_) => {
            undone.unwrap();
            assert_eq!(reached, other);
        }
        Err(failure) => {
            println!("this user may not write /proc/sys: {failure}");
            assert_eq!((code(&failure), reached), ("missing_right", before));
        }
    }
}

/// A control group of our own, removed at the end.
struct Group(PathBuf);

impl Group {
    /// `None` where this machine lets us make none.
    fn new(processes: &[Thread]) -> Option<Self> {
        let moved = |group: &Path| {
            let move_one =
                |thread: &Thread| fs::write(group.join("cgroup.procs"), thread.process.to_string());
            processes.iter().all(|thread| move_one(thread).is_ok())
        };
        let mounts = ["/sys/fs/cgroup/cpu", "/sys/fs/cgroup/cpu,cpuacct", "/sys/fs/cgroup"];
        let share = |folder: &Path| folder.join("cpu.shares").exists() || folder.join("cpu.weight").exists();
        for mount in mounts.map(Path::new) {
            let group = Self(mount.join(format!("instance-test-{}", std::process::id())));
            if fs::create_dir(&group.0).is_ok() && share(&group.0) && moved(&group.0) {
                return Some(group);
            }
        }
        None
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        let home = self.0.parent().unwrap().join("cgroup.procs");
        for id in fs::read_to_string(self.0.join("cgroup.procs")).unwrap_or_default().lines() {
            let _ = fs::write(&home, id);
        }
        // What has just ended is in it for a moment more.
        let deadline = Instant::now() + Duration::from_secs(10);
        while fs::remove_dir(&self.0).is_err() && Instant::now() < deadline {
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

#[test]
fn a_real_control_group_takes_a_weight_and_its_undo_when_asked_for() {
    if !is_asked_for() {
        return;
    }
    let stage = cpus::stage();
    let irisdb = Irisdb::start(&stage);
    cpus::wait_for(&stage, 2);
    let Some(group) = Group::new(&cpus::threads(&stage)) else {
        return skipped("this machine lets this user make no control group with a share of the CPUs");
    };
    let (host, row) = (stage.local(), instance_knowledge::kernel_parameter("process.cpu_weight").unwrap());
    let file = host.cpu_group(stage.instance()).unwrap().file();
    let raw = || host.read_share(&file).unwrap().unwrap();
    let before = raw();
    let prepared = weight::prepare(&host, stage.instance(), row, "333").unwrap();
    assert_eq!(prepared.before, "100");
    weight::apply(&host, stage.instance(), &prepared, &free()).unwrap();
    assert_ne!(raw(), before);
    weight::undo(&host, &prepared, &free()).unwrap();
    assert_eq!(raw(), before);
    // An end of the instance takes the group along, as systemd does.
    weight::apply(&host, stage.instance(), &prepared, &free()).unwrap();
    drop((irisdb, group));
    let undone = weight::undo(&host, &prepared, &free()).unwrap();
    assert!(undone.warnings[0].contains("no more"), "{undone:?}");
    let gone: Failure = weight::prepare(&host, stage.instance(), row, "333").unwrap_err();
    assert_eq!(code(&gone), "no_processes");
}
