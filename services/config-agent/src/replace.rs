//! One file takes the place of another in one step, and keeps all that the other had but its text.

use std::{
    fs::{File, Permissions, TryLockError},
    io::{Read, Seek, SeekFrom},
    os::unix::{
        ffi::OsStrExt,
        fs::{MetadataExt, PermissionsExt, fchown},
    },
    path::Path,
};

use instance_chassis::{crash_point, mutant};
use instance_contract::Failure;
use instance_iris::cpf::{self, Document};
use instance_knowledge as knowledge;
use xattr::FileExt;

use crate::{
    backup::Begun,
    error::FileError,
    folder::{Folder, Snapshot},
};

/// More parameters than these are not named in a message, which is cut at 500 characters.
const LISTED: usize = 4;
/// Characters of a value that are told.
const SHOWN: usize = 40;

/// Replaces the text of the file `name`, of which `old` was read a moment ago.
///
/// The new file stands beside the old one until it is whole, synced, read again and found right; the backup of the old
/// one is made durable with it. `last_look` is
/// called directly before the rename; a file that somebody else has written meanwhile is left to them. On any
/// failure but `Unknown` the live file is untouched and nothing is left behind.
pub fn replace(
    folder: &Folder,
    name: &str,
    old: &Snapshot,
    text: &[u8],
    backup: &Begun<'_>,
    last_look: impl FnOnce() -> Result<(), Failure>,
) -> Result<(), Failure> {
    let draft = Draft::create(folder, name).map_err(FileError::into_failure)?;
    draft.fill(old, text, backup).map_err(FileError::into_failure)?;
    last_look()?;
    let live = folder.read(name).map_err(FileError::into_failure)?;
    if !live.is_as(old) && !mutant("config.lost-update-unchecked") {
        return Err(lost_update(&folder.path().join(name), old, &live));
    }
    crash_point("config.to-rename");
    draft.publish().map_err(FileError::into_failure)?;
    crash_point("config.renamed");
    if !mutant("config.folder-not-synced") {
        folder.sync().map_err(FileError::into_unknown)?;
    }
    crash_point("config.folder-synced");
    let now = folder.read(name).map_err(FileError::into_unknown)?;
    let kept = (now.uid, now.gid, now.mode) == (old.uid, old.gid, old.mode);
    if now.bytes != text || !kept {
        return Err(FileError::ReadBack(folder.path().join(name)).into_unknown());
    }
    crash_point("config.read-back");
    Ok(())
}

/// Somebody else has written the file, or changed whose it is, since it was read: both states are told.
pub fn lost_update(path: &Path, then: &Snapshot, now: &Snapshot) -> Failure {
    let path = path.display();
    let message = if then.bytes == now.bytes {
        let told = |state: &Snapshot| format!("{}:{} {:o}", state.uid, state.gid, state.mode);
        format!(
            "\"{path}\" was given another owner or mode by somebody else just now ({} when it was read, {} now); it is \
             left as it is",
            told(then),
            told(now)
        )
    } else {
        let (before, after) = (Document::parse(&then.bytes), Document::parse(&now.bytes));
        let told = differences(&before, &after);
        let what = if told.is_empty() { String::new() } else { format!("; it differs in {told}") };
        format!(
            "\"{path}\" was written by somebody else just now (SHA-256 {} when it was read, {} now{what}); it is left as \
             it is",
            then.digest().short(),
            now.digest().short()
        )
    };
    Failure::transient("lost_update", message)
}

