//! A new file on its way: beside the one that it shall replace, until it is whole and found right.

use std::{
    fs::{File, TryLockError},
    io::{Read, Seek, SeekFrom},
    os::unix::fs::MetadataExt,
    path::PathBuf,
};

use instance_chassis::{crash_point, mutant};

use crate::{
    error::FileError,
    folder::{Folder, Snapshot},
    replace::copy_attributes,
};

/// Removed when it is dropped before it is published.
pub struct Draft<'a> {
    folder: &'a Folder,
    target: &'a str,
    pub name: String,
    pub file: File,
    /// Which file it is, whatever its name.
    pub inode: u64,
    published: bool,
}

impl<'a> Draft<'a> {
    /// The name is always the same, so that a crash leaves at most one behind; the lock tells a draft that a crash
    /// has left from one that somebody is writing.
    pub fn create(folder: &'a Folder, target: &'a str) -> Result<Self, FileError> {
        let name = format!(".{target}_instance_new");
        let busy = || FileError::Busy(folder.path().join(target));
        let file = if let Some(file) = folder.create(&name)? {
            file
        } else {
            match folder.read(&name).map(|left| left.file.try_lock()) {
                Ok(Err(TryLockError::WouldBlock)) => return Err(busy()),
                _ => folder.remove(&name)?,
            }
            folder.create(&name)?.ok_or_else(busy)?
        };
        crash_point("config.draft-created");
        file.try_lock().map_err(|_| busy())?;
        match file.metadata() {
            Ok(found) => Ok(Self { folder, target, inode: found.ino(), name, file, published: false }),
            Err(source) => {
                folder.remove(&name)?;
                Err(FileError::io("look at", folder.path().join(name), source))
            }
        }
    }

    /// Writes it, and gives it what the old file has.
    pub fn fill(&self, old: &Snapshot, text: &[u8]) -> Result<(), FileError> {
        self.folder.write(&self.name, &self.file, text)?;
        crash_point("config.draft-written");
        copy_attributes(old, &self.file, self.folder, self.target)
    }

    /// Its name and itself, to be synced with something else.
    pub fn to_sync(&self) -> Option<(&str, &File)> {
        (!mutant("config.draft-not-synced")).then_some((self.name.as_str(), &self.file))
    }

    /// Reads it again.
    pub fn check(&self, text: &[u8]) -> Result<(), FileError> {
        let mut file = &self.file;
        let mut again = Vec::with_capacity(text.len() + 1);
        file.seek(SeekFrom::Start(0))
            .and_then(|_| file.read_to_end(&mut again))
            .map_err(|source| FileError::io("read again", self.path(), source))?;
        if again == text { Ok(()) } else { Err(FileError::ReadBack(self.path())) }
    }

    /// It takes another name, that nothing has.
    pub fn lay(&mut self, name: String) -> Result<(), FileError> {
        if !self.folder.place(&self.name, &name)? {
            return Err(FileError::Busy(self.folder.path().join(self.target)));
        }
        self.name = name;
        Ok(())
    }

    /// It takes the name of the file that it shall replace.
    pub fn rename(&mut self) -> Result<(), FileError> {
        self.publish(Folder::rename)
    }

    /// It and the file that it shall replace change names.
    pub fn exchange(&mut self) -> Result<(), FileError> {
        self.publish(Folder::exchange)
    }

    fn publish(
        &mut self,
        how: impl FnOnce(&Folder, &str, &str) -> Result<(), FileError>,
    ) -> Result<(), FileError> {
        crash_point("config.to-rename");
        how(self.folder, &self.name, self.target)?;
        self.published = true;
        crash_point("config.renamed");
        Ok(())
    }

    fn path(&self) -> PathBuf {
        self.folder.path().join(&self.name)
    }
}

impl Drop for Draft<'_> {
    fn drop(&mut self) {
        // Not left to closing it: a program that another thread starts has all files open for a moment.
        let _ = self.file.unlock();
        // After an exchange that was told to have failed, another file may have its name.
        let is_other = self.folder.inode(&self.name).is_some_and(|inode| inode != self.inode);
        if self.published || is_other {
            return;
        }
        if let Err(error) = self.folder.remove(&self.name) {
            tracing::warn!(error = %error, "could not remove a draft; the next change removes it");
        }
    }
}
