//! The power goes at any call that changes the folder. What is there when it comes back is what was synced, and of the
//! rest a part, torn, or nothing.
//!
//! The files of these tests are real ones, as everywhere; beside them a medium keeps what a disk would have kept of
//! them. It knows texts and names, not owners, modes and attributes.

use std::{
    cell::RefCell,
    collections::{BTreeMap, BTreeSet},
    fs, io,
    path::Path,
};

use instance_agent::{Prepared, Probe};
use instance_contract::Failure;

use super::{CPF, Stage};
use crate::{
    apply,
    folder::{Call, Folder},
    undo,
};

/// Different ends of the same cut.
const SEEDS: u64 = 16;
const WANTED: &str = "0,0,512,0,0,0";

thread_local! {
    /// The disk under the test that runs on this thread, if it has one.
    static MEDIUM: RefCell<Option<Medium>> = const { RefCell::new(None) };
}

/// Called by [`Folder`] in place of the call itself.
pub fn strike<T>(folder: &Folder, call: Call<'_>, act: impl FnOnce() -> io::Result<T>) -> io::Result<T> {
    MEDIUM.with_borrow_mut(|medium| match medium {
        None => act(),
        Some(medium) => medium.strike(folder.path(), call, act),
    })
}

#[derive(Debug)]
struct Medium {
    files: Vec<Text>,
    names: BTreeMap<String, usize>,
    durable_names: BTreeMap<String, usize>,
    calls: u32,
    /// The call, counted from 1, at which the power goes.
    cut_at: u32,
    is_off: bool,
    random: u64,
}

#[derive(Debug, Clone, Default)]
struct Text {
    durable: Vec<u8>,
    current: Vec<u8>,
}

/// What the disk holds after a cut, by name.
type Survivors = BTreeMap<String, Vec<u8>>;

impl Medium {
    /// Everything that is in the folder is durable.
    fn under(folder: &Path, cut_at: u32, seed: u64) -> Self {
        let (mut files, mut names) = (Vec::new(), BTreeMap::new());
        for entry in fs::read_dir(folder).unwrap().map(|entry| entry.unwrap()) {
            let text = fs::read(entry.path()).unwrap();
            names.insert(entry.file_name().into_string().unwrap(), files.len());
            files.push(Text { durable: text.clone(), current: text });
        }
        // Neighbouring seeds must not draw alike.
        let random = seed.wrapping_add(1).wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
        Self { files, durable_names: names.clone(), names, calls: 0, cut_at, is_off: false, random }
    }

    fn strike<T>(
        &mut self,
        folder: &Path,
        call: Call<'_>,
        act: impl FnOnce() -> io::Result<T>,
    ) -> io::Result<T> {
        if self.is_off {
            return Err(io::Error::other("the machine is off"));
        }
        self.calls += 1;
        self.is_off = self.calls == self.cut_at;
        // The last call came too late for the disk, or not.
        if self.is_off && self.draw(2) == 0 {
            return Err(io::Error::other("the power was lost before the call"));
        }
        let outcome = act()?;
        self.note(folder, call);
        if self.is_off { Err(io::Error::other("the power was lost after the call")) } else { Ok(outcome) }
    }

    fn restart_process(&mut self) {
        (self.is_off, self.cut_at) = (false, 0);
    }

    fn note(&mut self, folder: &Path, call: Call<'_>) {
        match call {
            Call::Create(name) => {
                if !self.names.contains_key(name) {
                    self.names.insert(name.to_owned(), self.files.len());
                    self.files.push(Text::default());
                }
            }
            Call::Write(name) => self.text(name).current = fs::read(folder.join(name)).unwrap(),
            Call::Sync(name) => {
                let text = self.text(name);
                text.durable = text.current.clone();
            }
            Call::Rename { from, to } => {
                let moved = self.names.remove(from).unwrap();
                self.names.insert(to.to_owned(), moved);
            }
            Call::Remove(name) => drop(self.names.remove(name)),
            Call::SyncFolder => self.durable_names = self.names.clone(),
        }
    }

