//! The folder of an `iris.cpf`, opened once; every file in it is reached through that one handle.

use std::{
    fs::File,
    io::{self, Read, Seek, Write},
    os::{fd::OwnedFd, unix::fs::MetadataExt},
    path::{Path, PathBuf},
    sync::OnceLock,
};

use instance_contract::Digest;
use nix::{
    errno::Errno,
    fcntl::{AtFlags, OFlag, RenameFlags, openat, renameat, renameat2},
    sys::{
        stat::{FileStat, Mode, SFlag, fstatat, futimens},
        statfs::{EXT4_SUPER_MAGIC, FsType, TMPFS_MAGIC, XFS_SUPER_MAGIC, fstatfs},
        time::TimeSpec,
    },
    unistd::{UnlinkatFlags, unlinkat},
};

use crate::{error::FileError, syncer};

/// The largest real CPF is some 20 KB; a hundred times that is none.
const LIMIT_BYTES: u64 = 4 * 1024 * 1024;

/// On these, two files change names in one transaction of a log that is read back in order: whatever a power cut leaves, each of
/// the two has a name. In a tmpfs a power cut leaves nothing at all.
const LOGGED: [FsType; 3] = [EXT4_SUPER_MAGIC, XFS_SUPER_MAGIC, TMPFS_MAGIC];

/// A folder that stays the same one even when its path is given to another meanwhile.
#[derive(Debug)]
pub struct Folder {
    handle: OwnedFd,
    path: PathBuf,
}

