//! Files, changed as somebody with an editor changes them.

use std::{
    cell::RefCell,
    fs,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
};

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

/// Modes of files and folders as they were before they were set, so that whoever is not root can remove them afterwards.
#[derive(Default)]
pub struct Modes(RefCell<Vec<(PathBuf, fs::Permissions)>>);

impl Modes {
    /// Sets the mode of a file or folder.
    pub fn set(&self, path: &Path, mode: u32) -> Result<()> {
        let failed = || format!("could not set the mode of \"{}\"", path.display());
        let before = fs::metadata(path).with_context(failed)?.permissions();
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).with_context(failed)?;
        self.0.borrow_mut().push((path.to_owned(), before));
        Ok(())
    }

    /// The last one first. What is gone by now needs none.
    pub fn put_back(&self) {
        while let Some((path, before)) = self.0.borrow_mut().pop() {
            let _ = fs::set_permissions(path, before);
        }
    }
}

fn put_text(path: &Path, text: &str) -> Result<()> {
    fs::write(path, text).with_context(|| format!("could not write \"{}\"", path.display()))
}
