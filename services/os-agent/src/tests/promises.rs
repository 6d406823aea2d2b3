use std::{
    fs,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
};

use instance_agent::{Prepared, Probe};
use instance_contract::Failure;
use instance_testkit::promises::{Promised, Seen, keep_promises};

use super::{Stage, free, set, short_kernel::Short};
use crate::{apply, host::Host, undo};

/// A file as an undo must bring it back: text, mode and owner.
pub type Look = Option<(String, u32, u32, u32)>;

pub fn look(path: &Path) -> Look {
    let metadata = fs::symlink_metadata(path).ok()?;
    Some((fs::read_to_string(path).unwrap(), metadata.mode(), metadata.uid(), metadata.gid()))
}

/// Whether it was written again.
pub fn trace(path: &Path) -> Option<(u64, i64, i64)> {
    let metadata = fs::symlink_metadata(path).ok()?;
    Some((metadata.ino(), metadata.mtime(), metadata.mtime_nsec()))
}

pub fn seen(probe: Result<Probe, Failure>) -> Seen {
    match probe.unwrap() {
        Probe::Done(_) => Seen::Done,
        Probe::NotDone => Seen::NotDone,
        Probe::Other { .. } => Seen::Other,
    }
}

pub fn told<T>(outcome: Result<T, Failure>) -> Result<(), String> {
    outcome.map(drop).map_err(|failure| failure.to_string())
}

/// A parameter of the host, with or without a drop-in that was there before.
struct Parameter {
    stage: Stage,
    name: &'static str,
    file: PathBuf,
    value: &'static str,
    foreign: &'static str,
    prepared: Prepared,
}

impl Parameter {
    fn new(
        name: &'static str,
        file: &str,
        value: &'static str,
        foreign: &'static str,
        was_kept: bool,
    ) -> Self {
        let stage = Stage::new();
        if was_kept {
            let text = format!("# by hand\n{name} = 1\n");
            stage.write(&format!("sysctl.d/90-instance-{name}.conf"), &text);
        }
        let prepared = stage.prepare(name, value).unwrap();
        let file = stage.path(file);
        Self { stage, name, file, value, foreign, prepared }
    }

    fn drop_in(&self) -> PathBuf {
        self.stage.path("sysctl.d").join(format!("90-instance-{}.conf", self.name))
    }
}

impl Promised for Parameter {
    type World = (Look, Look);
    type Trace = (Option<(u64, i64, i64)>, Option<(u64, i64, i64)>);

    fn world(&self) -> Self::World {
        // The kernel parts the numbers of a vector by tabs, however they were written.
        let value = look(&self.file).map(|(text, mode, uid, gid)| (text.replace('\t', " "), mode, uid, gid));
        (value, look(&self.drop_in()))
    }

    fn trace(&self) -> Self::Trace {
        (trace(&self.file), trace(&self.drop_in()))
    }

    fn act(&self) -> Result<(), String> {
        let wanted = set(self.name, self.value);
        told(apply::apply(&self.stage.config, &self.stage.host(), &wanted, &self.prepared, &free()))
    }

    fn probe(&self) -> Seen {
        seen(apply::probe(&self.stage.host(), &self.prepared))
    }

    fn undo(&self) -> Result<(), String> {
        told(undo::undo(&self.stage.host(), &self.prepared, &free()))
    }

    fn probe_undo(&self) -> Seen {
        seen(undo::probe(&self.stage.host(), &self.prepared))
    }

    fn interfere(&self) {
        fs::write(&self.file, self.foreign).unwrap();
    }
}

/// A word, on a kernel that shows all of them.
struct Word {
    stage: Stage,
    prepared: Prepared,
}

const HUGE_FOR_ALL: &str = "kernel.mm.transparent_hugepage.enabled";

impl Word {
    fn new() -> Self {
        let stage = Stage::new();
        let prepared = apply::prepare(&stage.config, &stage.host(), &set(HUGE_FOR_ALL, "never")).unwrap();
        Self { stage, prepared }
    }

    fn host(&self) -> Host {
        Short::of_words(&self.stage)
    }

    fn file(&self) -> PathBuf {
        self.stage.path("sys/kernel/mm/transparent_hugepage/enabled")
    }
}

impl Promised for Word {
    /// It is not kept by a drop-in: there must never be one.
    type World = (Look, Vec<(String, String)>);
    type Trace = Option<(u64, i64, i64)>;

    fn world(&self) -> Self::World {
        (look(&self.file()), self.stage.drop_ins())
    }

    fn trace(&self) -> Self::Trace {
        trace(&self.file())
    }

    fn act(&self) -> Result<(), String> {
        let wanted = set(HUGE_FOR_ALL, "never");
        told(apply::apply(&self.stage.config, &self.host(), &wanted, &self.prepared, &free()))
    }

    fn probe(&self) -> Seen {
        seen(apply::probe(&self.host(), &self.prepared))
    }

    fn undo(&self) -> Result<(), String> {
        told(undo::undo(&self.host(), &self.prepared, &free()))
    }

    fn probe_undo(&self) -> Seen {
        seen(undo::probe(&self.host(), &self.prepared))
    }

    fn interfere(&self) {
        fs::write(self.file(), "[always] madvise never\n").unwrap();
    }
}

#[test]
fn a_word_keeps_its_promises() {
    keep_promises(Word::new);
    let word = Word::new();
    word.act().unwrap();
    assert_eq!(fs::read_to_string(word.file()).unwrap(), "always madvise [never]\n");
}

#[test]
fn a_number_keeps_its_promises() {
    keep_promises(|| Parameter::new("vm.swappiness", "proc/sys/vm/swappiness", "5", "33\n", false));
    keep_promises(|| Parameter::new("vm.swappiness", "proc/sys/vm/swappiness", "5", "33\n", true));
}

#[test]
fn huge_pages_keep_their_promises() {
    for value in ["900", "cpf", "1800 MB"] {
        keep_promises(|| {
            Parameter::new("vm.nr_hugepages", "proc/sys/vm/nr_hugepages", value, "777\n", false)
        });
    }
}

#[test]
fn a_vector_keeps_its_promises() {
    let foreign = "1 2 3 4\n";
    keep_promises(|| {
        Parameter::new("kernel.sem", "proc/sys/kernel/sem", "250 32000 100 128", foreign, false)
    });
}
