//! What the user whom a real instance runs as may do with files and folders.
//!
//! The stand-in runs as whoever starts it. Where that is root, the kernel refuses nothing, whatever the mode says: owner, group
//! and mode are looked at instead, for the user whom the installation belongs to.

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use nix::unistd::{AccessFlags, access, geteuid};

use crate::shell::folder::InstanceFolder;

const READ: u32 = 0o4;
const WRITE: u32 = 0o2;
const SEARCH: u32 = 0o1;

/// The user of an instance.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum InstanceUser {
    /// It is the one who runs the stand-in: the kernel knows what it may do.
    Own,
    /// Root runs the stand-in in its place.
    PlayedByRoot {
        /// Of the installation.
        uid: u32,
        /// Of the installation.
        gid: u32,
    },
}

impl InstanceUser {
    /// Of that installation.
    pub fn of(folder: &InstanceFolder) -> Self {
        match fs::metadata(folder.root()) {
            Ok(root) if geteuid().is_root() => Self::PlayedByRoot { uid: root.uid(), gid: root.gid() },
            _ => Self::Own,
        }
    }

    /// Whether it may read a file.
    pub fn may_read(self, file: &Path) -> bool {
        self.may(file, READ)
    }

    /// Whether it may write a file that is there.
    pub fn may_write(self, file: &Path) -> bool {
        self.may(file, WRITE)
    }

    /// Whether it may make and remove files in a folder.
    pub fn may_make_files_in(self, folder: &Path) -> bool {
        self.may(folder, WRITE | SEARCH)
    }

    fn may(self, path: &Path, wanted: u32) -> bool {
        // A file system that is read-only refuses root too.
        let allowed = access(path, flags(wanted)).is_ok();
        let Self::PlayedByRoot { uid, gid } = self else { return allowed };
        let Ok(found) = fs::metadata(path) else { return false };
        let shift = if found.uid() == uid {
            6
        } else if found.gid() == gid {
            3
        } else {
            0
        };
        allowed && (found.mode() >> shift) & wanted == wanted
    }
}

fn flags(wanted: u32) -> AccessFlags {
    [(READ, AccessFlags::R_OK), (WRITE, AccessFlags::W_OK), (SEARCH, AccessFlags::X_OK)]
        .into_iter()
        .filter(|(bit, _)| wanted & bit != 0)
        .fold(AccessFlags::empty(), |all, (_, flag)| all | flag)
}

#[cfg(test)]
mod tests {
    use std::fs::{self, Permissions};
    use std::os::unix::fs::PermissionsExt as _;

    use tempfile::TempDir;

    use super::InstanceUser;
    use crate::shell::folder::InstanceFolder;

    #[test]
    fn the_mode_counts_whoever_runs_the_stand_in() {
        let root = TempDir::new().unwrap();
        let user = InstanceUser::of(&InstanceFolder::new(root.path()));
        let (folder, file) = (root.path().join("journal"), root.path().join("iris.lck"));
        fs::create_dir(&folder).unwrap();
        fs::write(&file, "").unwrap();
        let mode = |path, bits| fs::set_permissions(path, Permissions::from_mode(bits)).unwrap();
        assert!(user.may_make_files_in(&folder) && user.may_read(&file) && user.may_write(&file));
        for bits in [0o577, 0o677] {
            mode(&folder, bits);
            assert!(!user.may_make_files_in(&folder), "{bits:o}");
        }
        mode(&file, 0o477);
        assert!(user.may_read(&file) && !user.may_write(&file));
        mode(&file, 0o277);
        assert!(!user.may_read(&file) && user.may_write(&file));
        mode(&folder, 0o700);
        assert!(!user.may_read(&folder.join("nothing")) && !user.may_make_files_in(&folder.join("nowhere")));
    }

    #[test]
    fn for_somebody_else_the_bits_of_the_group_or_of_all_count() {
        let root = TempDir::new().unwrap();
        let file = root.path().join("file");
        fs::write(&file, "").unwrap();
        fs::set_permissions(&file, Permissions::from_mode(0o640)).unwrap();
        let found = fs::metadata(&file).unwrap();
        let (uid, gid) = {
            use std::os::unix::fs::MetadataExt as _;
            (found.uid(), found.gid())
        };
        let user = |uid, gid| InstanceUser::PlayedByRoot { uid, gid };
        assert!(user(uid, gid + 1).may_write(&file));
        assert!(user(uid + 1, gid).may_read(&file) && !user(uid + 1, gid).may_write(&file));
        assert!(!user(uid + 1, gid + 1).may_read(&file));
    }
}
