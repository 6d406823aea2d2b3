//! The power goes at any call that changes the folder. What is there when it comes back is what was synced, and of the
//! rest a part, torn, or nothing.
//!
//! The files of these tests are real ones, as everywhere; beside them a medium keeps what a disk would have kept of
//! them.

mod medium;

use std::{cell::RefCell, collections::BTreeMap, fs, io, os::unix::fs::MetadataExt, path::Path};

use instance_agent::{Prepared, Probe};
use instance_contract::Failure;

use self::medium::{KINDS, Medium, Survivors};
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
