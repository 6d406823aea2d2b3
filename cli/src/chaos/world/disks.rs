//! Small disks of their own: what is full here is really full.

use std::{
    cell::RefCell,
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context as _, Result};

use crate::exit::{Exit, Stop};

/// The disks of one world. Dropping them takes them away.
#[derive(Debug, Default)]
pub struct Disks(RefCell<Vec<PathBuf>>);

impl Disks {
    /// A tmpfs over a folder; what lay in it lies in it again.
    pub fn mount(&self, folder: &Path, mb: u32) -> Result<()> {
        fs::create_dir_all(folder).with_context(|| format!("could not make \"{}\"", folder.display()))?;
        let mut kept = Vec::new();
        for entry in
            fs::read_dir(folder).with_context(|| format!("could not read \"{}\"", folder.display()))?
        {
            let path = entry?.path();
            if path.is_file() {
                kept.push((path.clone(), fs::read(&path)?));
            }
        }
        let size = format!("size={mb}m");
        let output = Command::new("mount").args(["-t", "tmpfs", "-o", &size, "tmpfs"]).arg(folder).output();
        let output = output.context("could not run mount")?;
        if !output.status.success() {
            let why = String::from_utf8_lossy(&output.stderr).trim().to_owned();
            let text = format!("this scenario needs a small disk, and it could not be mounted: {why}");
            return Err(Stop::new(Exit::Refused, text).next("run it as root").into());
        }
        self.0.borrow_mut().push(folder.to_owned());
        for (path, bytes) in kept {
            fs::write(&path, bytes).with_context(|| format!("could not write \"{}\"", path.display()))?;
        }
        Ok(())
    }
}

impl Drop for Disks {
    fn drop(&mut self) {
        for folder in self.0.borrow().iter() {
            // Detached at once: a process that is just ending may still have files open there.
            let _ = Command::new("umount").arg("-l").arg(folder).output();
        }
    }
}
