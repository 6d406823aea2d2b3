//! A merge file on its way: beside the CPF, so that whoever may read the one may read the other, and nobody else.

use std::{
    fs::Permissions,
    io::Write,
    os::unix::fs::{MetadataExt, PermissionsExt, fchown},
    path::{Path, PathBuf},
};

use instance_chassis::crash_point;

use super::MergeFile;
use crate::{
    error::FileError,
    folder::{Folder, Snapshot},
};

/// One that lies there. Removed when it is dropped.
#[derive(Debug)]
pub struct Laid {
    path: PathBuf,
}

impl MergeFile for Laid {
    fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for Laid {
    fn drop(&mut self) {
        if let Err(error) = std::fs::remove_file(&self.path) {
            tracing::warn!(%error, path = %self.path.display(), "could not remove a merge file; the next merge removes it");
        }
    }
}

/// Its name, always the same, so that a crash leaves at most one behind.
pub fn name(cpf: &str) -> String {
    format!(".{cpf}_instance_merge")
}

/// Lays the file; one that a crash has left there is replaced.
pub fn lay(folder: &Folder, cpf: &str, owner: &Snapshot, text: &[u8]) -> Result<Laid, FileError> {
    let name = name(cpf);
    let path = folder.path().join(&name);
    folder.remove(&name)?;
    let mut file = folder.create(&name)?.ok_or_else(|| FileError::Busy(path.clone()))?;
    let laid = Laid { path: path.clone() };
    crash_point("config.merge-file-created");
    let failed = |operation| move |source| FileError::io(operation, path.clone(), source);
    file.write_all(text).map_err(failed.clone()("write the merge file"))?;
    let own = file.metadata().map_err(failed.clone()("look at"))?;
    if (own.uid(), own.gid()) != (owner.uid, owner.gid) {
        fchown(&file, Some(owner.uid), Some(owner.gid)).map_err(|source| FileError::Attribute {
            what: "the owner".to_owned(),
            path: folder.path().join(&name),
            source,
        })?;
    }
    file.set_permissions(Permissions::from_mode(0o600)).map_err(failed("set the mode of"))?;
    Ok(laid)
}
