//! Gives a file new content in one step: whoever reads it sees the old bytes or the new ones.
//!
//! The rules are those of config-agent for the same file: a link is refused, owner, mode, access list and extended
//! attributes stay, and the old text is kept beside it.

use std::{
    fs::{self, File, Permissions},
    io::{ErrorKind, Write as _},
    os::unix::{
        ffi::OsStrExt as _,
        fs::{MetadataExt as _, PermissionsExt as _},
    },
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result};
use instance_contract::Digest;
use nix::unistd::{Gid, Uid, fchown};
use xattr::FileExt as _;

use crate::exit::{Exit, Stop};

/// Replaces the content of `path`, keeping all but its text; refused when it no longer holds `expected`, and when it
/// is a link or has another name. Gives the place of the backup, which holds the old text.
pub fn replace(path: &Path, expected: &[u8], content: &[u8]) -> Result<PathBuf> {
    let writing = || format!("could not write \"{}\"", path.display());
    one_name(path)?;
    let old = File::open(path).with_context(writing)?;
    let folder = match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    let backup = backup(path, &old, expected)?;
    let mut fresh = tempfile::Builder::new()
        .prefix(".instance-")
        .permissions(Permissions::from_mode(0o600))
        .tempfile_in(folder)
        .with_context(writing)?;
    fresh.write_all(content).with_context(writing)?;
    copy_attributes(&old, fresh.as_file(), path)?;
    fresh.as_file().sync_all().with_context(writing)?;
    one_name(path)?;
    if fs::read(path).with_context(writing)? != expected {
        let message = format!("\"{}\" was changed by somebody else meanwhile", path.display());
        return Err(Stop::new(Exit::Refused, message).next("nothing was written; try again").into());
    }
    fresh.persist(path).map_err(|error| error.error).with_context(writing)?;
    // The new names are safe only when the folder is on disk too.
    File::open(folder).and_then(|folder| folder.sync_all()).with_context(writing)?;
    Ok(backup)
}

/// With a second name, or behind a link, others would go on with the old text.
fn one_name(path: &Path) -> Result<()> {
    let metadata =
        fs::symlink_metadata(path).with_context(|| format!("could not find \"{}\"", path.display()))?;
    let (what, next) = if metadata.is_symlink() {
        ("is a symbolic link", "name the file that it leads to")
    } else if !metadata.is_file() {
        ("is not a regular file", "name the CPF itself")
    } else if metadata.nlink() != 1 {
        ("has other names too (hard links)", "remove those that are not needed, or copy the file")
    } else {
        return Ok(());
    };
    let message = format!("\"{}\" {what}, so it is left as it is", path.display());
    Err(Stop::new(Exit::Refused, message).next(next).into())
}

/// Keeps the old text under a name of its own, `<file>_instance_set_<start of its SHA-256>`: the same text is kept
/// once. config-agent, which numbers its backups, leaves it alone.
fn backup(path: &Path, old: &File, text: &[u8]) -> Result<PathBuf> {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(format!("_instance_set_{}", Digest::of(text).short()));
    let backup = path.with_file_name(name);
    let keeping = || format!("could not keep the old text as \"{}\"; nothing was changed", backup.display());
    match fs::read(&backup) {
        Ok(kept) if kept == text => return Ok(backup),
        // Begun by a run that died.
        Ok(_) => fs::remove_file(&backup).with_context(keeping)?,
        Err(error) if error.kind() == ErrorKind::NotFound => {}
        Err(error) => return Err(error).with_context(keeping),
    }
    let mut file = File::create_new(&backup).with_context(keeping)?;
    let kept = copy_attributes(old, &file, &backup)
        .and_then(|()| file.write_all(text).and_then(|()| file.sync_all()).with_context(keeping));
    if let Err(error) = kept {
        // Half a backup is worse than none: it would pass for one.
        fs::remove_file(&backup).with_context(keeping)?;
        return Err(error);
    }
    Ok(backup)
}

