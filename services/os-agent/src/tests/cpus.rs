//! On which CPUs real processes may run: those that the tests start, under the name of IRIS's binary.

use std::{
    cell::RefCell,
    fs,
    os::unix::process::CommandExt,
    path::PathBuf,
    process::{Child, Command, Stdio},
    time::Duration,
};

use instance_agent::{Prepared, Work};
use instance_contract::Failure;
use instance_knowledge::{CpuList, KernelParameter, kernel_parameter};
use instance_testkit::{
    promises::{Promised, Seen, keep_promises},
    skipped,
};

use super::{
    Stage, code, free,
    promises::{seen, told},
};
use crate::{
    affinity,
    host::{Local, Processes, Thread},
};

/// A process of the stage's instance with one child. Ends with the test.
pub struct Irisdb(Child);

impl Irisdb {
    pub fn start(stage: &Stage) -> Self {
        Self::running(stage, "/bin/sleep 60 & wait")
    }

    fn running(stage: &Stage, script: &str) -> Self {
        let program = stage.path("irisdb");
        if !program.exists() {
            std::os::unix::fs::symlink("/bin/sh", &program).unwrap();
        }
        let mut command = Command::new(&program);
        command.args(["-c", script]).current_dir(stage.path("mgr")).process_group(0).stdin(Stdio::null());
        Self(command.spawn().unwrap())
    }

    fn id(&self) -> u32 {
        self.0.id()
    }
}

impl Drop for Irisdb {
    fn drop(&mut self) {
        let group = nix::unistd::Pid::from_raw(self.0.id().cast_signed());
        let _ = nix::sys::signal::killpg(group, nix::sys::signal::Signal::SIGKILL);
        let _ = self.0.wait();
    }
}

/// A stage on the real `/proc`, whose only processes are those that the test starts.
pub fn stage() -> Stage {
    let mut stage = Stage::new();
    fs::create_dir(stage.path("mgr")).unwrap();
    stage.config.instances[0].messages_log = stage.path("mgr/messages.log");
    stage.config.proc_root = "/proc".into();
    stage
}

fn row() -> &'static KernelParameter {
    kernel_parameter("process.cpu_affinity").unwrap()
}

/// Two different sets of CPUs of this machine: all, and one less; `None` with a single CPU.
fn sets(host: &Local) -> Option<(String, String)> {
    let all = host.online_cpus().unwrap();
    let Some(fewer) = CpuList::of(all.iter().skip(1)) else {
        skipped("this machine has one CPU, so nothing can be moved");
        return None;
    };
    Some((all.to_string(), fewer.to_string()))
}

pub fn threads(stage: &Stage) -> Vec<Thread> {
    stage.local().threads(stage.instance()).unwrap()
}

/// Waits until so many threads are there.
pub fn wait_for(stage: &Stage, count: usize) {
    let what = format!("{count} threads of the instance");
    eventually_blocking(&what, || threads(stage).len() >= count);
}

