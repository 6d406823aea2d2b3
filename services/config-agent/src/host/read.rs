//! The CPF as it is now on this machine, and the things that are done to it: kept, replaced, merged into.

use std::{
    collections::HashMap,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, OnceLock, PoisonError},
};

use instance_agent::InstanceSettings;
use instance_chassis::crash_point;
use instance_contract::{Digest, Failure};
use instance_iris::cpf::Document;

use super::{CpfFile, LastLook, MergeFile, merge_file};
use crate::{
    backup,
    error::FileError,
    folder::{Folder, Snapshot},
    replace::{self, Change},
};

/// An `iris.cpf`, read once, in a folder that is held open.
#[derive(Debug)]
pub struct Live {
    pub folder: Folder,
    pub name: String,
    pub snapshot: Snapshot,
    text: Arc<Text>,
    /// The text that was read before this one was found.
    former: Option<Arc<Text>>,
    /// Where what is read, or written by us, is understood once.
    texts: Arc<Texts>,
}

/// What the CPFs of this host were understood as when they were last read or written by us. The file itself is read each time; only what
/// the very same bytes mean is not found out twice.
#[derive(Debug, Default)]
pub struct Texts(Mutex<HashMap<PathBuf, Known>>);

/// Of one CPF: the newest text, and the one before, by which is told what somebody else has changed.
#[derive(Debug, Clone)]
struct Known {
    text: Arc<Text>,
    former: Option<Arc<Text>>,
}

/// The text of a CPF, and what it says.
#[derive(Debug)]
struct Text {
    bytes: Vec<u8>,
    document: Document,
    digest: OnceLock<Digest>,
}

impl Live {
    pub fn read(settings: &InstanceSettings, texts: &Arc<Texts>) -> Result<Self, Failure> {
        let read = || {
            let (folder, name) = Folder::of(&settings.cpf)?;
            let snapshot = folder.read(&name)?;
            let Known { text, former } = texts.of(&settings.cpf, &snapshot.bytes);
            Ok(Self { folder, name, snapshot, text, former, texts: Arc::clone(texts) })
        };
        read().map_err(FileError::into_failure)
    }
}

impl Live {
    fn change<'a>(&'a self, text: &'a [u8], backup: &'a str) -> Change<'a> {
        Change { folder: &self.folder, name: &self.name, old: &self.snapshot, text, backup }
    }
}

impl Texts {
    fn of(&self, cpf: &Path, bytes: &[u8]) -> Known {
        // A list of whole texts is whole between any two calls.
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match known.get(cpf).filter(|newest| newest.text.bytes == bytes) {
            Some(newest) => newest.clone(),
            None => add(&mut known, cpf, bytes.to_vec(), Document::parse(bytes)),
        }
    }

    /// We have written it, so it is understood already.
    fn wrote(&self, cpf: &Path, bytes: Vec<u8>, document: Document) {
        add(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner), cpf, bytes, document);
    }
}

fn add(known: &mut HashMap<PathBuf, Known>, cpf: &Path, bytes: Vec<u8>, document: Document) -> Known {
    let former = known.get(cpf).map(|newest| Arc::clone(&newest.text));
    let now = Known { text: Arc::new(Text { bytes, document, digest: OnceLock::new() }), former };
    known.insert(cpf.to_owned(), now.clone());
    now
}

impl CpfFile for Live {
    fn path(&self) -> PathBuf {
        self.folder.path().join(&self.name)
    }

    fn document(&self) -> &Document {
        &self.text.document
    }

    fn digest(&self) -> &Digest {
        self.text.digest.get_or_init(|| Digest::of(&self.text.bytes))
    }

    fn differs_from(&self, planned: &Digest) -> Option<String> {
        let former = self.former.as_ref().filter(|former| Digest::of(&former.bytes) == *planned)?;
        Some(replace::differences(&former.document, &self.text.document))
    }

    fn next_backup(&self) -> Result<String, Failure> {
        backup::next_name(&self.folder, &self.name, self.digest()).map_err(FileError::into_failure)
    }

