//! The file that keeps a kernel value over a reboot: one a parameter, ours alone.

use std::{
    collections::BTreeMap,
    ffi::OsString,
    fs::{self, File, Permissions},
    io::{ErrorKind, Write},
    os::unix::fs::{MetadataExt, PermissionsExt, fchown},
    path::{Path, PathBuf},
};

use instance_chassis::crash_point;

use crate::error::{HostError, KEEP_OWNER, SYNC_FOLDER};

/// Start and end of a draft's name: one that sysctl does not read, so that a draft left by a crash is no setting.
const DRAFT: (&str, &str) = (".90-instance-", ".new");

/// Mode of a drop-in that was not there before.
const MODE: u32 = 0o644;
/// Where the settings of the kernel lie on every host.
const SYSCTL_D: &str = "etc/sysctl.d";
/// Folders that are read beside it, the one that counts more first: of files with the same name only one is read
/// (sysctl.d(5), sysctl(8)).
const BESIDE: [&str; 4] = ["run/sysctl.d", "usr/local/lib/sysctl.d", "usr/lib/sysctl.d", "lib/sysctl.d"];
/// `sysctl --system` reads it after all folders; systemd-sysctl does not, unless a drop-in is a link to it.
const SYSCTL_CONF: &str = "etc/sysctl.conf";

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
        self.keep_attributes(draft.as_file())?;
        draft.as_file().sync_all().map_err(failed("sync"))?;
        crash_point("os.drop-in-to-rename");
        draft.persist(&self.path).map_err(|error| failed("rename a draft to")(error.error))?;
        crash_point("os.drop-in-renamed");
        Ok(())
    }

    /// Gives a draft mode and owner of what it takes the place of: a change of the value is no change of whose it is.
    fn keep_attributes(&self, draft: &File) -> Result<(), HostError> {
        let failed = |operation| move |source| HostError::io(operation, self.path.clone(), source);
        let former = match fs::symlink_metadata(&self.path) {
            Ok(former) => Some(former),
            Err(error) if error.kind() == ErrorKind::NotFound => None,
            Err(error) => return Err(failed("look at")(error)),
        };
        if let Some(former) = &former {
            let own = draft.metadata().map_err(failed("look at a draft of"))?;
            if (own.uid(), own.gid()) != (former.uid(), former.gid()) {
                fchown(draft, Some(former.uid()), Some(former.gid())).map_err(failed(KEEP_OWNER))?;
            }
        }
        // After the owner: a change of owner clears bits of the mode.
        let mode = former.map_or(MODE, |former| former.mode() & 0o7777);
        draft.set_permissions(Permissions::from_mode(mode)).map_err(failed("set the mode of"))
    }

    /// The files that are read after this one and set the same parameter: at the next boot they win. Where
    /// `sysctl_dir` is not `etc/sysctl.d` of some root, nobody knows which other folders there are.
    pub fn overridden_by(&self) -> Vec<PathBuf> {
        let root = self.folder.ends_with(SYSCTL_D).then(|| self.folder.ancestors().nth(2)).flatten();
        let beside = BESIDE.iter().filter_map(|folder| Some(root?.join(folder)));
        let mut read: BTreeMap<OsString, PathBuf> = BTreeMap::new();
        for folder in std::iter::once(self.folder.clone()).chain(beside) {
            let entries = fs::read_dir(&folder).into_iter().flatten().flatten().map(|entry| entry.path());
            for path in entries.filter(|path| path.extension().is_some_and(|extension| extension == "conf")) {
                let name = path.file_name().unwrap_or_default().to_owned();
                read.entry(name).or_insert(path);
            }
        }
        let later = read.into_iter().filter(|(name, _)| Some(name.as_os_str()) > self.path.file_name());
        let last = root.map(|root| root.join(SYSCTL_CONF));
        let sets = |path: &PathBuf| fs::read_to_string(path).is_ok_and(|text| sets(&text, &self.parameter));
        later.map(|(_, path)| path).chain(last).filter(sets).collect()
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

    /// One name is read once, from the folder that counts most; the names together decide the order.
    #[test]
    fn the_other_folders_of_a_host_are_looked_at_too() {
        let root = tempfile::tempdir().unwrap();
        let path = |name: &str| root.path().join(name);
        for (name, text) in [
            ("usr/lib/sysctl.d/50-default.conf", "vm.swappiness=1\n"),
            ("usr/lib/sysctl.d/95-vendor.conf", "vm.swappiness=1\n"),
            ("usr/local/lib/sysctl.d/96-local.conf", "vm.swappiness=1\n"),
            ("run/sysctl.d/97-run.conf", "vm.swappiness=1\n"),
            // Masked by the folder of the administrator, and by that of this boot.
            ("usr/lib/sysctl.d/98-masked.conf", "vm.swappiness=1\n"),
            ("etc/sysctl.d/98-masked.conf", "# nothing\n"),
            ("lib/sysctl.d/97-run.conf", "vm.swappiness=2\n"),
            ("usr/lib/sysctl.d/90-instance-vm.swappiness.conf", "vm.swappiness=1\n"),
            ("etc/sysctl.conf", "vm.swappiness=1\n"),
        ] {
            fs::create_dir_all(path(name).parent().unwrap()).unwrap();
            fs::write(path(name), text).unwrap();
        }
        let winners = |folder: &str| DropIn::of(&path(folder), "vm.swappiness").overridden_by();
        let expected = [
            "usr/lib/sysctl.d/95-vendor.conf",
            "usr/local/lib/sysctl.d/96-local.conf",
            "run/sysctl.d/97-run.conf",
            "etc/sysctl.conf",
        ];
        assert_eq!(winners("etc/sysctl.d"), expected.map(path));
        assert!(winners("elsewhere/sysctl.d").is_empty());
    }

    #[test]
    fn whose_a_drop_in_is_stays() {
        let folder = tempfile::tempdir().unwrap();
        let drop_in = DropIn::of(folder.path(), "vm.swappiness");
        let attributes = || {
            let metadata = fs::metadata(drop_in.path()).unwrap();
            (metadata.uid(), metadata.gid(), metadata.mode() & 0o7777)
        };
        drop_in.put(Some("vm.swappiness = 5\n")).unwrap();
        let (own, group, mode) = attributes();
        assert_eq!(mode, MODE);
        // A foreign owner where we are root (as in CI).
        let owner = if own == 0 { 51773 } else { own };
        std::os::unix::fs::chown(drop_in.path(), Some(owner), Some(group)).unwrap();
        fs::set_permissions(drop_in.path(), Permissions::from_mode(0o640)).unwrap();
        drop_in.put(Some("vm.swappiness = 6\n")).unwrap();
        assert_eq!(attributes(), (owner, group, 0o640));
    }
}
