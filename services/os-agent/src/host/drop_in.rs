//! The file that keeps a kernel value over a reboot: one a parameter, ours alone.

use std::{
    fs::{self, File, Permissions},
    io::{ErrorKind, Write},
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
};

use instance_chassis::crash_point;

use crate::error::{HostError, SYNC_FOLDER};

/// Start and end of a draft's name: one that sysctl does not read, so that a draft left by a crash is no setting.
const DRAFT: (&str, &str) = (".90-instance-", ".new");

/// The text that keeps a value. The same value is always the same text.
pub fn drop_in_text(parameter: &str, value: &str) -> String {
    format!(
        "# Written by Instance (os-agent), which takes it back when the change is undone.\n{parameter} = {value}\n"
    )
}

/// The drop-in of a parameter.
#[derive(Debug, Clone)]
pub struct DropIn {
    folder: PathBuf,
    path: PathBuf,
    parameter: String,
}

impl DropIn {
    pub fn of(folder: &Path, parameter: &str) -> Self {
        let path = folder.join(format!("90-instance-{parameter}.conf"));
        Self { folder: folder.to_owned(), path, parameter: parameter.to_owned() }
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    /// What it holds now; `None` when there is none.
    pub fn read(&self) -> Result<Option<String>, HostError> {
        match fs::symlink_metadata(&self.path) {
            Ok(metadata) if !metadata.is_file() => return Err(HostError::NotAFile(self.path.clone())),
            Ok(_) => {}
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(HostError::io("look at", self.path.clone(), error)),
        }
        let bytes =
            fs::read(&self.path).map_err(|source| HostError::io("read", self.path.clone(), source))?;
        Ok(Some(String::from_utf8_lossy(&bytes).into_owned()))
    }

    /// Gives it another text, or removes it; in one step, durable when it returns.
    pub fn put(&self, text: Option<&str>) -> Result<(), HostError> {
        self.sweep();
        match text {
            Some(text) => self.write(text)?,
            None => self.remove()?,
        }
        let synced = File::open(&self.folder).and_then(|folder| folder.sync_all());
        crash_point("os.drop-in-durable");
        synced.map_err(|source| HostError::io(SYNC_FOLDER, self.folder.clone(), source))
    }

    /// Removes drafts that a crash has left. That one stays is no failure: `sysctl` does not read it.
    fn sweep(&self) {
        for entry in fs::read_dir(&self.folder).into_iter().flatten().flatten() {
            let name = entry.file_name();
            let is_draft =
                name.to_str().is_some_and(|name| name.starts_with(DRAFT.0) && name.ends_with(DRAFT.1));
            let is_left = is_draft && File::open(entry.path()).is_ok_and(|draft| draft.try_lock().is_ok());
            if is_left && let Err(error) = fs::remove_file(entry.path()) {
                tracing::warn!(%error, draft = %entry.path().display(), "could not remove what a crash has left");
            }
        }
    }

    fn remove(&self) -> Result<(), HostError> {
        crash_point("os.drop-in-to-remove");
        match fs::remove_file(&self.path) {
            Ok(()) => crash_point("os.drop-in-removed"),
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            Err(error) => return Err(HostError::io("remove", self.path.clone(), error)),
        }
        Ok(())
    }

    fn write(&self, text: &str) -> Result<(), HostError> {
        let failed = |operation| move |source| HostError::io(operation, self.path.clone(), source);
        let mut draft = tempfile::Builder::new()
            .prefix(DRAFT.0)
            .suffix(DRAFT.1)
            .tempfile_in(&self.folder)
            .map_err(failed("create a draft of"))?;
        // Held until it is renamed: a draft that nobody holds was left by a crash.
        draft.as_file().try_lock().map_err(|error| failed("hold a draft of")(error.into()))?;
        crash_point("os.drop-in-draft-empty");
        draft.write_all(text.as_bytes()).map_err(failed("write"))?;
        draft.as_file().set_permissions(Permissions::from_mode(0o644)).map_err(failed("set the mode of"))?;
        draft.as_file().sync_all().map_err(failed("sync"))?;
        crash_point("os.drop-in-to-rename");
        draft.persist(&self.path).map_err(|error| failed("rename a draft to")(error.error))?;
        crash_point("os.drop-in-renamed");
        Ok(())
    }

    /// The drop-ins that are read after this one and set the same parameter: at the next boot they win.
    pub fn overridden_by(&self) -> Vec<PathBuf> {
        let entries = fs::read_dir(&self.folder).into_iter().flatten().flatten().map(|entry| entry.path());
        let mut later: Vec<_> = entries
            .filter(|path| path.extension().is_some_and(|extension| extension == "conf"))
            .filter(|path| path.file_name() > self.path.file_name())
            .filter(|path| fs::read_to_string(path).is_ok_and(|text| sets(&text, &self.parameter)))
            .collect();
        later.sort();
        later
    }
}

/// Does a sysctl file set the parameter? Names are written with dots or slashes, and a leading `-` ignores errors.
fn sets(text: &str, parameter: &str) -> bool {
    text.lines().map(str::trim).filter(|line| !line.starts_with(['#', ';'])).any(|line| {
        let name =
            line.split_once('=').map(|(name, _)| name.trim().trim_start_matches('-').replace('/', "."));
        name.as_deref() == Some(parameter)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_crash_has_left_is_removed_and_what_somebody_writes_stays() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        for name in [".90-instance-left.new", ".90-instance-held.new", ".other.new"] {
            fs::write(path(name), "vm.swappiness = 1\n").unwrap();
        }
        let held = File::open(path(".90-instance-held.new")).unwrap();
        held.try_lock().unwrap();
        DropIn::of(folder.path(), "vm.swappiness").put(Some("vm.swappiness = 5\n")).unwrap();
        let mut names: Vec<_> =
            fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        names.sort();
        assert_eq!(names, [".90-instance-held.new", ".other.new", "90-instance-vm.swappiness.conf"]);
    }

    #[test]
    fn a_later_file_that_sets_the_same_parameter_is_found() {
        let folder = tempfile::tempdir().unwrap();
        for (name, text) in [
            ("10-first.conf", "vm.swappiness=1\n"),
            ("99-sysctl.conf", "# vm.swappiness=1\nkernel.sem=1 2 3 4\n-vm/swappiness = 3\n"),
            ("99-other.conf", "vm.swappiness_x=1\n;vm.swappiness=2\n"),
            ("99-not-read.txt", "vm.swappiness=1\n"),
        ] {
            fs::write(folder.path().join(name), text).unwrap();
        }
        let drop_in = DropIn::of(folder.path(), "vm.swappiness");
        assert_eq!(drop_in.overridden_by(), [folder.path().join("99-sysctl.conf")]);
    }
}
