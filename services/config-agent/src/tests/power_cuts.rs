//! The power goes at any call that changes the folder. What is there when it comes back is what was synced, and of the
//! rest a part, torn, or nothing.
//!
//! The files of these tests are real ones, as everywhere; beside them a medium keeps what a disk would have kept of
//! them. It knows texts and names, not owners, modes and attributes.

use std::{
    cell::RefCell,
    collections::{BTreeMap, BTreeSet},
    fs, io,
    os::unix::fs::MetadataExt,
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

/// What a power cut leaves of the names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// As after a number of the calls: they are in a log that is read back in order. Two files can be exchanged.
    Logged,
    /// Each by itself as it was when they were last synced, or as it is. No two files can be exchanged.
    Loose,
}

const KINDS: [Kind; 2] = [Kind::Logged, Kind::Loose];

type Names = BTreeMap<String, usize>;

#[derive(Debug)]
struct Medium {
    kind: Kind,
    files: Vec<Text>,
    names: Names,
    /// After each call since the names were last synced; the first is what was synced.
    log: Vec<Names>,
    calls: u32,
    /// The call, counted from 1, at which the power goes.
    cut_at: u32,
    is_off: bool,
    random: u64,
}

#[derive(Debug, Clone, Default)]
struct Text {
    inode: u64,
    durable: Vec<u8>,
    current: Vec<u8>,
}

/// What the disk holds after a cut, by name: which file it was, and its bytes.
type Survivors = BTreeMap<String, (u64, Vec<u8>)>;

impl Medium {
    /// Everything that is in the folder is durable.
    fn under(folder: &Path, kind: Kind, cut_at: u32, seed: u64) -> Self {
        let (mut files, mut names) = (Vec::new(), Names::new());
        for entry in fs::read_dir(folder).unwrap().map(|entry| entry.unwrap()) {
            let text = fs::read(entry.path()).unwrap();
            names.insert(entry.file_name().into_string().unwrap(), files.len());
            let inode = entry.metadata().unwrap().ino();
            files.push(Text { inode, durable: text.clone(), current: text });
        }
        // Neighbouring seeds must not draw alike.
        let random = seed.wrapping_add(1).wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
        let log = vec![names.clone()];
        Self { kind, files, names, log, calls: 0, cut_at, is_off: false, random }
    }

    /// What was written last is not synced.
    fn with_unsynced(mut self, name: &str) -> Self {
        self.text(name).durable.clear();
        self
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
        if self.kind == Kind::Loose && matches!(call, Call::Exchange { .. }) {
            return Err(io::Error::from_raw_os_error(nix::libc::EINVAL));
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
                    let inode = fs::metadata(folder.join(name)).unwrap().ino();
                    self.files.push(Text { inode, ..Text::default() });
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
            Call::Place { from, to } => {
                if !self.names.contains_key(to) {
                    let moved = self.names.remove(from).unwrap();
                    self.names.insert(to.to_owned(), moved);
                }
            }
            Call::Exchange { one, other } => {
                let (first, second) = (self.names[one], self.names[other]);
                self.names.extend([(one.to_owned(), second), (other.to_owned(), first)]);
            }
            Call::Touch(_) => {}
            Call::Remove(name) => drop(self.names.remove(name)),
            Call::SyncFolder => self.log.clear(),
        }
        self.log.push(self.names.clone());
    }

    fn text(&mut self, name: &str) -> &mut Text {
        &mut self.files[self.names[name]]
    }

    /// The power comes back.
    fn survivors(mut self) -> Survivors {
        let files = std::mem::take(&mut self.files);
        let texts: Vec<_> = files.into_iter().map(|text| (text.inode, self.survives(text))).collect();
        let names = match self.kind {
            Kind::Logged => {
                let at = self.draw(self.log.len());
                self.log[at].clone()
            }
            Kind::Loose => self.loose_names(),
        };
        names.into_iter().map(|(name, at)| (name, texts[at].clone())).collect()
    }

    fn loose_names(&mut self) -> Names {
        let durable = self.log[0].clone();
        let all: BTreeSet<String> = self.names.keys().chain(durable.keys()).cloned().collect();
        let mut names = Names::new();
        for name in all {
            let found = if self.draw(2) == 0 { self.names.get(&name) } else { durable.get(&name) };
            names.extend(found.map(|at| (name, *at)));
        }
        names
    }

