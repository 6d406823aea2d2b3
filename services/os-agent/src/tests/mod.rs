//! Changes and undoes on a folder that looks like `/proc` and `/etc/sysctl.d`, on real processes, and on file systems
//! that are really full or read-only, or fail.

mod changes;
mod promises; // What holds for every action.

mod coming;
mod cpus;
mod deadlines;
mod failing_disk;
mod faulty_disks;
mod huge_pages;
mod real_kernel;
mod settings;
mod short_kernel;
mod told_and_done;
mod weights;

use std::{
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

use instance_agent::{Applied, InstanceSettings, Prepared, Work};
use instance_contract::{Failure, SetKernel};

use crate::{
    apply,
    config::Config,
    host::{Host, Local},
    undo,
};

const MEMINFO: &str = "MemTotal:       16777216 kB\nMemAvailable:   8388608 kB\n\
    HugePages_Total:       0\nHugePages_Free:        0\nHugepagesize:       2048 kB\n";

/// A host in a folder.
pub struct Stage {
    pub config: Config,
    folder: tempfile::TempDir,
}

impl Stage {
    pub fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path();
        for (name, text) in [
            ("proc/meminfo", MEMINFO),
            ("proc/sys/vm/nr_hugepages", "0\n"),
            ("proc/sys/vm/swappiness", "60\n"),
            ("proc/sys/vm/dirty_background_ratio", "10\n"),
            ("proc/sys/kernel/shmmax", "18446744073692774399\n"),
            ("proc/sys/kernel/shmall", "18446744073692774399\n"),
            ("proc/sys/kernel/sem", "32000\t1024000000\t500\t32000\n"),
            ("sys/kernel/mm/transparent_hugepage/enabled", "always [madvise] never\n"),
            ("sys/devices/system/cpu/online", "0-3\n"),
            ("iris.cpf", "[config]\nglobals=0,0,1024,0,0,0\nroutines=100\ngmheap=102400\n"),
        ] {
            fs::create_dir_all(root.join(name).parent().unwrap()).unwrap();
            fs::write(root.join(name), text).unwrap();
        }
        fs::create_dir(root.join("sysctl.d")).unwrap();
        let config = config(root, &root.join("proc"));
        Self { config, folder }
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub fn host(&self) -> Host {
        self.local().into()
    }

    /// The same, for those who want one part of it.
    pub fn local(&self) -> Local {
        Local::new(&self.config)
    }

    pub fn instance(&self) -> &InstanceSettings {
        &self.config.instances[0]
    }

    pub fn write(&self, name: &str, text: &str) {
        fs::create_dir_all(self.path(name).parent().unwrap()).unwrap();
        fs::write(self.path(name), text).unwrap();
    }

    pub fn value(&self, name: &str) -> String {
        fs::read_to_string(self.path(name)).unwrap()
    }

    /// The drop-ins: names with texts.
    pub fn drop_ins(&self) -> Vec<(String, String)> {
        let entries = fs::read_dir(self.path("sysctl.d")).unwrap().map(|entry| entry.unwrap());
        let mut all: Vec<_> = entries
            .map(|entry| {
                (entry.file_name().into_string().unwrap(), fs::read_to_string(entry.path()).unwrap())
            })
            .collect();
        all.sort();
        all
    }

    pub fn prepare(&self, name: &str, value: &str) -> Result<Prepared, Failure> {
        apply::prepare(&self.config, &self.host(), &set(name, value))
    }

    /// As the loop does it: recorded, then done.
    pub fn change(&self, name: &str, value: &str) -> Result<(Prepared, Applied), Failure> {
        self.change_on(&self.host(), name, value)
    }

    pub fn change_on(&self, host: &Host, name: &str, value: &str) -> Result<(Prepared, Applied), Failure> {
        let prepared = apply::prepare(&self.config, host, &set(name, value))?;
        let applied = apply::apply(&self.config, host, &set(name, value), &prepared, &free())?;
        Ok((prepared, applied))
    }

    pub fn undo(&self, done: &Prepared) -> Result<Applied, Failure> {
        undo::undo(&self.host(), done, &free())
    }
}

pub fn config(root: &Path, proc_root: &Path) -> Config {
    let instance = InstanceSettings {
        name: "PROD".parse().unwrap(),
        cpf: root.join("iris.cpf"),
        messages_log: root.join("messages.log"),
        manager_dir: None,
    };
    Config {
        instances: vec![instance],
        iris_command: "/usr/bin/iris".into(),
        proc_root: proc_root.to_owned(),
        sysctl_dir: root.join("sysctl.d"),
        persist: true,
        memory_reserve_mb: 512,
        state_dir: root.join("state"),
        fence_dir: root.join("fence"),
        knowledge_dir: None,
    }
}

/// Nobody has said stop, and there is time.
pub fn free() -> Work<'static> {
    Work::new(&|| Ok(()), &|| Duration::from_mins(1))
}

pub fn set(name: &str, value: &str) -> SetKernel {
    let (kernel_param, new_value) = (name.to_owned(), value.to_owned());
    SetKernel { kernel_param, new_value, min_value: None, max_value: None, with_cpf: Vec::new() }
}

pub fn code(failure: &Failure) -> &str {
    &failure.cause().code
}
