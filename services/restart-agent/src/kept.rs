//! Small records of this agent's own, beside the ledger: each a file, whole and durable or as it was.

use std::{
    fs::{self, File},
    io::{self, Write as _},
    path::{Path, PathBuf},
};

use serde::{Serialize, de::DeserializeOwned};

/// Why a record could not be read or written.
#[derive(Debug, thiserror::Error)]
#[error("could not keep \"{}\": {source}", path.display())]
pub struct NotKept {
    path: PathBuf,
    source: io::Error,
}

impl NotKept {
    /// Space may come back, so the same may work a while later.
    pub fn is_for_want_of_space(&self) -> bool {
        matches!(self.source.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
    }
}

/// A record as JSON in a file of its own.
#[derive(Debug, Clone)]
pub struct Kept {
    path: PathBuf,
}

impl Kept {
    pub fn at(folder: &Path, name: &str) -> Self {
        Self { path: folder.join(format!("{name}.json")) }
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    /// `None` when nothing was written yet.
    pub fn read<T: DeserializeOwned>(&self) -> Result<Option<T>, NotKept> {
        match fs::read(&self.path) {
            Ok(bytes) => serde_json::from_slice(&bytes).map(Some).map_err(|error| self.failure(error.into())),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(self.failure(error)),
        }
    }

    pub fn write(&self, record: &impl Serialize) -> Result<(), NotKept> {
        let write = || -> io::Result<()> {
            let folder = self.path.parent().unwrap_or(&self.path);
            fs::create_dir_all(folder)?;
            let draft = self.path.with_extension("new");
            let mut file = File::create(&draft)?;
            file.write_all(&serde_json::to_vec(record)?)?;
            file.sync_all()?;
            fs::rename(&draft, &self.path)?;
            File::open(folder)?.sync_all()
        };
        write().map_err(|source| self.failure(source))
    }

    fn failure(&self, source: io::Error) -> NotKept {
        NotKept { path: self.path.clone(), source }
    }
}
