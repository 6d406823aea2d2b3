//! The new file and the old one change names in one step; what was replaced is looked at, and becomes the backup.
//!
//! So nobody's write falls between a last look and the step: what was replaced is the very file, and it is looked at
//! after the step. Whoever has it open still writes into the backup then, where it can be found.

use std::fs::{File, TryLockError};

use instance_chassis::{crash_point, mutant};
use instance_contract::Failure;

use crate::{
    backup,
    draft::Draft,
    error::FileError,
    folder::{Folder, Snapshot},
    host::LastLook,
    replace::Change,
};

/// A name beside the CPF that a draft has directly before the exchange, and what it has replaced directly after it:
/// `.<backup>_new_<inode of the draft>`. It tells all that is needed to go on after a crash.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Seat {
    name: String,
    /// The name that the old file is to get.
    backup: String,
    /// Which file the draft is, wherever it lies now.
    draft: u64,
}

/// Replaces the text of the file as [`crate::replace::replace`] says; `false` when this file system cannot, and nothing
/// has changed.
pub fn exchange(change: &Change<'_>, last_look: LastLook<'_>) -> Result<bool, Failure> {
    let Change { folder, name, old, text, backup } = *change;
    let mut draft = Draft::create(folder, name).map_err(FileError::into_failure)?;
    draft.fill(old, text).map_err(FileError::into_failure)?;
    sync_both(change, &draft).map_err(FileError::into_failure)?;
    let _locked = Locked::by_us(&old.file);
    crash_point("config.draft-synced");
    draft.check(text).map_err(FileError::into_failure)?;
    last_look()?;
    change.is_untouched()?;
    let seat = Seat::of(backup, draft.inode);
    match draft.lay(seat.name.clone()).and_then(|()| draft.exchange()) {
        Ok(()) => {}
        Err(error) if error.is_unsupported() => return Ok(false),
        // Told to have failed, and done all the same.
        Err(error) if folder.inode(name) == Some(seat.draft) => return Err(error.into_unknown()),
        Err(error) => return Err(error.into_failure()),
    }
    match take(change, &seat) {
        Ok(()) => Ok(true),
        Err(why) => Err(give_back(change, &seat, why)),
    }
}

/// Why what was replaced does not become the backup.
enum Refused {
    /// Somebody else has written it, or changed whose it is.
    Other(Box<Snapshot>),
    Not(FileError),
}

/// Tells another process, which settles what crashes have left, that none was.
struct Locked<'a>(&'a File);

impl<'a> Locked<'a> {
    /// That somebody else may have locked it is no matter.
    fn by_us(file: &'a File) -> Option<Self> {
        file.try_lock().is_ok().then_some(Self(file))
    }
}

impl Drop for Locked<'_> {
    fn drop(&mut self) {
        // Not left to closing it: a program that another thread starts has all files open for a moment.
        let _ = self.0.unlock();
    }
}

/// The new text, and the old one too: whoever has written it may not have synced it, and it is to be a backup.
fn sync_both(change: &Change<'_>, draft: &Draft<'_>) -> Result<(), FileError> {
    let old = (!mutant("config.replaced-not-synced")).then_some((change.name, &change.old.file));
    change.folder.sync_files(&old.into_iter().chain(draft.to_sync()).collect::<Vec<_>>())
}

/// What was replaced must be what was planned on; then it becomes the backup.
fn take(change: &Change<'_>, seat: &Seat) -> Result<(), Refused> {
    let Change { folder, name, old, .. } = *change;
    let read = folder.read(&seat.name).map_err(|error| error.about(folder.path().join(name)));
    let there = read.map_err(Refused::Not)?;
    if !change.is_planned_on(&there) && !mutant("config.exchanged-unchecked") {
        return Err(Refused::Other(Box::new(there)));
    }
    if there.inode != old.inode {
        // Somebody else has replaced it by its like.
        folder.sync_files(&[(&seat.name, &there.file)]).map_err(Refused::Not)?;
    }
    if !folder.place(&seat.name, &seat.backup).map_err(Refused::Not)? {
        return Err(Refused::Not(FileError::BackupTaken(folder.path().join(&seat.backup))));
    }
    age(folder, &seat.backup, &there);
    crash_point("config.backup-named");
    Ok(())
}

