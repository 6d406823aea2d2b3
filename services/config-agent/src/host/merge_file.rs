//! A merge file on its way: beside the CPF, so that whoever may read the one may read the other, and nobody else.

use std::{
    fs::Permissions,
    io::Write,
    os::unix::fs::{MetadataExt, PermissionsExt, fchown},
};

use instance_chassis::crash_point;

use super::MergeFile;
use crate::{
    error::FileError,
    folder::{Folder, Snapshot},
};

/// Its name, always the same, so that a crash leaves at most one behind.
pub fn name(cpf: &str) -> String {
    format!(".{cpf}_instance_merge")
}

/// Lays the file; one that a crash has left there is replaced.
pub fn lay(folder: &Folder, cpf: &str, owner: &Snapshot, text: &[u8]) -> Result<MergeFile, FileError> {
    let name = name(cpf);
    let path = folder.path().join(&name);
    folder.remove(&name)?;
    let mut file = folder.create(&name)?.ok_or_else(|| FileError::Busy(path.clone()))?;
    let laid = MergeFile { path: path.clone() };
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
