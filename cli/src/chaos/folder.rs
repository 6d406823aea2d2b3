//! Where a run lies, under its label.

use std::{
    fs::{self, File, TryLockError},
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result};

use crate::exit::{Exit, Stop};

/// The run that has no label of its own.
pub const LAST: &str = "last";
/// Where runs lie.
pub const FOLDER: &str = "run/chaos";

/// The folder of a run; a former one of that label is replaced.
pub fn make(dir: &Path, label: &str) -> Result<(PathBuf, File)> {
    let create = |path: &Path| {
        fs::create_dir_all(path).with_context(|| format!("could not make \"{}\"", path.display()))
    };
    create(dir)?;
    let lock_path = dir.join(format!("{label}.lock"));
    let lock =
        File::create(&lock_path).with_context(|| format!("could not make \"{}\"", lock_path.display()))?;
    match lock.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => {
            let text = format!("another run with the label \"{label}\" is under way");
            return Err(Stop::new(Exit::Refused, text).next("give this one another --label").into());
        }
        Err(TryLockError::Error(error)) => {
            return Err(error).with_context(|| format!("could not lock \"{}\"", lock_path.display()));
        }
    }
    let folder = dir.join(label);
    if folder.exists() {
        fs::remove_dir_all(&folder).with_context(|| format!("could not remove \"{}\"", folder.display()))?;
    }
    create(&folder)?;
    let folder =
        fs::canonicalize(&folder).with_context(|| format!("could not open \"{}\"", folder.display()))?;
    Ok((folder, lock))
}

/// Part of a path, so it is kept plain.
pub fn label(text: &str) -> Result<String, String> {
    let legal = |byte: u8| byte.is_ascii_alphanumeric() || b"_-".contains(&byte);
    if (1..=64).contains(&text.len()) && text.bytes().all(legal) {
        return Ok(text.to_owned());
    }
    Err("a label is 1 to 64 letters, digits, underscores and hyphens".to_owned())
}