/// The age of a backup is the time since it is one; what is too old may be removed.
fn age(folder: &Folder, backup: &str, file: &Snapshot) {
    if let Err(error) = folder.touch(backup, &file.file) {
        tracing::warn!(%error, "a backup counts as old as the text in it");
    }
}

/// What was replaced gets its name again, whoever it is from; only then is it put into words.
fn give_back(change: &Change<'_>, seat: &Seat, why: Refused) -> Failure {
    let given = seat.give_back(change.folder, change.name, Some(change.text));
    let failure = match why {
        Refused::Other(theirs) => change.lost_to(&theirs),
        Refused::Not(error) => error.into_failure(),
    };
    match given {
        Ok(()) => failure,
        Err(error) => {
            tracing::warn!(%error, "could not give a CPF its name again; the next attempt tries");
            Failure::Unknown { cause: failure.cause().clone() }
        }
    }
}

/// Ends what a crash has cut between the exchange and the backup's name: the old file becomes the backup. Where it is
/// not the one that was planned on, it gets its name again. A draft that came to no exchange is removed.
pub fn settle(folder: &Folder, cpf: &str) -> Result<(), FileError> {
    for seat in folder.names()?.iter().filter_map(|name| Seat::parse(name, cpf)) {
        seat.settle(folder, cpf)?;
        folder.sync()?;
        tracing::info!(name = seat.name, "what a crash had left beside a CPF is settled");
    }
    Ok(())
}

impl Seat {
    fn of(backup: &str, draft: u64) -> Self {
        Self { name: format!(".{backup}_new_{draft}"), backup: backup.to_owned(), draft }
    }

    fn parse(name: &str, cpf: &str) -> Option<Self> {
        let (backup, draft) = name.strip_prefix('.')?.rsplit_once("_new_")?;
        let draft = draft.parse().ok().filter(|_| backup::is_name(backup, cpf))?;
        Some(Self::of(backup, draft))
    }

    fn settle(&self, folder: &Folder, cpf: &str) -> Result<(), FileError> {
        let there = match folder.read(&self.name) {
            Ok(there) => there,
            // Nobody would have planned on it.
            Err(error) if error.is_of_kind() && folder.inode(cpf) == Some(self.draft) => {
                return self.give_back(folder, cpf, None);
            }
            Err(error) => return Err(error),
        };
        if there.file.try_lock().is_err_and(|error| matches!(error, TryLockError::WouldBlock)) {
            return Err(FileError::Busy(folder.path().join(cpf)));
        }
        if there.inode == self.draft {
            return folder.remove(&self.name);
        }
        if backup::may_hold(&self.backup, &there) {
            folder.sync_files(&[(&self.name, &there.file)])?;
            if folder.place(&self.name, &self.backup)? {
                age(folder, &self.backup, &there);
                return Ok(());
            }
        } else if folder.inode(cpf) == Some(self.draft) {
            return self.give_back(folder, cpf, None);
        }
        self.keep_aside(folder, cpf)
    }

    /// What lies in the seat gets its name again, and the draft goes, when it holds `text`. Nothing that anybody else
    /// has written is removed.
    fn give_back(&self, folder: &Folder, cpf: &str, text: Option<&[u8]>) -> Result<(), FileError> {
        // Somebody may have replaced the draft in its turn. What they have written stays where they put it.
        if folder.inode(cpf) == Some(self.draft) {
            folder.exchange(&self.name, cpf)?;
        }
        let is_draft = |there: &Snapshot| there.inode == self.draft && Some(there.bytes.as_slice()) == text;
        if folder.read(&self.name).is_ok_and(|there| is_draft(&there)) {
            folder.remove(&self.name)?;
        } else {
            self.keep_aside(folder, cpf)?;
        }
        folder.sync()
    }

    /// It becomes a backup of its own.
    fn keep_aside(&self, folder: &Folder, cpf: &str) -> Result<(), FileError> {
        let there = folder.read(&self.name)?;
        let name = backup::next_name(folder, cpf, there.digest())?;
        if folder.place(&self.name, &name)? {
            age(folder, &name, &there);
            return Ok(());
        }
        // There is one with the same bytes, or somebody has taken the name just now.
        if folder.read(&name)?.bytes == there.bytes {
            return folder.remove(&self.name);
        }
        Err(FileError::BackupTaken(folder.path().join(name)))
    }
}
