//! Gives a file new content in one step: whoever reads it sees the old bytes or the new ones.

use std::{
    fs::{self, File},
    io::Write as _,
    os::unix::fs::{MetadataExt as _, PermissionsExt as _},
    path::Path,
};

use anyhow::{Context as _, Result};
use nix::unistd::{Gid, Uid, fchown};

use crate::exit::{Exit, Stop};

/// Replaces the content of `path`, keeping its mode and owner; refused when it no longer holds `expected`.
///
/// A symbolic link stays one: the file that it leads to is replaced.
pub fn replace(path: &Path, expected: &[u8], content: &[u8]) -> Result<()> {
    let target = fs::canonicalize(path).with_context(|| format!("could not find \"{}\"", path.display()))?;
    let folder = target.parent().unwrap_or(Path::new("/"));
    let writing = || format!("could not write \"{}\"", target.display());
    let metadata = fs::metadata(&target).with_context(writing)?;
    let mut fresh = tempfile::Builder::new()
        .prefix(".instance-")
        .permissions(fs::Permissions::from_mode(0o600))
        .tempfile_in(folder)
        .with_context(writing)?;
    fresh.write_all(content).with_context(writing)?;
    let ours = fresh.as_file().metadata().with_context(writing)?;
    if (ours.uid(), ours.gid()) != (metadata.uid(), metadata.gid()) {
        let (owner, group) = (Uid::from_raw(metadata.uid()), Gid::from_raw(metadata.gid()));
        fchown(fresh.as_file(), Some(owner), Some(group)).with_context(|| {
            format!("could not keep the owner of \"{}\" (run as its owner or as root)", target.display())
        })?;
    }
    // After the owner: changing that takes set-id bits away.
    fresh
        .as_file()
        .set_permissions(fs::Permissions::from_mode(metadata.mode() & 0o7777))
        .with_context(writing)?;
    fresh.as_file().sync_all().with_context(writing)?;
    if fs::read(&target).with_context(writing)? != expected {
        let message = format!("\"{}\" was changed by somebody else meanwhile", target.display());
        return Err(Stop::new(Exit::Refused, message).next("nothing was written; try again").into());
    }
    fresh.persist(&target).map_err(|error| error.error).with_context(writing)?;
    // The new name is safe only when the folder is on disk too.
    File::open(folder).and_then(|folder| folder.sync_all()).with_context(writing)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn the_mode_and_a_link_survive() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("iris.cpf");
        let link = folder.path().join("link.cpf");
        fs::write(&file, b"old").unwrap();
        fs::set_permissions(&file, fs::Permissions::from_mode(0o640)).unwrap();
        symlink(&file, &link).unwrap();
        replace(&link, b"old", b"new").unwrap();
        assert_eq!(fs::read(&file).unwrap(), b"new");
        assert_eq!(fs::metadata(&file).unwrap().mode() & 0o7777, 0o640);
        assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
    }

    #[test]
    fn a_file_that_somebody_else_changed_is_left_alone_and_nothing_is_left_behind() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("iris.cpf");
        fs::write(&file, b"theirs").unwrap();
        let error = replace(&file, b"old", b"new").unwrap_err();
        assert_eq!(crate::exit::of(&error), Exit::Refused);
        assert_eq!(fs::read(&file).unwrap(), b"theirs");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }
}