/// The parameters in which two texts differ, with both values; a secret's are not told. Empty when none differs.
pub fn differences(before: &Document, after: &Document) -> String {
    let differences = cpf::diff(before, after);
    let told = |difference: &cpf::Difference| {
        let (section, name) = (&difference.section, &difference.name);
        let hidden = knowledge::parameter(section, name).is_some_and(|row| row.secret);
        let side = |value: &Option<String>| match value {
            None => "not there".to_owned(),
            Some(_) if hidden => "(hidden)".to_owned(),
            Some(value) if value.chars().count() > SHOWN => {
                format!("\"{}...\"", value.chars().take(SHOWN).collect::<String>())
            }
            Some(value) => format!("\"{value}\""),
        };
        format!("[{section}] {name} ({} then, {} now)", side(&difference.before), side(&difference.after))
    };
    let mut told: Vec<String> = differences.iter().take(LISTED).map(told).collect();
    if differences.len() > LISTED {
        told.push(format!("and {} more", differences.len() - LISTED));
    }
    told.join(", ")
}

/// Gives `file` owner, group, mode, access list and extended attributes of `from`.
pub fn copy_attributes(from: &Snapshot, file: &File, folder: &Folder, name: &str) -> Result<(), FileError> {
    let failed = |what: &str| {
        let (what, path) = (what.to_owned(), folder.path().join(name));
        move |source| FileError::Attribute { what, path, source }
    };
    let own = file.metadata().map_err(failed("the metadata"))?;
    if (own.uid(), own.gid()) != (from.uid, from.gid) {
        fchown(file, Some(from.uid), Some(from.gid)).map_err(failed("the owner"))?;
    }
    // After the owner: a change of owner clears bits of the mode.
    file.set_permissions(Permissions::from_mode(from.mode)).map_err(failed("the mode"))?;
    let names = match from.file.list_xattr() {
        Ok(names) => names,
        // A file system without extended attributes has none to keep.
        Err(error) if error.kind() == std::io::ErrorKind::Unsupported => return Ok(()),
        Err(error) => return Err(failed("the extended attributes")(error)),
    };
    for attribute in names {
        // These are made by the kernel from the text itself.
        if matches!(attribute.as_bytes(), b"security.ima" | b"security.evm") {
            continue;
        }
        let label = format!("extended attribute {}", attribute.display());
        let Some(value) = from.file.get_xattr(&attribute).map_err(failed(&label))? else { continue };
        let has = file.get_xattr(&attribute).ok().flatten();
        if has.as_ref() != Some(&value) {
            file.set_xattr(&attribute, &value).map_err(failed(&label))?;
        }
    }
    Ok(())
}

/// A new file on its way. Removed when it is dropped before it is published.
struct Draft<'a> {
    folder: &'a Folder,
    target: &'a str,
    name: String,
    file: File,
    published: bool,
}

impl<'a> Draft<'a> {
    /// The name is always the same, so that a crash leaves at most one behind; the lock tells a draft that a crash
    /// has left from one that somebody is writing.
    fn create(folder: &'a Folder, target: &'a str) -> Result<Self, FileError> {
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
        Ok(Self { folder, target, name, file, published: false })
    }

    fn fill(&self, old: &Snapshot, text: &[u8], backup: &Begun<'_>) -> Result<(), FileError> {
        let path = || self.folder.path().join(&self.name);
        let mut file = &self.file;
        self.folder.write(&self.name, file, text)?;
        crash_point("config.draft-written");
        copy_attributes(old, file, self.folder, self.target)?;
        let own = (!mutant("config.draft-not-synced")).then_some(file);
        backup.sync_with(&self.name, own)?;
        crash_point("config.draft-synced");
        let mut again = Vec::with_capacity(text.len() + 1);
        file.seek(SeekFrom::Start(0))
            .and_then(|_| file.read_to_end(&mut again))
            .map_err(|source| FileError::io("read again", path(), source))?;
        if again == text { Ok(()) } else { Err(FileError::ReadBack(path())) }
    }

    fn publish(mut self) -> Result<(), FileError> {
        self.folder.rename(&self.name, self.target)?;
        self.published = true;
        Ok(())
    }
}

impl Drop for Draft<'_> {
    fn drop(&mut self) {
        if !self.published
            && let Err(error) = self.folder.remove(&self.name)
        {
            tracing::warn!(error = %error, "could not remove a draft; the next change removes it");
        }
    }
}
