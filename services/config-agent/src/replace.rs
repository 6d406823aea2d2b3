//! One file takes the place of another in one step, and keeps all that the other had but its text.

use std::{
    fs::{File, Permissions},
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
    backup,
    draft::Draft,
    error::FileError,
    exchange,
    folder::{Folder, Snapshot},
    host::LastLook,
};

/// More parameters than these are not named in a message, which is cut at 500 characters.
const LISTED: usize = 4;
/// Characters of a value that are told.
const SHOWN: usize = 40;

/// A file, and what is to become of it.
#[derive(Debug, Clone, Copy)]
pub struct Change<'a> {
    pub folder: &'a Folder,
    pub name: &'a str,
    /// As it was read a moment ago.
    pub old: &'a Snapshot,
    /// What it shall hold.
    pub text: &'a [u8],
    /// The name under which the old one is kept.
    pub backup: &'a str,
}

/// Replaces the text of a file, and keeps the old one as its backup.
///
/// The new file stands beside the old one until it is whole, synced, read again and found right. `last_look` is
/// called directly before it takes the name; a file that somebody else has written meanwhile is left to them. On any
/// failure but `Unknown` the live file is untouched and nothing is left behind. Gives what is to be said of somebody who had
/// the old file open and wrote into it when it was the live one no more.
pub fn replace(change: &Change<'_>, last_look: LastLook<'_>) -> Result<Option<String>, Failure> {
    let Change { folder, name, old, text, backup } = *change;
    // A backup that is there already is no place for the old file.
    let may_exchange = folder.exchanges_in_one_step() && folder.inode(backup).is_none();
    let exchanged = may_exchange && exchange::exchange(change, last_look)?;
    if !exchanged {
        copy_and_rename(change, last_look)?;
    }
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
    if old.holds_still() {
        return Ok(None);
    }
    let theirs = if exchanged {
        "their text is in the backup"
    } else {
        "their text is lost, the backup has the one before"
    };
    Ok(Some(format!(
        "somebody wrote into \"{}\" at the moment that it was replaced: {theirs} \"{backup}\"",
        folder.path().join(name).display()
    )))
}

/// The way for every file system: the backup is a copy, durable before the new file takes the name of the old one.
fn copy_and_rename(change: &Change<'_>, last_look: LastLook<'_>) -> Result<(), Failure> {
    let Change { folder, name, old, text, backup } = *change;
    let begun = backup::begin(folder, backup, old).map_err(FileError::into_failure)?;
    let renamed = || {
        let mut draft = Draft::create(folder, name).map_err(FileError::into_failure)?;
        draft.fill(old, text).map_err(FileError::into_failure)?;
        begun.sync_with(draft.to_sync()).map_err(FileError::into_failure)?;
        draft.check(text).map_err(FileError::into_failure)?;
        last_look()?;
        change.is_untouched()?;
        draft.rename().map_err(FileError::into_failure)
    };
    let renamed = renamed();
    // What became of the change matters more than what became of a backup that it no longer needs.
    renamed.and(begun.settle().map_err(FileError::into_failure))
}

impl Change<'_> {
    /// Fails when somebody else has written the file since it was read.
    pub fn is_untouched(&self) -> Result<(), Failure> {
        let live = self.folder.read(self.name).map_err(FileError::into_failure)?;
        if self.is_planned_on(&live) { Ok(()) } else { Err(self.lost_to(&live)) }
    }

    /// Is it as it was when it was read?
    pub fn is_planned_on(&self, now: &Snapshot) -> bool {
        now.is_as(self.old) || mutant("config.lost-update-unchecked")
    }

    /// What is told of a file that somebody else has written.
    pub fn lost_to(&self, now: &Snapshot) -> Failure {
        lost_update(&self.folder.path().join(self.name), self.old, now)
    }
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
