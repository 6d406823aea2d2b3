//! What is there, told by files and logs alone. Shares no code with the agents, and asks nobody.

use std::{
    collections::BTreeSet,
    fs,
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
};

use crate::{crowd, lane::CPF_AT_STOPS, processes::Iris, scenario::Wish};

/// A file with what tells whether it was written again: a rewritten one has another time, a replaced one another inode.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seen {
    text: String,
    inode: u64,
    written_ns: i128,
}

impl Seen {
    fn at(path: &Path) -> Option<Self> {
        let metadata = fs::metadata(path).ok()?;
        let text = fs::read_to_string(path).ok()?;
        let written_ns = i128::from(metadata.mtime()) * 1_000_000_000 + i128::from(metadata.mtime_nsec());
        Some(Self { text, inode: metadata.ino(), written_ns })
    }
}

/// The world at one moment.
#[derive(Debug, Clone)]
pub struct World {
    kernel: Seen,
    drop_in: Option<Seen>,
    cpf: Seen,
    /// The texts of the backups.
    backups: Vec<String>,
    /// Which file the CPF was at each stop.
    cpf_at_stops: Vec<u64>,
    /// Drafts and other things that do not belong there.
    litter: BTreeSet<PathBuf>,
    /// How often the instance said that it takes logons.
    starts: usize,
    /// How often it said that it was shut down, or was killed.
    stops: usize,
    state: Option<String>,
    /// Where the processes of the instance run.
    cpus: BTreeSet<String>,
    /// Their share of the CPUs, where the host shows one.
    share: Option<String>,
}

impl World {
    pub fn look(iris: &Iris, folder: &Path) -> Self {
        let drop_ins = folder.join("sysctl.d");
        let notes = fs::read_to_string(folder.join(CPF_AT_STOPS)).unwrap();
        let cpf = iris.cpf_path();
        let names = |folder: &Path| -> BTreeSet<PathBuf> {
            fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect()
        };
        let beside = names(cpf.parent().unwrap());
        let name = |path: &PathBuf| path.file_name().unwrap().to_string_lossy().into_owned();
        let log = iris.log();
        Self {
            kernel: Seen::at(&iris.host().join("sys/vm/swappiness")).unwrap(),
            drop_in: Seen::at(&drop_ins.join("90-instance-vm.swappiness.conf")),
            cpf: Seen::at(&cpf).unwrap(),
            backups: beside
                .iter()
                .filter(|path| name(path).starts_with("iris.cpf_instance_"))
                .map(|path| fs::read_to_string(path).unwrap())
                .collect(),
            litter: beside
                .into_iter()
                .chain(names(&drop_ins))
                .filter(|path| name(path).starts_with('.') && !path.is_dir())
                .collect(),
            cpf_at_stops: notes.lines().map(|inode| inode.parse().unwrap()).collect(),
            starts: log.matches("] Enabling logons").count(),
            stops: log.matches("] Shutdown complete").count() + log.matches("irisforce killed").count(),
            state: None,
            cpus: crowd::cpus(folder),
            share: fs::read_to_string(crowd::share(iris)).ok(),
        }
    }

    /// As [`World::look`], and how the instance is, by its own `iris qlist`.
    pub fn at_rest(iris: &Iris, folder: &Path) -> Self {
        Self { state: Some(iris.state().0), ..Self::look(iris, folder) }
    }

    /// Everything that is wrong with a world in which these wishes, one after the other, came true once each.
    pub fn faults_as_wished(&self, before: &Self, at_death: &Self, wishes: &[Wish]) -> Vec<String> {
        let mut faults = Faults::default();
        let last = wishes.last().unwrap();
        let (kernel, cpf) = (last.kernel.to_string(), after(&before.cpf.text, last));
        faults.same("kernel value", self.kernel.text.trim(), &kernel);
        let drop_in = self.drop_in.as_ref().map(|seen| setting_of(&seen.text));
        faults.same("value at the next boot", &drop_in, &Some(kernel.clone()));
        faults.same("CPF", &self.cpf.text, &cpf);
        // One a change; none for a text that has its backup from a change that was taken back.
        faults.same("a backup of the former CPF", self.backups.contains(&before.cpf.text), true);
        let many = self.backups.len() > before.backups.len() + wishes.len();
        faults.same("more backups than changes", many, false);
        let restarts = wishes.iter().filter(|wish| !wish.live).count();
        faults.same("starts", self.starts, before.starts + restarts);
        faults.same("stops", self.stops, before.stops + restarts);
        // What was there when the process died was not written a second time.
        if at_death.kernel.text.trim() == kernel {
            faults.same("the kernel value since the death", &self.kernel, &at_death.kernel);
        }
        if at_death.drop_in.as_ref().map(|seen| setting_of(&seen.text)) == Some(kernel) {
            faults.same("the drop-in since the death", &self.drop_in, &at_death.drop_in);
        }
        // The instance writes its CPF anew when it starts, so the file is compared as it was at the stop.
        if at_death.cpf.text == cpf && at_death.cpf_at_stops.len() < self.cpf_at_stops.len() {
            faults.same("the CPF since the death", self.cpf_at_stops.last(), Some(&at_death.cpf.inode));
        }
        // Nothing restarts, so the file itself tells whether it was merged into a second time.
        if last.live && at_death.cpf.text == cpf {
            faults.same("the merged CPF since the death", &self.cpf, &at_death.cpf);
        }
        self.is_tidy(&mut faults);
        faults.0
    }

    /// Everything that is wrong with a world in which all was taken back; `starts` more starts of the instance.
    pub fn faults_as_before(&self, before: &Self, starts: usize) -> Vec<String> {
        let mut faults = Faults::default();
        faults.same("kernel value", &self.kernel.text, &before.kernel.text);
        let text = |world: &Self| world.drop_in.as_ref().map(|seen| seen.text.clone());
        faults.same("drop-in", &text(self), &text(before));
        faults.same("CPF", &self.cpf.text, &before.cpf.text);
        faults.same("starts", self.starts, before.starts + starts);
        faults.same("stops", self.stops, before.stops + starts);
        faults.same("CPUs", &self.cpus, &before.cpus);
        faults.same("share of the CPUs", &self.share, &before.share);
        self.is_tidy(&mut faults);
        faults.0
    }

    fn is_tidy(&self, faults: &mut Faults) {
        faults.same("state of the instance", &self.state, &Some("running".to_owned()));
        faults.same("left behind", &self.litter, &BTreeSet::new());
    }
}

#[derive(Default)]
struct Faults(Vec<String>);

impl Faults {
    fn same<T: PartialEq + std::fmt::Debug>(&mut self, what: &str, found: T, wanted: T) {
        if found != wanted {
            let shown = |value: T| format!("{value:?}").chars().take(400).collect::<String>();
            self.0.push(format!("{what}: {}, and should be {}", shown(found), shown(wanted)));
        }
    }
}

/// The value in a line `name = value`.
fn setting_of(text: &str) -> String {
    let line = text.lines().find(|line| !line.starts_with('#')).unwrap_or_default();
    line.split_once('=').map(|(_, value)| value.trim().to_owned()).unwrap_or_default()
}

/// The CPF with the wished value in place of the one that was there.
fn after(text: &str, wish: &Wish) -> String {
    let (name, value) = wish.cpf_line();
    let lines = text.split('\n').map(|line| match line.split_once('=') {
        Some((found, _)) if found == name => format!("{name}={value}"),
        _ => line.to_owned(),
    });
    lines.collect::<Vec<_>>().join("\n")
}
