//! The share of the CPUs, on folders that look like the control groups of both versions.

use std::{fs, path::PathBuf};

use instance_agent::Prepared;
use instance_knowledge::{KernelParameter, kernel_parameter};
use instance_testkit::promises::{Promised, Seen, keep_promises};

use super::{
    Stage, code, free,
    promises::{Look, look, seen, told, trace},
};
use crate::weight;

fn row() -> &'static KernelParameter {
    kernel_parameter("process.cpu_weight").unwrap()
}

/// A stage with one process of the instance in a group of its own.
fn stage(version: u32, group: &str) -> Stage {
    let stage = Stage::new();
    let line = match version {
        1 => format!("3:memory:/\n2:cpu,cpuacct:{group}\n0::{group}\n"),
        _ => format!("0::{group}\n"),
    };
    process(&stage, 100, "irisdb", &line);
    let folder = match version {
        1 => format!("sys/fs/cgroup/cpu,cpuacct{group}"),
        _ => format!("sys/fs/cgroup{group}"),
    };
    if version == 2 {
        stage.write("sys/fs/cgroup/cgroup.controllers", "cpu\n");
    }
    let (name, share) = if version == 1 { ("cpu.shares", "1000\n") } else { ("cpu.weight", "100\n") };
    stage.write(&format!("{folder}/cgroup.procs"), "100\n");
    stage.write(&format!("{folder}/{name}"), share);
    stage
}

fn process(stage: &Stage, id: u32, name: &str, groups: &str) {
    let stat = format!("{id} ({name}) S 1 1 1 0 -1 0 0 0 0 0 0 0 0 0 20 0 1 0 5 1 1\n");
    stage.write(&format!("proc/{id}/stat"), &stat);
    stage.write(&format!("proc/{id}/cgroup"), groups);
    // The stage keeps messages.log beside everything else, so that is the manager directory.
    let manager = stage.path("x").parent().unwrap().to_owned();
    std::os::unix::fs::symlink(manager, stage.path(&format!("proc/{id}/cwd"))).unwrap();
}

struct Weight {
    stage: Stage,
    file: PathBuf,
    prepared: Prepared,
}

impl Weight {
    fn new(version: u32) -> Self {
        let stage = stage(version, "/iris.slice/prod.service");
        let file = stage.path(match version {
            1 => "sys/fs/cgroup/cpu,cpuacct/iris.slice/prod.service/cpu.shares",
            _ => "sys/fs/cgroup/iris.slice/prod.service/cpu.weight",
        });
        let prepared = weight::prepare(&stage.local(), stage.instance(), row(), "200").unwrap();
        Self { stage, file, prepared }
    }
}

impl Promised for Weight {
    type World = Look;
    type Trace = Option<(u64, i64, i64)>;

    fn world(&self) -> Self::World {
        look(&self.file)
    }

    fn trace(&self) -> Self::Trace {
        trace(&self.file)
    }

    fn act(&self) -> Result<(), String> {
        told(weight::apply(&self.stage.local(), self.stage.instance(), &self.prepared, &free()))
    }

    fn probe(&self) -> Seen {
        seen(weight::probe(&self.stage.local(), &self.prepared))
    }

    fn undo(&self) -> Result<(), String> {
        told(weight::undo(&self.stage.local(), &self.prepared, &free()))
    }

    fn probe_undo(&self) -> Seen {
        seen(weight::probe_undo(&self.stage.local(), &self.prepared))
    }

    fn interfere(&self) {
        fs::write(&self.file, "777\n").unwrap();
    }
}

#[test]
fn the_share_keeps_its_promises_in_both_versions() {
    keep_promises(|| Weight::new(2));
    // 1000 shares are a weight of 98, and are 1000 shares again after the undo.
    keep_promises(|| Weight::new(1));
}

#[test]
fn version_one_counts_in_shares() {
    let weight = Weight::new(1);
    assert_eq!((weight.prepared.before.as_str(), weight.prepared.wanted.as_str()), ("98", "200"));
    weight.act().unwrap();
    assert_eq!(fs::read_to_string(&weight.file).unwrap(), "2048\n");
    assert!(weight::prepare(&weight.stage.local(), weight.stage.instance(), row(), "200").unwrap().already);
}

#[test]
fn a_group_that_holds_others_is_left_alone() {
    let outcome = |stage: &Stage| {
        let failure = weight::prepare(&stage.local(), stage.instance(), row(), "200").unwrap_err();
        (code(&failure).to_owned(), failure.cause().message.clone())
    };
    for version in [1, 2] {
        // The whole host.
        let (told, message) = outcome(&stage(version, "/"));
        assert_eq!(told, "no_group_of_its_own");
        assert!(message.contains("systemd unit"), "{message}");
    }
    // Somebody else is in the group, or in one below it.
    let shared = stage(2, "/user.slice");
    process(&shared, 200, "bash", "0::/user.slice/session\n");
    fs::remove_file(shared.path("proc/200/cwd")).unwrap();
    shared.write("sys/fs/cgroup/user.slice/session/cgroup.procs", "200\n");
    let (told, message) = outcome(&shared);
    assert_eq!(told, "no_group_of_its_own");
    assert!(message.contains("\"/user.slice\"") && message.contains("bash (200)"), "{message}");
    // Two processes far apart have nothing in common but the whole host.
    let apart = stage(2, "/a");
    process(&apart, 101, "irisdb", "0::/b\n");
    assert_eq!(outcome(&apart).0, "no_group_of_its_own");
    assert_eq!(
        code(&weight::prepare(&Stage::new().local(), Stage::new().instance(), row(), "200").unwrap_err()),
        "no_processes"
    );
}

#[test]
fn a_group_that_is_gone_needs_no_undo() {
    let weight = Weight::new(2);
    weight.act().unwrap();
    fs::remove_dir_all(weight.file.parent().unwrap()).unwrap();
    let undone = weight::undo(&weight.stage.local(), &weight.prepared, &free()).unwrap();
    assert!(undone.warnings[0].contains("no more"), "{undone:?}");
    assert_eq!((weight.probe(), weight.probe_undo()), (Seen::NotDone, Seen::Done));
}
