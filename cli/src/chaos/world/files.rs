//! Files, changed as somebody with an editor changes them.

use std::{fs, os::unix::fs::PermissionsExt as _, path::Path};

use anyhow::{Context as _, Result, bail};

/// Replaces a text that the file holds exactly once.
pub fn edit(path: &Path, find: &str, put: &str) -> Result<()> {
    let text = fs::read_to_string(path).with_context(|| format!("could not read \"{}\"", path.display()))?;
    let found = text.matches(find).count();
    if found != 1 {
        bail!("\"{}\" holds {find:?} {found} times, and not once", path.display());
    }
    put_text(path, &text.replacen(find, put, 1))
}

/// Writes all of a file, with the folders that it needs.
pub fn write(path: &Path, text: &str) -> Result<()> {
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder).with_context(|| format!("could not make \"{}\"", folder.display()))?;
    }
    put_text(path, text)
}

/// Removes a file, or a folder with all that is in it. It must be there.
pub fn remove(path: &Path) -> Result<()> {
    let removed = if path.is_dir() { fs::remove_dir_all(path) } else { fs::remove_file(path) };
    removed.with_context(|| format!("could not remove \"{}\"", path.display()))
}

/// Sets the mode of a file.
pub fn set_mode(path: &Path, mode: u32) -> Result<()> {
    fs::set_permissions(path, fs::Permissions::from_mode(mode))
        .with_context(|| format!("could not set the mode of \"{}\"", path.display()))
}

fn put_text(path: &Path, text: &str) -> Result<()> {
    fs::write(path, text).with_context(|| format!("could not write \"{}\"", path.display()))
}
