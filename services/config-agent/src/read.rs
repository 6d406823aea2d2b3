//! The CPF as it is now, and the two things that are done to it: kept, and replaced.

use std::path::PathBuf;

use instance_agent::InstanceSettings;
use instance_contract::Failure;
use instance_iris::cpf::Document;

use crate::{
    backup,
    edit::differing_lines,
    error::FileError,
    folder::{Folder, Snapshot},
    replace,
};

/// Asked directly before the live file is replaced: may we still act?
pub type LastLook<'a> = &'a dyn Fn() -> Result<(), Failure>;

/// An `iris.cpf`, read once, in a folder that is held open.
#[derive(Debug)]
pub struct Live {
    pub folder: Folder,
    pub name: String,
    pub snapshot: Snapshot,
    pub document: Document,
}

impl Live {
    pub fn read(settings: &InstanceSettings) -> Result<Self, Failure> {
        let read = || {
            let (folder, name) = Folder::of(&settings.cpf)?;
            let snapshot = folder.read(&name)?;
            let document = Document::parse(&snapshot.bytes);
            Ok(Self { folder, name, snapshot, document })
        };
        read().map_err(FileError::into_failure)
    }

    pub fn path(&self) -> PathBuf {
        self.folder.path().join(&self.name)
    }

    /// The name of the backup that the next change makes.
    pub fn next_backup(&self) -> Result<String, Failure> {
        backup::next_name(&self.folder, &self.name, &self.snapshot.digest).map_err(FileError::into_failure)
    }

    /// Keeps the file as it is now; durable when it returns.
    pub fn keep(&self, backup: &str) -> Result<(), Failure> {
        backup::keep(&self.folder, backup, &self.snapshot).map_err(FileError::into_failure)
    }

    /// Whoever has written this file may have died before its name was safe; it is answered for from now on.
    pub fn make_durable(&self) -> Result<(), Failure> {
        self.folder.sync().map_err(FileError::into_unknown)
    }

    /// The one effect of this agent: the file gets another text, one line of which differs.
    pub fn put(&self, text: &[u8], last_look: LastLook<'_>) -> Result<(), Failure> {
        if differing_lines(&self.snapshot.bytes, text) != Some(1) {
            let message =
                format!("the change of \"{}\" would touch more than one line", self.path().display());
            return Err(Failure::permanent("cpf_not_editable", message));
        }
        replace::replace(&self.folder, &self.name, &self.snapshot, text, last_look)
    }

    /// Removes old backups. That they stay is no failure of the change, only worth a warning.
    pub fn prune(&self, kept_backups: usize) -> Option<String> {
        match backup::prune(&self.folder, &self.name, kept_backups) {
            Ok(removed) => {
                tracing::debug!(?removed, "old backups are removed");
                None
            }
            Err(error) => Some(format!("could not remove old backups: {}", error.into_failure().cause())),
        }
    }
}