fn eventually_blocking(what: &str, holds: impl Fn() -> bool) {
    let deadline = std::time::Instant::now() + Duration::from_secs(20);
    while !holds() {
        assert!(std::time::Instant::now() < deadline, "not in time: {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// Two processes with a child each.
struct Affinity {
    stage: Stage,
    _processes: [Irisdb; 2],
    wanted: String,
    prepared: Prepared,
}

impl Affinity {
    fn new() -> Option<Self> {
        let stage = stage();
        let (_, wanted) = sets(&stage.local())?;
        let processes = [Irisdb::start(&stage), Irisdb::start(&stage)];
        wait_for(&stage, 4);
        let prepared = affinity::prepare(&stage.local(), stage.instance(), row(), &wanted).unwrap();
        Some(Self { stage, _processes: processes, wanted, prepared })
    }
}

impl Promised for Affinity {
    type World = Vec<Thread>;
    type Trace = ();

    fn world(&self) -> Self::World {
        threads(&self.stage)
    }

    fn trace(&self) {}

    fn act(&self) -> Result<(), String> {
        told(affinity::apply(&self.stage.local(), self.stage.instance(), &self.prepared, &free()))
    }

    fn probe(&self) -> Seen {
        seen(affinity::probe(&self.stage.local(), self.stage.instance(), &self.prepared))
    }

    fn undo(&self) -> Result<(), String> {
        told(affinity::undo(&self.stage.local(), self.stage.instance(), &self.prepared, &free()))
    }

    fn probe_undo(&self) -> Seen {
        seen(affinity::probe_undo(&self.stage.local(), self.stage.instance(), &self.prepared))
    }

    /// To the first CPU alone.
    fn interfere(&self) {
        let first = CpuList::of(self.stage.local().online_cpus().unwrap().iter().take(1)).unwrap();
        for thread in threads(&self.stage) {
            self.stage.local().set_cpus(&thread, &first).unwrap();
        }
    }
}

#[test]
fn the_cpus_of_real_processes_keep_their_promises() {
    if sets(&stage().local()).is_some() {
        keep_promises(|| Affinity::new().unwrap());
    }
}

#[test]
fn a_forecast_tells_what_is_there_and_asks_before_it_takes_cpus() {
    let stage = stage();
    let host = stage.local();
    let refused = |wanted: &str| {
        code(&affinity::forecast(&host, stage.instance(), row(), wanted).unwrap_err()).to_owned()
    };
    assert_eq!(refused("0"), "no_processes");
    assert_eq!((refused("1-0"), refused("1023")), ("invalid_value".to_owned(), "no_such_cpu".to_owned()));
    let Some((all, fewer)) = sets(&host) else { return };
    let _process = Irisdb::start(&stage);
    wait_for(&stage, 2);
    let less = affinity::forecast(&host, stage.instance(), row(), &fewer).unwrap();
    assert_eq!((less.before, less.after, less.dangerous), (all.clone(), fewer, true));
    let same = affinity::forecast(&host, stage.instance(), row(), &all).unwrap();
    assert!(!same.dangerous && !same.needs_restart);
    assert!(affinity::prepare(&host, stage.instance(), row(), &all).unwrap().already);
}

#[test]
fn who_begins_meanwhile_is_moved_and_brought_back_and_who_has_ended_is_not_missed() {
    let stage = stage();
    let host = stage.local();
    let Some((all, fewer)) = sets(&host) else { return };
    let first = Irisdb::start(&stage);
    let second = Irisdb::start(&stage);
    wait_for(&stage, 4);
    let prepared = affinity::prepare(&host, stage.instance(), row(), &fewer).unwrap();
    drop(second);
    let third = Irisdb::start(&stage);
    wait_for(&stage, 4);
    let applied = affinity::apply(&host, stage.instance(), &prepared, &free()).unwrap();
    assert!(applied.warnings[0].contains("2 threads of the instance began and 2 ended"), "{applied:?}");
    assert!(threads(&stage).iter().all(|thread| thread.cpus == fewer));
    let undone = affinity::undo(&host, stage.instance(), &prepared, &free()).unwrap();
    assert!(undone.warnings.is_empty(), "{undone:?}");
    assert!(threads(&stage).iter().all(|thread| thread.cpus == all));
    // When all of that time have ended there is nothing to bring back, and others are none of ours.
    affinity::apply(&host, stage.instance(), &prepared, &free()).unwrap();
    drop((first, third));
    let _fourth = Irisdb::start(&stage);
    wait_for(&stage, 2);
    let undone = affinity::undo(&host, stage.instance(), &prepared, &free()).unwrap();
    assert!(undone.warnings[0].contains("have ended"), "{undone:?}");
}

#[test]
fn nobody_slips_through_while_processes_come_and_go() {
    let stage = stage();
    let host = stage.local();
    let Some((_, fewer)) = sets(&host) else { return };
    let _busy = Irisdb::running(&stage, "while :; do /bin/sleep 0.01; done");
    // Its children live for 10 ms: on a busy machine no look may ever meet one.
    wait_for(&stage, 1);
    let prepared = affinity::prepare(&host, stage.instance(), row(), &fewer).unwrap();
    affinity::apply(&host, stage.instance(), &prepared, &free()).unwrap();
    for _ in 0..50 {
        let all = threads(&stage);
        assert!(all.iter().all(|thread| thread.cpus == fewer), "{all:?}");
    }
}

#[test]
fn when_the_time_is_over_what_was_moved_goes_back() {
    let Some(affinity) = Affinity::new() else { return };
    let before = affinity.world();
    let work = Work::new(&|| Ok(()), &|| Duration::ZERO);
    let (host, instance) = (affinity.stage.local(), affinity.stage.instance());
    let failure = affinity::apply(&host, instance, &affinity.prepared, &work).unwrap_err();
    assert!(matches!(failure, Failure::Transient { .. }), "{failure}");
    assert_eq!((code(&failure), affinity.world()), ("timed_out", before));
    assert_ne!(affinity.world()[0].cpus, affinity.wanted);
}

#[test]
fn a_made_up_process_is_never_mistaken_for_a_real_one() {
    let mut stage = stage();
    stage.config.proc_root = stage.path("proc");
    let status = "Name:\tirisdb\nCpus_allowed_list:\t0-3\n";
    let stat = "1 (irisdb) S 0 1 1 0 -1 0 0 0 0 0 0 0 0 0 20 0 1 0 5 1 1\n";
    for place in ["proc/1", "proc/1/task/1"] {
        stage.write(&format!("{place}/stat"), stat);
        stage.write(&format!("{place}/status"), status);
    }
    std::os::unix::fs::symlink(stage.path("mgr"), stage.path("proc/1/cwd")).unwrap();
    let prepared = affinity::prepare(&stage.local(), stage.instance(), row(), "0-1").unwrap();
    assert_eq!(prepared.before, "0-3");
    let failure = affinity::apply(&stage.local(), stage.instance(), &prepared, &free()).unwrap_err();
    assert_eq!(code(&failure), "not_this_host");
}

/// Set for a run of this program as somebody without rights: process and thread of somebody else, joined by a comma.
const SOMEBODY_ELSE: &str = "INSTANCE_TEST_SOMEBODY_ELSE";

#[test]
fn a_missing_right_is_named_with_the_cure() {
    let stage = stage();
    if let Ok(id) = std::env::var(SOMEBODY_ELSE) {
        let id: u32 = id.parse().unwrap();
        let folder = PathBuf::from(format!("/proc/{id}/task/{id}"));
        let started = instance_agent::evidence::Process::at(&folder).unwrap().started;
        let cpus = instance_agent::evidence::allowed_cpus(&folder).unwrap();
        let thread = Thread { process: id, parent: 1, id, started, cpus: cpus.clone() };
        // To where it is already, so that nothing would be lost.
        let failure = stage.local().set_cpus(&thread, &cpus.parse().unwrap()).unwrap_err().into_failure();
        assert_eq!(code(&failure), "missing_right");
        assert!(failure.cause().message.contains("CAP_SYS_NICE"), "{failure}");
        println!("told which right is missing");
        return;
    }
    if !nix::unistd::geteuid().is_root() {
        return skipped("only root can become somebody without rights");
    }
    let process = Irisdb::start(&stage);
    // Somebody who may not enter the folder of the build runs a copy.
    let program = tempfile::Builder::new()
        .permissions(std::os::unix::fs::PermissionsExt::from_mode(0o755))
        .tempdir()
        .unwrap();
    let copy = program.path().join("tests");
    fs::copy(std::env::current_exe().unwrap(), &copy).unwrap();
    let run = || {
        Command::new(&copy)
            .args(["--exact", "tests::cpus::a_missing_right_is_named_with_the_cure", "--nocapture"])
            .env(SOMEBODY_ELSE, process.id().to_string())
            .uid(65534)
            .gid(65534)
            .output()
    };
    // A child that another test has just begun may still hold the copy open for writing.
    let output = RefCell::new(None);
    eventually_blocking("the copy can be run", || match run() {
        Err(error) if error.kind() == std::io::ErrorKind::ExecutableFileBusy => false,
        ended => output.replace(Some(ended.unwrap())).is_none(),
    });
    let output = output.into_inner().unwrap();
    let words = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && words.contains("told which right is missing"), "{words}");
}