    fn keep(&self, backup: &str) -> Result<(), Failure> {
        crash_point("config.backup-to-make");
        let begun = backup::begin(&self.folder, backup, &self.snapshot);
        begun.and_then(backup::Begun::settle).map_err(FileError::into_failure)
    }

    fn backup(&self, name: &str) -> Option<Vec<u8>> {
        self.folder.read(name).ok().map(|backup| backup.bytes)
    }

    fn make_durable(&self) -> Result<(), Failure> {
        self.folder.sync().map_err(FileError::into_unknown)
    }

    fn put(&self, new: &Document, backup: &str, last_look: LastLook<'_>) -> Result<Option<String>, Failure> {
        crash_point("config.backup-to-begin");
        let text = new.to_bytes();
        let warning = replace::replace(&self.change(&text, backup), last_look)?;
        self.texts.wrote(&self.path(), text, new.as_read());
        Ok(warning)
    }

    fn merge_file(&self, text: &[u8]) -> Result<Box<dyn MergeFile>, Failure> {
        let laid = merge_file::lay(&self.folder, &self.name, &self.snapshot, text);
        Ok(Box::new(laid.map_err(FileError::into_failure)?))
    }

    fn is_unchanged(&self) -> Result<(), Failure> {
        self.change(&[], "").is_untouched()
    }

    fn prune(&self, kept_backups: usize) -> Option<String> {
        crash_point("config.backups-to-prune");
        let pruned = backup::prune(&self.folder, &self.name, kept_backups);
        crash_point("config.backups-pruned");
        match pruned {
            Ok(removed) => {
                tracing::debug!(?removed, "old backups are removed");
                None
            }
            Err(error) => Some(format!("could not remove old backups: {}", error.into_failure().cause())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(folder: &Path) -> InstanceSettings {
        InstanceSettings {
            name: "PROD".parse().unwrap(),
            cpf: folder.join("iris.cpf"),
            messages_log: folder.join("messages.log"),
            manager_dir: None,
        }
    }

    #[test]
    fn the_same_bytes_are_understood_once_and_others_anew() {
        let folder = tempfile::tempdir().unwrap();
        let settings = settings(folder.path());
        let cpf = settings.cpf.clone();
        let texts = Arc::default();
        let read = |text: &str| {
            std::fs::write(&cpf, text).unwrap();
            Live::read(&settings, &texts).unwrap()
        };
        let one = read("[config]\nerrlog=500\n");
        let same = read("[config]\nerrlog=500\n");
        assert!(Arc::ptr_eq(&one.text, &same.text));
        // As long, written in the same moment, and another text.
        let other = read("[config]\nerrlog=600\n");
        assert_eq!(other.document().get("config", "errlog"), Some("600"));
        assert_eq!(*other.digest(), Digest::of(&other.snapshot.bytes));
        assert_eq!(one.document().get("config", "errlog"), Some("500"));
    }

    #[test]
    fn what_we_wrote_is_understood_already_and_as_it_would_be_read() {
        let folder = tempfile::tempdir().unwrap();
        let settings = settings(folder.path());
        let cpf = settings.cpf.clone();
        std::fs::write(&cpf, "[config]\nerrlog=500\nlocksiz=0\n").unwrap();
        let texts = Arc::default();
        let before = Live::read(&settings, &texts).unwrap();
        let mut new = before.document().clone();
        new.set("config", "errlog", "600").unwrap();
        before.put(&new, "iris.cpf_instance_1", &|| Ok(())).unwrap();
        let written = Arc::clone(&texts.0.lock().unwrap()[&cpf].text);
        let after = Live::read(&settings, &texts).unwrap();
        assert!(Arc::ptr_eq(&after.text, &written));
        assert_eq!(*after.document(), Document::parse(&std::fs::read(&cpf).unwrap()));
        assert!(after.differs_from(before.digest()).unwrap().contains("errlog"));
    }
}