    fn text(&mut self, name: &str) -> &mut Text {
        &mut self.files[self.names[name]]
    }

    /// The power comes back. Each name is the durable one or the newest one, by itself.
    fn survivors(mut self) -> Survivors {
        let files = std::mem::take(&mut self.files);
        let texts: Vec<Vec<u8>> = files.into_iter().map(|text| self.survives(text)).collect();
        let all: BTreeSet<String> = self.names.keys().chain(self.durable_names.keys()).cloned().collect();
        let mut survivors = Survivors::new();
        for name in all {
            let names = if self.draw(2) == 0 { &self.names } else { &self.durable_names };
            survivors.extend(names.get(&name).map(|at| (name.clone(), texts[*at].clone())));
        }
        survivors
    }

    /// What was synced; of what was added since a beginning, maybe with a hole in it.
    fn survives(&mut self, Text { mut durable, current }: Text) -> Vec<u8> {
        let Some(added) = current.strip_prefix(durable.as_slice()) else {
            return if self.draw(2) == 0 { durable } else { current };
        };
        let length = self.draw(added.len() + 1);
        let mut torn = added[..length].to_vec();
        if length > 0 && self.draw(2) == 0 {
            let (from, to) = (self.draw(length), self.draw(length));
            torn[from.min(to)..=from.max(to)].fill(0);
        }
        durable.extend(torn);
        durable
    }

    /// A number below `bound` (xorshift; any spread will do).
    fn draw(&mut self, bound: usize) -> usize {
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        usize::try_from(self.random % bound as u64).unwrap()
    }
}

/// The two things that are done to a CPF.
#[derive(Debug, Clone, Copy)]
enum Deed {
    Change,
    Undo,
}

impl Deed {
    fn act(self, stage: &Stage, prepared: &Prepared) -> Result<(), Failure> {
        match self {
            Self::Change => stage.apply("globals", WANTED, prepared, &|| Ok(())).map(drop),
            Self::Undo => stage.undo(prepared).map(drop),
        }
    }

    /// As the loop goes on with an intent that it finds: it looks first, and an attempt that fails with nothing changed
    /// is followed by one that is prepared anew.
    fn finish(self, stage: &Stage, prepared: &Prepared) -> Result<(), Failure> {
        let probed = match self {
            Self::Change => stage.with_site(|site| apply::probe(&site, prepared))?,
            Self::Undo => stage.with_site(|site| undo::probe(&site, prepared))?,
        };
        match (probed, self) {
            (Probe::Done(_), _) => Ok(()),
            (Probe::NotDone, Self::Undo) => self.act(stage, prepared),
            (Probe::NotDone, Self::Change) => self.act(stage, prepared).or_else(|failure| match failure {
                Failure::Transient { .. } => self.act(stage, &stage.prepare("globals", WANTED)?),
                _ => Err(failure),
            }),
            (Probe::Other { found }, _) => panic!("{self:?} after a power cut: found {found}"),
        }
    }

    /// Does it with the power going at a call; whether it was told that it is done, how many calls it made, and what
    /// the disk holds.
    fn cut_at(self, call: u32, seed: u64, stage: &Stage, prepared: &Prepared) -> (bool, u32, Survivors) {
        MEDIUM.set(Some(Medium::under(&stage.path(""), call, seed)));
        let is_told = self.finish(stage, prepared).is_ok();
        let medium = MEDIUM.take().unwrap();
        (is_told, medium.calls, medium.survivors())
    }
}

/// In memory where there is such a place: what a disk would keep, the medium knows, and thousands of syncs take minutes.
fn stage(cpf: &[u8]) -> Stage {
    let memory = Path::new("/dev/shm");
    if memory.is_dir() { Stage::inside(memory, cpf) } else { Stage::new(cpf) }
}

/// A machine that comes up again with these files.
fn machine(files: &Survivors) -> Stage {
    let stage = stage(&files["iris.cpf"]);
    for (name, text) in files {
        fs::write(stage.path(name), text).unwrap();
    }
    stage
}