/// Gives `file` owner, group, mode, access list and extended attributes (an SELinux label is one) of `old`.
fn copy_attributes(old: &File, file: &File, path: &Path) -> Result<()> {
    let keeping = |what: &str| format!("could not keep {what} of \"{}\"", path.display());
    let (theirs, ours) = (old.metadata()?, file.metadata()?);
    if (ours.uid(), ours.gid()) != (theirs.uid(), theirs.gid()) {
        let (owner, group) = (Uid::from_raw(theirs.uid()), Gid::from_raw(theirs.gid()));
        fchown(file, Some(owner), Some(group))
            .with_context(|| format!("{} (run as its owner or as root)", keeping("the owner")))?;
    }
    // After the owner: changing that takes set-id bits away.
    file.set_permissions(Permissions::from_mode(theirs.mode() & 0o7777))
        .with_context(|| keeping("the mode"))?;
    let names = match old.list_xattr() {
        Ok(names) => names,
        // A file system without extended attributes has none to keep.
        Err(error) if error.kind() == ErrorKind::Unsupported => return Ok(()),
        Err(error) => return Err(error).with_context(|| keeping("the extended attributes")),
    };
    for name in names {
        // These are made by the kernel from the text itself.
        if matches!(name.as_bytes(), b"security.ima" | b"security.evm") {
            continue;
        }
        let label = || keeping(&format!("extended attribute {}", name.display()));
        let Some(value) = old.get_xattr(&name).with_context(label)? else { continue };
        if file.get_xattr(&name).ok().flatten().as_ref() != Some(&value) {
            file.set_xattr(&name, &value).with_context(label)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    fn stage() -> (tempfile::TempDir, PathBuf) {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("iris.cpf");
        fs::write(&file, b"old").unwrap();
        (folder, file)
    }

    #[test]
    fn mode_and_attributes_stay_and_the_old_text_is_kept() {
        let (folder, file) = stage();
        fs::set_permissions(&file, Permissions::from_mode(0o640)).unwrap();
        // Some file systems take no attributes of users; then there are none to keep.
        let labelled = xattr::set(&file, "user.label", b"iris").is_ok();
        let backup = replace(&file, b"old", b"new").unwrap();
        assert_eq!(
            (fs::read(&file).unwrap(), fs::read(&backup).unwrap()),
            (b"new".to_vec(), b"old".to_vec())
        );
        for kept in [&file, &backup] {
            assert_eq!(fs::metadata(kept).unwrap().mode() & 0o7777, 0o640);
            if labelled {
                assert_eq!(xattr::get(kept, "user.label").unwrap().as_deref(), Some(&b"iris"[..]));
            }
        }
        // There and back again: a text is kept once.
        replace(&file, b"new", b"old").unwrap();
        assert_eq!(replace(&file, b"old", b"new").unwrap(), backup);
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 3);
    }

    #[test]
    fn links_are_refused_and_left_as_they_are() {
        let (folder, file) = stage();
        let refused = |path: &Path| {
            let error = replace(path, b"old", b"new").unwrap_err();
            assert_eq!(crate::exit::of(&error), Exit::Refused, "{error}");
            error.to_string()
        };
        let link = folder.path().join("link.cpf");
        symlink(&file, &link).unwrap();
        assert!(refused(&link).contains("is a symbolic link"));
        fs::hard_link(&file, folder.path().join("other.cpf")).unwrap();
        assert!(refused(&file).contains("hard links"));
        assert_eq!(fs::read(&file).unwrap(), b"old");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 3);
    }

    #[test]
    fn a_file_that_somebody_else_changed_is_left_alone() {
        let (folder, file) = stage();
        fs::write(&file, b"theirs").unwrap();
        let error = replace(&file, b"old", b"new").unwrap_err();
        assert_eq!(crate::exit::of(&error), Exit::Refused);
        assert_eq!(fs::read(&file).unwrap(), b"theirs");
        let drafts = fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().file_name());
        assert!(!drafts.into_iter().any(|name| name.as_bytes().starts_with(b".")));
    }
}