    /// What was synced; of what was added since a beginning, maybe with a hole in it.
    fn survives(&mut self, Text { mut durable, current, .. }: Text) -> Vec<u8> {
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
    fn cut(self, medium: Medium, stage: &Stage, prepared: &Prepared) -> (bool, u32, Survivors) {
        MEDIUM.set(Some(medium));
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

/// A machine that comes up again with these files. They are others than before, so the names that tell which file a
/// draft is are told the new ones.
fn machine(files: &Survivors) -> Stage {
    let stage = stage(&files["iris.cpf"].1);
    let mut inodes = BTreeMap::new();
    for (name, (inode, text)) in files {
        fs::write(stage.path(name), text).unwrap();
        inodes.insert(*inode, fs::metadata(stage.path(name)).unwrap().ino());
    }
    for name in files.keys() {
        let Some((backup, draft)) = name.rsplit_once("_new_") else { continue };
        if let Some(now) = inodes.get(&draft.parse().unwrap()) {
            fs::rename(stage.path(name), stage.path(&format!("{backup}_new_{now}"))).unwrap();
        }
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
    let (_, cpf) = files.get("iris.cpf").unwrap_or_else(|| panic!("{at}: iris.cpf is gone"));
    let shown = String::from_utf8_lossy(cpf);
    assert!(cpf == before || cpf == after, "{at}: iris.cpf is neither the old nor the new one: {shown:?}");
    assert!(!is_told || cpf == after, "{at}: it was told done, and the old iris.cpf is back");
    // Under its name, or where it is given its name from.
    let may_be_kept = |name: &str| {
        let is_backup = name.starts_with("iris.cpf_instance_");
        is_backup || (!is_told && name.starts_with(".iris.cpf_instance_0"))
    };
    let is_kept = files.iter().any(|(name, (_, text))| may_be_kept(name) && text == before);
    assert!(cpf == before || is_kept, "{at}: iris.cpf is the new one, and there is no backup of the old one");
}

/// It has ended, whatever happened on the way: the new text, a backup with the old one, and nothing else.
#[track_caller]
fn check_end(stage: &Stage, (before, after): (&[u8], &[u8]), at: &str) {
    assert_eq!(stage.cpf(), after, "{at}");
    let others = stage.others();
    let is_kept = others.iter().any(|name| fs::read(stage.path(name)).unwrap() == before);
    assert!(is_kept, "{at}: no backup of the old one among {others:?}");
    assert!(others.iter().all(|name| name.starts_with("iris.cpf_instance_")), "{at}: {others:?}");
}

#[test]
fn whenever_the_power_goes_the_cpf_is_whole_and_what_was_begun_is_finished() {
    for (kind, deed) in KINDS.into_iter().flat_map(|kind| [(kind, Deed::Change), (kind, Deed::Undo)]) {
        let mut call = 0;
        let mut is_over = false;
        while !is_over {
            call += 1;
            for seed in 0..SEEDS {
                let (stage, prepared, before, after) = begin(deed);
                let texts = (before.as_slice(), after.as_slice());
                let medium = Medium::under(&stage.path(""), kind, call, seed);
                let (is_told, calls, files) = deed.cut(medium, &stage, &prepared);
                let at = format!("{deed:?} ({kind:?}), power cut at call {call} of {calls}, seed {seed}");
                check(&files, is_told, texts, &at);
                is_over = calls < call;
                assert_eq!(is_told, is_over, "{at}");

                // And goes once more while that is being put right.
                let second = u32::try_from(seed % 12).unwrap() + 1;
                let stage = machine(&files);
                let medium = Medium::under(&stage.path(""), kind, second, !seed);
                let (is_told, _, files) = deed.cut(medium, &stage, &prepared);
                check(&files, is_told, texts, &format!("{at}, again at call {second}"));
                let stage = machine(&files);
                deed.finish(&stage, &prepared).unwrap();
                // A draft that came to nothing goes with the next change.
                let _ = fs::remove_file(stage.path(".iris.cpf_instance_new"));
                check_end(&stage, texts, &at);
            }
        }
        assert!(call > 8, "a {deed:?} makes more calls than {call}");
    }
}

#[test]
fn what_iris_has_not_synced_is_whole_in_the_backup() {
    for (kind, deed) in KINDS.into_iter().flat_map(|kind| [(kind, Deed::Change), (kind, Deed::Undo)]) {
        for (call, seed) in (1..20).flat_map(|call| (0..SEEDS).map(move |seed| (call, seed))) {
            let (stage, prepared, before, after) = begin(deed);
            let medium = Medium::under(&stage.path(""), kind, call, seed).with_unsynced("iris.cpf");
            let (is_told, _, files) = deed.cut(medium, &stage, &prepared);
            // Torn by the cut it may be, as without us, but not once it was replaced.
            if is_told || files["iris.cpf"].1 == after {
                let at = format!("{deed:?} ({kind:?}), power cut at call {call}, seed {seed}");
                check(&files, is_told, (&before, &after), &at);
            }
        }
    }
}

#[test]
fn what_a_dead_process_left_unsynced_is_made_safe_before_it_is_told() {
    for (kind, deed) in KINDS.into_iter().flat_map(|kind| [(kind, Deed::Change), (kind, Deed::Undo)]) {
        for (call, seed) in (1..20).flat_map(|call| (0..SEEDS).map(move |seed| (call, seed))) {
            let (stage, prepared, before, after) = begin(deed);
            MEDIUM.set(Some(Medium::under(&stage.path(""), kind, call, seed)));
            let _ = deed.finish(&stage, &prepared);
            // Only the process has died: what it wrote is there, and no safer than before.
            MEDIUM.with_borrow_mut(|medium| medium.as_mut().unwrap().restart_process());
            deed.finish(&stage, &prepared).unwrap();
            let files = MEDIUM.take().unwrap().survivors();
            let at = format!("{deed:?} ({kind:?}), died at call {call}, seed {seed}");
            check(&files, true, (&before, &after), &at);
        }
    }
}

#[test]
fn a_draft_that_a_power_cut_has_left_is_gone_after_the_next_change() {
    for kind in KINDS {
        let left = (1..20).map(|call| {
            let (stage, prepared, ..) = begin(Deed::Change);
            let medium = Medium::under(&stage.path(""), kind, call, 3);
            (Deed::Change.cut(medium, &stage, &prepared).2, prepared)
        });
        let is_draft = |name: &String| name.starts_with('.');
        let left: Vec<_> = left.filter(|(files, _)| files.keys().any(is_draft)).collect();
        assert!(left.len() > 2, "{kind:?}: {left:?}");
        for (files, prepared) in left {
            let stage = machine(&files);
            Deed::Change.finish(&stage, &prepared).unwrap();
            Deed::Undo.finish(&stage, &prepared).unwrap();
            assert!(!stage.others().iter().any(is_draft), "{:?}", stage.others());
        }
    }
}