/// A CPF, the prepared change of it, and the texts before and after the deed.
fn begin(deed: Deed) -> (Stage, Prepared, Vec<u8>, Vec<u8>) {
    let stage = stage(CPF);
    let prepared = stage.prepare("globals", WANTED).unwrap();
    let wanted = String::from_utf8(CPF.to_vec()).unwrap().replace("0,0,256,0,0,0", WANTED).into_bytes();
    match deed {
        Deed::Change => (stage, prepared, CPF.to_vec(), wanted),
        Deed::Undo => {
            Deed::Change.act(&stage, &prepared).unwrap();
            (stage, prepared, wanted, CPF.to_vec())
        }
    }
}

#[track_caller]
fn check(files: &Survivors, is_told: bool, (before, after): (&[u8], &[u8]), at: &str) {
    let cpf = files.get("iris.cpf").unwrap_or_else(|| panic!("{at}: iris.cpf is gone"));
    let shown = String::from_utf8_lossy(cpf);
    assert!(cpf == before || cpf == after, "{at}: iris.cpf is neither the old nor the new one: {shown:?}");
    assert!(!is_told || cpf == after, "{at}: it was told done, and the old iris.cpf is back");
    let is_kept = files.iter().any(|(name, text)| name.starts_with("iris.cpf_instance_") && text == before);
    assert!(cpf == before || is_kept, "{at}: iris.cpf is the new one, and there is no backup of the old one");
}

#[test]
fn whenever_the_power_goes_the_cpf_is_whole_and_what_was_begun_is_finished() {
    for deed in [Deed::Change, Deed::Undo] {
        let mut call = 0;
        let mut is_over = false;
        while !is_over {
            call += 1;
            for seed in 0..SEEDS {
                let (stage, prepared, before, after) = begin(deed);
                let (is_told, calls, files) = deed.cut_at(call, seed, &stage, &prepared);
                let at = format!("{deed:?}, power cut at call {call} of {calls}, seed {seed}");
                check(&files, is_told, (&before, &after), &at);
                is_over = calls < call;
                assert_eq!(is_told, is_over, "{at}");

                // And goes once more while that is being put right.
                let second = u32::try_from(seed % 12).unwrap() + 1;
                let (is_told, _, files) = deed.cut_at(second, !seed, &machine(&files), &prepared);
                check(&files, is_told, (&before, &after), &format!("{at}, again at call {second}"));
                let stage = machine(&files);
                deed.finish(&stage, &prepared).unwrap();
                assert_eq!(stage.cpf(), after, "{at}");
            }
        }
        assert!(call > 8, "a {deed:?} makes more calls than {call}");
    }
}

#[test]
fn what_a_dead_process_left_unsynced_is_made_safe_before_it_is_told() {
    for deed in [Deed::Change, Deed::Undo] {
        for (call, seed) in (1..20).flat_map(|call| (0..SEEDS).map(move |seed| (call, seed))) {
            let (stage, prepared, before, after) = begin(deed);
            MEDIUM.set(Some(Medium::under(&stage.path(""), call, seed)));
            let _ = deed.finish(&stage, &prepared);
            // Only the process has died: what it wrote is there, and no safer than before.
            MEDIUM.with_borrow_mut(|medium| medium.as_mut().unwrap().restart_process());
            deed.finish(&stage, &prepared).unwrap();
            let files = MEDIUM.take().unwrap().survivors();
            check(&files, true, (&before, &after), &format!("{deed:?}, died at call {call}, seed {seed}"));
        }
    }
}

#[test]
fn a_draft_that_a_power_cut_has_left_is_gone_after_the_next_change() {
    let (stage, prepared, ..) = begin(Deed::Change);
    let left = (1..).map(|call| Deed::Change.cut_at(call, 3, &stage, &prepared).2);
    let is_draft = |name: &String| name.starts_with('.');
    let files = left.take(20).find(|files| files.keys().any(is_draft)).unwrap();
    let stage = machine(&files);
    Deed::Change.finish(&stage, &prepared).unwrap();
    Deed::Undo.finish(&stage, &prepared).unwrap();
    assert!(!stage.others().iter().any(is_draft), "{:?}", stage.others());
}