/// A call that changes something in a folder. Of each, a power cut leaves all, nothing, or a part.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Call<'a> {
    Create(&'a str),
    Write(&'a str),
    Sync(&'a str),
    Rename {
        from: &'a str,
        to: &'a str,
    },
    /// Where no file had the new name.
    Place {
        from: &'a str,
        to: &'a str,
    },
    Exchange {
        one: &'a str,
        other: &'a str,
    },
    Touch(&'a str),
    Remove(&'a str),
    SyncFolder,
}

/// A regular file as it was at one moment, with what a replacement has to keep.
#[derive(Debug)]
pub struct Snapshot {
    /// Open for reading.
    pub file: File,
    /// All of it.
    pub bytes: Vec<u8>,
    digest: OnceLock<Digest>,
    /// Which file it is, whatever its name.
    pub inode: u64,
    /// Owner.
    pub uid: u32,
    /// Group.
    pub gid: u32,
    /// Permission bits.
    pub mode: u32,
}

impl Folder {
    /// Opens the folder that holds `file`, and gives the file's name in it. Links on the way to the folder are
    /// followed (the path is the operator's own); the file itself must be none.
    pub fn of(file: &Path) -> Result<(Self, String), FileError> {
        let name = file.file_name().and_then(|name| name.to_str());
        let (Some(name), Some(parent)) = (name, file.parent()) else {
            return Err(FileError::NotAFile(file.to_owned()));
        };
        let flags = OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
        let handle = nix::fcntl::open(parent, flags, Mode::empty())
            .map_err(|errno| FileError::io("open folder", parent.to_owned(), errno))?;
        Ok((Self { handle, path: parent.to_owned() }, name.to_owned()))
    }

    /// The path by which the folder was opened.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Reads a regular file that has one name and is no link.
    pub fn read(&self, name: &str) -> Result<Snapshot, FileError> {
        let path = self.path.join(name);
        let flags = OFlag::O_RDONLY | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC | OFlag::O_NONBLOCK;
        let handle = openat(&self.handle, name, flags, Mode::empty()).map_err(|errno| match errno {
            Errno::ELOOP => FileError::SymbolicLink(path.clone()),
            other => FileError::io("open", path.clone(), other),
        })?;
        let mut file = File::from(handle);
        let metadata = file.metadata().map_err(|source| FileError::io("look at", path.clone(), source))?;
        if !metadata.is_file() {
            return Err(FileError::NotAFile(path));
        }
        if metadata.nlink() != 1 {
            return Err(FileError::HardLinks { path, links: metadata.nlink() });
        }
        if metadata.len() > LIMIT_BYTES {
            return Err(FileError::TooLarge { path, limit: LIMIT_BYTES });
        }
        // One more than there is, so that the end is found without another buffer.
        let expected = usize::try_from(metadata.len()).unwrap_or_default().saturating_add(1);
        let mut bytes = Vec::with_capacity(expected);
        (&mut file)
            .take(LIMIT_BYTES)
            .read_to_end(&mut bytes)
            .map_err(|source| FileError::io("read", path.clone(), source))?;
        let (uid, gid, mode) = (metadata.uid(), metadata.gid(), metadata.mode() & 0o7777);
        Ok(Snapshot { file, bytes, digest: OnceLock::new(), inode: metadata.ino(), uid, gid, mode })
    }

    /// A new file that nobody else may read yet; `None` when the name is taken, by whatever.
    pub fn create(&self, name: &str) -> Result<Option<File>, FileError> {
        let flags = OFlag::O_RDWR | OFlag::O_CREAT | OFlag::O_EXCL | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
        self.change(Call::Create(name), || {
            match openat(&self.handle, name, flags, Mode::S_IRUSR | Mode::S_IWUSR) {
                Ok(handle) => Ok(Some(File::from(handle))),
                Err(Errno::EEXIST) => Ok(None),
                Err(errno) => Err(errno.into()),
            }
        })
    }

    /// Appends to the open file `name`.
    pub fn write(&self, name: &str, mut file: &File, text: &[u8]) -> Result<(), FileError> {
        self.change(Call::Write(name), || file.write_all(text))
    }

    /// Makes open files durable, and the names in the folder with them.
    pub fn sync_together(&self, files: &[(&str, &File)]) -> Result<(), FileError> {
        let names = syncer::begin(&self.handle);
        self.sync_files(files)?;
        self.change(Call::SyncFolder, || names.end())
    }

    /// Makes open files durable. All wait at the same time, so that a disk which can take them together is waited for once.
    pub fn sync_files(&self, files: &[(&str, &File)]) -> Result<(), FileError> {
        let Some(((last, last_file), others)) = files.split_last() else { return Ok(()) };
        let waits: Vec<_> = others.iter().map(|(name, file)| (*name, syncer::begin(file))).collect();
        let last_synced = last_file.sync_all();
        for (name, wait) in waits {
            self.change(Call::Sync(name), || wait.end())?;
        }
        self.change(Call::Sync(last), || last_synced)
    }

    /// Gives a file another name; what had that name is gone. One step: others see the old or the new file.
    pub fn rename(&self, from: &str, to: &str) -> Result<(), FileError> {
        self.change(Call::Rename { from, to }, || Ok(renameat(&self.handle, from, &self.handle, to)?))
    }

    /// The same, where nothing has that name; `false` when something has, and nothing is done.
    pub fn place(&self, from: &str, to: &str) -> Result<bool, FileError> {
        let flags = RenameFlags::RENAME_NOREPLACE;
        self.change(Call::Place { from, to }, || {
            match renameat2(&self.handle, from, &self.handle, to, flags) {
                Ok(()) => Ok(true),
                Err(Errno::EEXIST) => Ok(false),
                Err(errno) => Err(errno.into()),
            }
        })
    }

    /// Each of two files gets the name of the other. One step: others see both names at every moment.
    pub fn exchange(&self, one: &str, other: &str) -> Result<(), FileError> {
        let flags = RenameFlags::RENAME_EXCHANGE;
        self.change(Call::Exchange { one, other }, || {
            Ok(renameat2(&self.handle, one, &self.handle, other, flags)?)
        })
    }

    /// Does an exchange in this folder outlive a power cut as one step? Whether it can be done at all, only trying tells.
    pub fn exchanges_in_one_step(&self) -> bool {
        fstatfs(&self.handle).is_ok_and(|found| is_logged(found.filesystem_type()))
    }

    /// Marks the open file `name` as written now.
    pub fn touch(&self, name: &str, file: &File) -> Result<(), FileError> {
        self.change(Call::Touch(name), || Ok(futimens(file, &TimeSpec::UTIME_OMIT, &TimeSpec::UTIME_NOW)?))
    }

    /// Removes a file; one that is not there is no error.
    pub fn remove(&self, name: &str) -> Result<(), FileError> {
        self.change(Call::Remove(name), || match unlinkat(&self.handle, name, UnlinkatFlags::NoRemoveDir) {
            Ok(()) | Err(Errno::ENOENT) => Ok(()),
            Err(errno) => Err(errno.into()),
        })
    }

    /// Makes names durable.
    pub fn sync(&self) -> Result<(), FileError> {
        self.change(Call::SyncFolder, || Ok(nix::unistd::fsync(&self.handle)?))
    }

    /// Whatever changes something comes through here, so that a test can cut the power at it.
    fn change<T>(&self, call: Call<'_>, act: impl FnOnce() -> io::Result<T>) -> Result<T, FileError> {
        #[cfg(test)]
        let act = || crate::tests::strike(self, call, act);
        act().map_err(|source| FileError::io(call.operation(), self.path.join(call.name()), source))
    }

    /// The names of all files, in no order.
    pub fn names(&self) -> Result<Vec<String>, FileError> {
        let failed = |source| FileError::io("list folder", self.path.clone(), source);
        let mut names = Vec::new();
        for entry in std::fs::read_dir(&self.path).map_err(failed)? {
            // A name that is not UTF-8 is none of ours.
            names.extend(entry.map_err(failed)?.file_name().into_string());
        }
        Ok(names)
    }

    /// When a regular file was last written, in seconds since 1970; `None` when it is not there or no such file.
    pub fn written_at(&self, name: &str) -> Option<i64> {
        let stat = self.stat(name)?;
        let kind = SFlag::from_bits_truncate(stat.st_mode) & SFlag::S_IFMT;
        (kind == SFlag::S_IFREG).then_some(stat.st_mtime)
    }

    /// Which file, or whatever it is, has the name; `None` when nothing has, or nobody can tell.
    pub fn inode(&self, name: &str) -> Option<u64> {
        Some(self.stat(name)?.st_ino)
    }

    fn stat(&self, name: &str) -> Option<FileStat> {
        fstatat(&self.handle, name, AtFlags::AT_SYMLINK_NOFOLLOW).ok()
    }
}

fn is_logged(kind: FsType) -> bool {
    // The file system of the tests keeps everything in memory.
    LOGGED.contains(&kind) || (cfg!(test) && kind == nix::sys::statfs::FUSE_SUPER_MAGIC)
}

impl Snapshot {
    /// SHA-256 of the bytes; reckoned when it is first asked for.
    pub fn digest(&self) -> &Digest {
        self.digest.get_or_init(|| Digest::of(&self.bytes))
    }

    /// Does the open file, whatever its name is by now, hold what was read? One that cannot be read is taken to.
    pub fn holds_still(&self) -> bool {
        let mut again = Vec::with_capacity(self.bytes.len() + 1);
        let mut file = &self.file;
        let read = file.rewind().and_then(|()| file.take(LIMIT_BYTES).read_to_end(&mut again));
        read.is_err() || again == self.bytes
    }

    /// Is it the same text, and whose it is?
    pub fn is_as(&self, other: &Self) -> bool {
        let owner_and_mode = |snapshot: &Self| (snapshot.uid, snapshot.gid, snapshot.mode);
        self.bytes == other.bytes && owner_and_mode(self) == owner_and_mode(other)
    }
}

impl Call<'_> {
    const fn operation(&self) -> &'static str {
        match self {
            Self::Create(_) => "create",
            Self::Write(_) => "write",
            Self::Sync(_) => "sync",
            Self::Rename { .. } => "rename a new file to",
            Self::Place { .. } => "give a file the name",
            Self::Exchange { .. } => "exchange a new file with",
            Self::Touch(_) => "set the time of",
            Self::Remove(_) => "remove",
            Self::SyncFolder => "sync folder",
        }
    }

    /// Of the file that it changes; the folder itself has none.
    const fn name(&self) -> &str {
        match self {
            Self::Create(name)
            | Self::Write(name)
            | Self::Sync(name)
            | Self::Touch(name)
            | Self::Remove(name) => name,
            Self::Rename { to, .. } | Self::Place { to, .. } | Self::Exchange { other: to, .. } => to,
            Self::SyncFolder => "",
        }
    }
}

#[cfg(test)]
mod tests {
    use nix::sys::statfs::{BTRFS_SUPER_MAGIC, MSDOS_SUPER_MAGIC, NFS_SUPER_MAGIC, OVERLAYFS_SUPER_MAGIC};

    use super::*;

    #[test]
    fn files_are_exchanged_only_where_a_power_cut_is_known_to_leave_both_a_name() {
        let known = LOGGED.iter().all(|kind| is_logged(*kind));
        let others = [BTRFS_SUPER_MAGIC, MSDOS_SUPER_MAGIC, NFS_SUPER_MAGIC, OVERLAYFS_SUPER_MAGIC];
        assert!(known && others.iter().all(|kind| !is_logged(*kind)));
    }
}
