//! The CPF on disk, and what of it is in force.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use instance_iris::cpf::Document;

use crate::world::parameters::Parameters;

/// In the mode of a file.
const OWNER_MAY_WRITE: u32 = 0o200;

/// A CPF that was read.
#[derive(Debug, Clone)]
pub struct CpfFile {
    path: PathBuf,
    bytes: Vec<u8>,
    document: Document,
}

/// Section and name to value: what the instance works with, whatever the file says meanwhile.
pub type InForce = BTreeMap<(String, String), String>;

impl CpfFile {
    /// Reads the file.
    pub fn read(path: &Path) -> io::Result<Self> {
        let bytes = fs::read(path)?;
        let document = Document::parse(&bytes);
        Ok(Self { path: path.to_owned(), bytes, document })
    }

    /// Its content.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Its content as lines and values.
    pub fn document(&self) -> &Document {
        &self.document
    }

    /// All parameters, the first of repeated ones.
    pub fn in_force(&self) -> InForce {
        let mut values = InForce::new();
        for entry in self.document.all_entries() {
            let Some(section) = entry.section else { continue };
            values
                .entry((section.to_owned(), entry.name.to_owned()))
                .or_insert_with(|| entry.value.trim().to_owned());
        }
        values
    }

    /// `[Databases]` in file order: name and directory.
    pub fn databases(&self) -> Vec<(String, String)> {
        self.document
            .entries("Databases")
            .map(|entry| {
                let directory = entry.value.split(',').next().unwrap_or_default().trim();
                (entry.name.to_owned(), directory.to_owned())
            })
            .collect()
    }

    /// Writes the same bytes again, as every start of IRIS does: to `<cpf>_<pid>`, then over the file.
    ///
    /// On failure returns the name of the temporary file, which the message of IRIS holds.
    pub fn rewrite(&self, pid: u32) -> Result<(), String> {
        let temporary = PathBuf::from(format!("{}_{pid}", self.path.display()));
        // The file itself must be writable too: IRIS copies over it and keeps its owner.
        let writable = fs::OpenOptions::new().write(true).open(&self.path);
        let done = writable.and_then(|_| {
            let mode = fs::metadata(&self.path)?.permissions();
            // Its owner, who a real instance runs as, cannot do what root can do to any file.
            if mode.mode() & OWNER_MAY_WRITE == 0 {
                return Err(io::ErrorKind::PermissionDenied.into());
            }
            fs::write(&temporary, &self.bytes)?;
            fs::set_permissions(&temporary, mode)?;
            fs::rename(&temporary, &self.path)
        });
        done.map_err(|_| temporary.display().to_string())
    }

    /// Writes the bytes that were read, and not what the file may hold meanwhile, to another file. It gets the mode of
    /// this one.
    pub fn keep_as(&self, copy: &Path) -> io::Result<()> {
        super::replace(copy, &self.bytes)?;
        fs::set_permissions(copy, fs::metadata(&self.path)?.permissions())
    }
}

/// What the world depends on, from the values in force.
pub fn parameters(in_force: &InForce, databases: Vec<(String, String)>) -> Parameters {
    Parameters::read(|section, name| in_force.get(&(section.to_owned(), name.to_owned())).cloned(), databases)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use tempfile::TempDir;

    use super::CpfFile;

    #[test]
    fn what_is_kept_is_what_was_read_whatever_the_file_holds_by_then() {
        let folder = TempDir::new().unwrap();
        let (path, copy) = (folder.path().join("iris.cpf"), folder.path().join("_LastGood_.cpf"));
        fs::write(&path, "[config]\nglobals=0,0,256,0,0,0\n").unwrap();
        let read = CpfFile::read(&path).unwrap();
        fs::write(&path, "[config]\nglobals=nobody has checked this\n").unwrap();
        read.keep_as(&copy).unwrap();
        assert_eq!(fs::read(&copy).unwrap(), read.bytes());
        assert_eq!(fs::metadata(&copy).unwrap().permissions(), fs::metadata(&path).unwrap().permissions());
    }
}
