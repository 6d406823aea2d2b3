//! How far a consumer has come, in a file.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// The file that says up to which sequence everything is settled.
pub struct Place(PathBuf);

impl Place {
    pub fn new(path: PathBuf) -> Self {
        Self(path)
    }

    pub fn path(&self) -> &Path {
        &self.0
    }

    /// `None` begins with the oldest message that is kept.
    pub fn read(&self) -> Option<u64> {
        match fs::read_to_string(&self.0) {
            Ok(text) => text.trim().parse().ok(),
            Err(error) => {
                if error.kind() != io::ErrorKind::NotFound {
                    tracing::warn!(path = %self.0.display(), %error, "could not read how far a consumer has come");
                }
                None
            }
        }
    }

    /// Replaces it: a reader sees the old or the new one. Not synced: after a power cut some are sent again.
    pub fn write(&self, sequence: u64) -> io::Result<()> {
        let aside = self.0.with_extension("delivered.new");
        fs::write(&aside, format!("{sequence}\n"))?;
        fs::rename(aside, &self.0)
    }
}
