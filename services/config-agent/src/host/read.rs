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
    replace,
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
}

/// What the CPFs of this host were understood as when they were last read. The file itself is read each time; only what
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
    pub fn read(settings: &InstanceSettings, texts: &Texts) -> Result<Self, Failure> {
        let read = || {
            let (folder, name) = Folder::of(&settings.cpf)?;
            let snapshot = folder.read(&name)?;
            let Known { text, former } = texts.of(&settings.cpf, &snapshot.bytes);
            Ok(Self { folder, name, snapshot, text, former })
        };
        read().map_err(FileError::into_failure)
    }
}

impl Texts {
    fn of(&self, cpf: &Path, bytes: &[u8]) -> Known {
        // A list of whole texts is whole between any two calls.
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let newest = known.get(cpf);
        if let Some(newest) = newest.filter(|newest| newest.text.bytes == bytes) {
            return newest.clone();
        }
        let document = Document::parse(bytes);
        let text = Arc::new(Text { bytes: bytes.to_vec(), document, digest: OnceLock::new() });
        let now = Known { text, former: newest.map(|newest| Arc::clone(&newest.text)) };
        known.insert(cpf.to_owned(), now.clone());
        now
    }
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

    fn put(&self, text: &[u8], backup: &str, last_look: LastLook<'_>) -> Result<(), Failure> {
        crash_point("config.backup-to-begin");
        let begun = backup::begin(&self.folder, backup, &self.snapshot).map_err(FileError::into_failure)?;
        let put = replace::replace(&self.folder, &self.name, &self.snapshot, text, &begun, last_look);
        // What became of the change matters more than what became of a backup that it no longer needs.
        let settled = begun.settle().map_err(FileError::into_failure);
        put.and(settled)
    }

    fn merge_file(&self, text: &[u8]) -> Result<Box<dyn MergeFile>, Failure> {
        let laid = merge_file::lay(&self.folder, &self.name, &self.snapshot, text);
        Ok(Box::new(laid.map_err(FileError::into_failure)?))
    }

    fn is_unchanged(&self) -> Result<(), Failure> {
        let now = self.folder.read(&self.name).map_err(FileError::into_failure)?;
        if now.is_as(&self.snapshot) {
            return Ok(());
        }
        Err(replace::lost_update(&self.path(), &self.snapshot, &now))
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

    #[test]
    fn the_same_bytes_are_understood_once_and_others_anew() {
        let folder = tempfile::tempdir().unwrap();
        let cpf = folder.path().join("iris.cpf");
        let settings = InstanceSettings {
            name: "PROD".parse().unwrap(),
            cpf: cpf.clone(),
            messages_log: folder.path().join("messages.log"),
        };
        let texts = Texts::default();
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
}
